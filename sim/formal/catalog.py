"""The list of proofs: what ``make formal`` runs and docs/verification.md shows."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

from penstock.models.spec.isa import ENGINE_WAITS, Op
from penstock.sim.formal.checking.harness import Harness
from penstock.sim.formal.checking.proof import Fault, Proof
from penstock.sim.formal.claims import (
    arithmetic,
    bridges,
    control,
    fetch,
    gates,
    masters,
    processing_elements,
    registers,
    registers_bridge,
    streams,
    tokens,
)

__all__ = ["PROOFS", "with_proofs"]

_STREAM = (
    "valid and payload hold until taken; every payload comes out unchanged, in order and once; "
    "no payload waits for ever"
)

_ARRAY = (
    "words and weight blocks in any legal order: every column's sum is that of each row's "
    "activation times the weight of the block that was active when the word entered, at the "
    "documented latency.  Cells are reduced to numbers of one bit"
)


def _itself(name: str) -> Callable[[Any], Harness]:
    """A proof of arithmetic: its faults are planted in the module of the claims."""
    return lambda module: getattr(module, name)(module)


PROOFS: tuple[Proof, ...] = (
    Proof(
        name="register slice",
        module="penstock.hw.lib.register_slice",
        build=streams.register_slice,
        claims=_STREAM,
        faults=(
            Fault("with m.If(~full):", "with m.If(self.i.valid):"),
            Fault("full | self.i.valid", "self.i.valid"),
            Fault("self.o.ready | ~self.o.valid", "self.o.ready"),
        ),
    ),
    *(
        Proof(
            name=f"FIFO of {depth}" + ", block RAM" * block,
            module="penstock.hw.lib.fifo",
            build=partial(streams.fifo, depth=depth, block=block),
            claims=_STREAM + f"; it takes payloads while fewer than {depth} are inside",
            faults=(
                Fault("queue.r_en.eq(~self.o.valid | self.o.ready)", "queue.r_en.eq(1)"),
                Fault("queue.w_en.eq(self.i.valid)", "queue.w_en.eq(self.i.valid & ~self.o.valid)"),
                Fault("with m.If(queue.r_en):", "with m.If(queue.r_en & queue.r_rdy):"),
            ),
        )
        for depth, block in ((2, False), (4, False), (5, True))
    ),
    *(
        Proof(
            name=f"upsizer, {in_bytes} to {out_bytes} bytes",
            module="penstock.hw.lib.stream",
            build=partial(streams.upsizer, in_bytes=in_bytes, out_bytes=out_bytes),
            claims="rows of any length: every byte of a row's words comes out, in order and once, "
            "the rest of its last beat is dropped; `last` stays with its word; " + _STREAM,
            faults=faults,
        )
        for in_bytes, out_bytes, faults in (
            (
                1,
                2,
                (
                    Fault("count == beats - 2", "count == beats - 1"),
                    Fault("~final | free", "~final | self.o.ready"),
                ),
            ),
            (2, 1, (Fault("level_after >= self.out_lanes", "level_after > self.out_lanes"),)),
            (2, 3, (Fault("Mux(row_end & (tail != 0), tail", "Mux(tail != 0, tail"),)),
        )
    ),
    *(
        Proof(
            name=f"downsizer, {in_bytes} to {out_bytes} bytes",
            module="penstock.hw.lib.stream",
            build=partial(streams.downsizer, in_bytes=in_bytes, out_bytes=out_bytes),
            claims="rows of any length: every byte of a row's words comes out, in order and once, "
            "with zeros after the row's last one; " + _STREAM,
            faults=faults,
        )
        for in_bytes, out_bytes, faults in (
            (1, 2, (Fault("Mux(row_end, lack, 0)", "Mux(row_end, 0, lack)"),)),
            (2, 1, (Fault("(self.o.ready & (left == 0))", "self.o.ready"),)),
            (3, 2, (Fault("m.d.sync += lane.eq(0)", "m.d.sync += lane.eq(lane)"),)),
        )
    ),
    Proof(
        name="skew",
        module="penstock.hw.array.systolic",
        build=partial(processing_elements.skew, lanes=4),
        claims="lane k is k cycles late, and so is bit k of a wavefront, which is 0 before",
        faults=(
            Fault("rest = stage[:-width]", "rest = stage[: -2 * width]"),
            Fault("result.append(stage[-width:])", "result.append(rest[-width:])"),
            Fault("history.eq(Cat(bit, history))", "history.eq(Cat(history, bit))"),
        ),
    ),
    Proof(
        name="array, 3x3",
        module="penstock.hw.array.systolic",
        build=partial(processing_elements.systolic_array, rows=3, cols=3),
        claims=_ARRAY,
        faults=(
            Fault("swaps[r + c]", "swaps[r]"),
            Fault("pe.i_shift.eq(shifts[c])", "pe.i_shift.eq(shifts[0])"),
            Fault("self.swap_hold = rows - 1", "self.swap_hold = rows - 2"),
        ),
    ),
    Proof(
        name="packed array, 4x4",
        module="penstock.hw.array.packed",
        build=partial(processing_elements.packed_array, rows=4, cols=4),
        claims=_ARRAY + "; the left columns' sums start from -128 times the word's sum",
        faults=(
            Fault("swaps[k + row + p]", "swaps[k + p]"),
            Fault("shifts[p] & turns[p]", "shifts[p] & turns[0]"),
            Fault("turn.rotate_right(1)", "turn.rotate_left(1)"),
            Fault("PackedCell.LATENCY - 2 - cycles", "PackedCell.LATENCY - 1 - cycles"),
            Fault("r // 2 + r % 2", "r // 2"),
        ),
    ),
    Proof(
        name="burst splitter",
        module="penstock.hw.bus.burst_splitter",
        build=masters.burst_splitter,
        claims="a command's bursts follow each other from its address on and are as long as the "
        "command together; 1 to 16 beats, never across 4 KiB; the last one is marked",
        faults=(
            Fault("Mux(fits, left, room)", "Mux(fits, left, MAX_BURST)"),
            Fault("burst.last.eq(fits)", "burst.last.eq(fits & (left != room))"),
            Fault("left.eq(left - burst.beats)", "left.eq(left - MAX_BURST)"),
            Fault("beat.round_up(_BURST_BITS)", "beat.round_up(_BURST_BITS - 1)"),
        ),
    ),
    *(
        Proof(
            name=f"read DMA of {16 * bursts} beats",
            module="penstock.hw.bus.dma",
            build=partial(masters.read_dma, bursts=bursts),
            claims="AR obeys AXI and the burst rules; every burst is requested once; there is "
            "room for every beat and it goes to the output; after `halt` no burst begins, and "
            "`idle` is 1 if none is in flight; counts and first error are those of the bus.  "
            "FIFOs and burst splitter are replaced by their proved contracts",
            faults=faults,
            depth=depth,
        )
        for bursts, depth, faults in (
            (
                1,
                None,
                (
                    Fault("(credit_next[4:] != 0) & ~self.control.halt", "credit_next[4:] != 0"),
                    Fault("(credit_next[4:] != 0)", "(credit_next[3:] != 0)"),
                    Fault("quiet.eq(~bus.arvalid & ~accepted", "quiet.eq(~accepted"),
                    Fault("~accepted & (pending == arrived)", "(pending == arrived)"),
                    Fault("quiet & still.all()", "quiet & still[0]"),
                    Fault("bus.rvalid, bus.rresp, 0", "1, bus.rresp, 0"),
                ),
            ),
            (
                2,
                12,
                (
                    Fault("may & (~bus.arvalid | bus.arready)", "may"),
                    Fault(
                        "_sum(credit, spent, returned)",
                        "_sum(credit, spent.any().replicate(6), returned)",
                    ),
                ),
            ),
        )
    ),
    Proof(
        name="write DMA",
        module="penstock.hw.bus.dma",
        build=masters.write_dma,
        claims="AW and W obey AXI and the burst rules; every burst is requested once and has the "
        "announced number of beats, `wlast` in its last; beats are the input's; a command is done "
        "when memory has acknowledged all of it; after `halt` no burst begins, bursts in flight "
        "complete, and `idle` is 1 when all have.  FIFOs and burst splitter are replaced by their "
        "proved contracts",
        faults=(
            Fault("enough & (~bus.awvalid | bus.awready)", "enough"),
            Fault("& ~issue\n                & ~self.control.halt", "& ~issue"),
            Fault("bus.wlast.eq(left == 1)", "bus.wlast.eq(left == 2)"),
            Fault("beats.o.ready.eq(active & bus.wready)", "beats.o.ready.eq(active)"),
            Fault("bus.bvalid & burst.p.last)", "bus.bvalid)"),
            Fault("pending + begins - ends", "pending + begins"),
        ),
    ),
    *(
        Proof(
            name=f"AXI3 bridge, {name}",
            module="penstock.hw.bus.axi3",
            build=build,
            claims=claims,
            faults=faults,
        )
        for name, build, claims, faults in (
            (
                "read",
                bridges.read_bridge,
                "requests reach the port unchanged, in order and once, and hold until they are "
                "taken; each beat of a response reaches the master a cycle later",
                (
                    Fault("of(o, name).eq(held.o.p[name])", "of(o, name).eq(held.i.p[name])"),
                    Fault("held.eq(getattr(o, valid))", "held.eq(getattr(o, valid) & ~held)"),
                ),
            ),
            (
                "write requests",
                partial(bridges.write_bridge, channel="aw"),
                "requests reach the port unchanged, in order and once, and hold until they are "
                "taken; each acknowledgement reaches the master a cycle later",
                (Fault('of(bus, "ready").eq(held.i.ready)', 'of(bus, "ready").eq(1)'),),
            ),
            (
                "write beats",
                partial(bridges.write_bridge, channel="w"),
                "beats and `wlast` reach the port unchanged, in order and once, and hold until "
                "they are taken",
                (
                    Fault("held.o.ready.eq(self.o.wready)", "held.o.ready.eq(1)"),
                    Fault("self.o.wlast.eq(held.o.p.last)", "self.o.wlast.eq(self.i.wlast)"),
                ),
            ),
        )
    ),
    *(
        Proof(
            name=f"AXI3 to registers, {name}",
            module="penstock.hw.bus.axi3",
            build=build,
            claims=claims + "; one burst is in flight at a time, and makes progress while the "
            "registers answer.  Addresses of beats after the first are not checked",
            faults=faults,
        )
        for name, build, claims, faults in (
            (
                "reads",
                registers_bridge.lite_reads,
                "every beat of a burst is answered once, with its id and `rlast` in the last; it "
                "is one access at most, and returns its result, or DECERR; the first beat is "
                "accessed, at its address, if and only if it is in the window",
                (
                    Fault("self.last.eq(self.left == 0)", "self.last.eq(self.left == 1)"),
                    Fault("o.arvalid.eq(0)", "o.arvalid.eq(~o.rvalid)"),
                    Fault("data.eq(o.rdata), resp.eq(o.rresp)", "data.eq(o.rdata), resp.eq(0)"),
                    Fault("[self.addr_width :] == self.base", "[self.addr_width :] >= self.base"),
                ),
            ),
            (
                "writes",
                registers_bridge.lite_writes,
                "every beat of a burst is taken once and is one access at most, with its data and "
                "strobes; the burst is answered once, when all of it is done, with its id and the "
                "worst response of its beats; the first beat is written, at its address, if and "
                "only if it is in the window",
                (
                    Fault("with m.If(answer > resp):", "with m.If(answer < resp):"),
                    Fault("o.wvalid.eq(0)", "o.wvalid.eq(~o.awready)"),
                    Fault("strobe.eq(i.wstrb)", "strobe.eq(-1)"),
                ),
            ),
        )
    ),
    Proof(
        name="run control",
        module="penstock.hw.core.run_control",
        build=control.control,
        claims="the core is reset only while no memory response is outstanding, and a soft reset "
        "ends then; a run ends with done or error, never both; an error has its cause; the "
        "watchdog ends a run without progress, and no other",
        faults=(
            Fault("m.Case(State.HALT), m.If(self.all_idle)", "m.Case(State.HALT), m.If(1)"),
            Fault("with m.Elif(timeout):", "with m.Elif(timeout & self.progress):"),
            Fault("low_above.eq(low > ", "low_above.eq(low >= "),
            Fault("& ~since.any()", "& ~since[0]"),
        ),
    ),
    Proof(
        name="registers, answers",
        module="penstock.hw.core.csr",
        build=registers.answers,
        claims="reads and writes of any address are taken, answered once, OKAY and in at most six "
        "cycles; responses hold until they are taken; unknown registers read 0",
        faults=(
            Fault(
                "m.d.sync += address.eq(bus.araddr >> 2)", "m.d.sync += address.eq(bus.araddr >> 3)"
            ),
            Fault("write = decoded & have_data & ~bus.bvalid", "write = decoded & have_data"),
            Fault("bus.arready.eq(~step.any() & ~bus.rvalid)", "bus.arready.eq(~step.any())"),
        ),
    ),
    Proof(
        name="registers, no side effects",
        module="penstock.hw.core.csr",
        build=registers.no_side_effects,
        claims="two banks, one read at any time, the other not: their outputs are always the "
        "same, and so is the final read of both",
        faults=(
            Fault(
                "m.d.sync += self.irq.eq(irq_pending & irq_enable)",
                "m.d.sync += self.irq.eq(irq_pending & irq_enable & ~self.bus.rvalid)",
            ),
        ),
        reach=20,
    ),
    *(
        Proof(
            name="descriptor fetch" + ", any memory before" * arbitrary,
            module="penstock.hw.core.fetch",
            build=partial(fetch.fetch, arbitrary=arbitrary),
            claims="every descriptor is requested once, in order, none after a bad one; each one "
            "received goes to its engine, unchanged and once, if its checksum is right and its "
            "fields are within their limits, and is bad otherwise; `finished` when all are handed "
            "out.  The checksum takes a beat a cycle, and its result is arbitrary"
            + "; registers without a reset start at 0"
            * (not arbitrary),
            faults=faults,
            depth=depth,
            reach=reach,
        )
        for arbitrary, depth, reach, faults in (
            (
                False,
                None,
                26,
                (
                    Fault("self.cmd.valid.eq(~self.bad)", "self.cmd.valid.eq(1)"),
                    Fault("Mux(crc.match_detected, fits, 0)", "fits"),
                    Fault("legal & (view[name] >= low)", "legal & (view[name] > low)"),
                    Fault("addr.add(DESCRIPTOR_BYTES)", "addr.add(_BEATS)"),
                    Fault("follows.eq(taken & ~last)", "follows.eq(taken)"),
                    Fault("all_handed.eq(last)", "all_handed.eq(1)"),
                ),
            ),
            (
                True,
                12,
                12,
                (Fault("crc.start.eq(beat[0]", "crc.start.eq(beat[1]"),),
            ),
        )
    ),
    *(
        Proof(
            name=f"gate of {op.name}",
            module="penstock.hw.core.sequencer",
            build=partial(gates.gate, op=op),
            claims="no descriptor starts before its waits are met; one that may start does within "
            "two cycles; each starts once, unchanged",
            faults=(
                Fault(
                    "is_open.eq(self.i.valid & met & ~taken)", "is_open.eq(self.i.valid & ~taken)"
                ),
                Fault("is_open.eq(self.i.valid & met & ~taken)", "is_open.eq(self.i.valid & met)"),
            )[0 if ENGINE_WAITS[op] else 1 :],
        )
        for op in Op
    ),
    *(
        Proof(
            name=f"sequencer, {op.name}",
            module="penstock.hw.core.sequencer",
            build=partial(tokens.descriptors, op=op),
            claims="queues and wait gates of the whole sequencer: descriptors start in order and "
            "once; none starts before its waits are met; the oldest incomplete descriptor starts "
            "within four cycles; an empty queue takes a descriptor.  Queues hold one descriptor, "
            "counts have 4 bits, engines have at most two descriptors in flight",
            faults=(
                Fault("self.i.ready.eq(taken)", "self.i.ready.eq(is_open)"),
                *(
                    (
                        Fault("~difference[-1]", "difference == 0"),
                        Fault(".eq(self.count[wait])", ".eq(self.count[wait] + 1)"),
                    )
                    if ENGINE_WAITS[op]
                    else ()
                ),
            ),
        )
        for op in Op
    ),
    Proof(
        name="sequencer, completion",
        module="penstock.hw.core.sequencer",
        build=tokens.completion,
        claims="no completed descriptor is lost or counted twice; the program is complete exactly "
        "when all are handed out and every engine has completed its own.  Reduced as above",
        faults=(
            Fault("m.If(taken != self.done[op])", "m.If(taken)"),
            Fault("with m.If(self.done[op])", "with m.If(1)"),
            Fault("finished & (pending == 0)", "finished & (taken == 0)"),
        ),
    ),
    Proof(
        name="requantisation",
        module="penstock.hw.engines.requant",
        build=arithmetic.requantise,
        claims="every accumulator, bias, multiplier and shift gives the formula's result; the "
        "product is computed from two halves",
        faults=(
            Fault("(rest | integer[0])", "rest"),
            Fault("saturate | rounded[8]", "saturate"),
        ),
        depth=9,
        complete=True,
    ),
    Proof(
        name="requantisation, product",
        module="penstock.sim.formal.claims.arithmetic",
        build=_itself("halves"),
        claims="any 32-bit number times any multiplier equals the product from two halves",
        faults=(Fault('(product["high"] << 16)', '(product["high"] << 15)'),),
        depth=2,
        complete=True,
    ),
    Proof(
        name="requantisation, negative",
        module="penstock.sim.formal.claims.arithmetic",
        build=_itself("negative"),
        claims="any negative product and shift give 0",
        faults=(Fault("Mux(rounded < 0, 0, ", "Mux(rounded < -1, 0, "),),
        depth=2,
        complete=True,
    ),
    Proof(
        name="packed product",
        module="penstock.hw.array.packed",
        build=arithmetic.packed_product,
        claims="any activation times any two packed weights is both products",
        faults=(Fault("_FIELD = 17", "_FIELD = 18"),),
        depth=2,
        complete=True,
    ),
    Proof(
        name="packed fields",
        module="penstock.hw.array.packed",
        build=arithmetic.fields,
        claims="the fields of any two rows' products together are both columns' sums",
        faults=(Fault("_FIELD = 17", "_FIELD = 16"),),
        depth=2,
        complete=True,
    ),
    Proof(
        name="packed cell",
        module="penstock.hw.array.packed",
        build=arithmetic.packed_cell,
        claims="from any state: weights that are shifted and swapped in, and others while these "
        "are in use, give the fields of their packed products with any activations, added to the "
        "sums from above",
        faults=(
            Fault("Cat(pair.left, gap, pair.right)", "Cat(pair.left, pair.right)"),
            Fault("mac.i_swap.eq(self.i_swap[row])", "mac.i_swap.eq(self.i_swap[0])"),
        ),
        depth=15,
    ),
)


_BEGIN, _END = "<!-- make docs: proofs -->\n", "<!-- end -->\n"


def with_proofs(page: str) -> str:
    """A page with the table of the proofs between its two marks."""
    lines = ["| block | module | claims | proof | faults found |", "|---|---|---|---|---|"]
    lines += [
        f"| {p.name} | `{p.module}` | {p.claims} | {p.kind} | {len(p.faults)} |" for p in PROOFS
    ]
    before, rest = page.split(_BEGIN)
    _, after = rest.split(_END)
    return before + _BEGIN + "\n".join(lines) + "\n" + _END + after
