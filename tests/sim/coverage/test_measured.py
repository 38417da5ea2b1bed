"""Coverage of the hardware: branches of the core, classes of fields."""

from __future__ import annotations

from pathlib import Path

import pytest

from penstock.host.compiler.compile import compile_network
from penstock.host.devices.device import DeviceError
from penstock.host.devices.rtl import RtlDevice
from penstock.host.devices.rtl_model import Fault, ModelError
from penstock.models.spec.arch import get_arch
from penstock.models.spec.isa import FIELDS, Field, Op
from penstock.sim.coverage.covered import Branch, branches_of
from penstock.sim.coverage.field_classes import FieldCounts, classes
from penstock.sim.library.build import library
from tests.support.infer import check_maps, infer, load
from tests.support.measured import ARCH, branch_table, field_table
from tests.support.netgen import random_codes, random_network


@pytest.fixture(scope="module")
def branches() -> tuple[Branch, ...]:
    return branches_of(ARCH)


def places(branches: tuple[Branch, ...], path: str, text: str) -> list[Branch]:
    """The branches of a module whose line in the source has `text`."""
    lines = (Path(__file__).parents[3] / path).read_text(encoding="utf-8").splitlines()
    return [b for b in branches if b.path == path and text in lines[b.line - 1]]


def test_branches(branches: tuple[Branch, ...]) -> None:
    assert len(branches) == len(set(branches)) > 200
    # States are cases; a condition without m.Else has an implicit else.
    for state in ("IDLE", "SEEK", "ROWS"):
        (branch,) = places(branches, "hw/engines/post_scan.py", f'm.State("{state}")')
        assert not branch.past
    assert [b.past for b in places(branches, "hw/engines/post_scan.py", "m.If(self.step)")] == [
        False,
        True,
    ]
    assert [
        b.past for b in places(branches, "hw/engines/post_scan.py", "m.If(self.row.before_own)")
    ] == [False]


def test_covered_core_is_the_core_and_remembers(branches: tuple[Branch, ...]) -> None:
    network = random_network(5)
    codes = random_codes(network, 1)
    program = compile_network(network, ARCH)
    failed, _ = places(branches, "hw/core/run_control.py", "m.If(failed)")
    (run,) = places(branches, "hw/core/run_control.py", "m.Case(State.RUN)")
    with RtlDevice(ARCH, library=library(ARCH, top="covered")) as device:

        def taken() -> set[Branch]:
            bits = device.model.branches()
            assert not bits[len(branches) :].any()
            return {branch for branch, bit in zip(branches, bits) if bit}

        before = taken()
        assert run not in before
        buffer = load(device, program)
        check_maps(infer(device, program, buffer, codes), network, codes)
        between = taken()
        assert run in between
        assert failed not in between
        cycles = device.counters()["cycles"]
        device.plan_fault("act", Fault.SLVERR, 3)
        with pytest.raises(DeviceError, match="SLVERR"):
            infer(device, program, buffer, codes)
        after = taken()
        assert failed in after
        # Bits stay set, even in a reset.
        device.model.reset()
        assert before < between < after <= taken() < set(branches)
    with RtlDevice(ARCH) as plain:
        infer(plain, program, load(plain, program), codes)
        assert plain.counters()["cycles"] == cycles
        with pytest.raises(ModelError, match="cannot tell branches: the simulation was built with"):
            plain.model.branches()


def test_branch_table(branches: tuple[Branch, ...]) -> None:
    (missed,) = places(branches, "hw/engines/post_scan.py", 'm.State("SEEK")')
    lines = branch_table(branches, [i for i, b in enumerate(branches) if b != missed])
    count = len(branches)
    assert f"  {count - 1} of {count} ({1 - 1 / count:.1%}); not taken:" in lines
    assert lines[-1] == f'    hw/engines/post_scan.py:{missed.line} m.State("SEEK"):'
    inside = sum(branch.path == "hw/engines/post_scan.py" for branch in branches)
    counts = [" ".join(line.split()) for line in lines]
    assert f"hw/engines/post_scan.py {inside - 1} of {inside}" in counts


def field(op: Op, name: str) -> Field:
    return next(field for field in FIELDS[op] if field.name == name)


@pytest.mark.parametrize(
    ("op", "name", "expected"),
    [
        (Op.POST, "lrn", ("0", "1")),
        (Op.POST, "kernel", ("1", "2", "3")),
        (Op.POST, "stride", ("one", "more", "max")),
        (Op.POST, "y0", ("negative", "zero", "positive")),
        (Op.POST, "halo_rows", ("zero", "one", "more")),
        (Op.POST, "base", ("zero", "middle", "last")),
        (Op.POST, "mem", ()),
        (Op.CONV, "pad", ("zero", "one", "more", "max")),
        (Op.DRAIN, "count", ("one", "more", "max")),
        (Op.LOAD, "dest", ("ACT", "OUT", "TABLE")),
    ],
)
def test_classes(op: Op, name: str, expected: tuple[str, ...]) -> None:
    assert classes(op, field(op, name)) == expected


def descriptor(op: Op, **values: int) -> tuple[Op, dict[str, int]]:
    return op, {**{field.name: 0 for field in FIELDS[op][1:]}, **values}


def test_counts() -> None:
    fields = FieldCounts()
    fields.add(
        [
            descriptor(Op.POST, y0=-3, stride=15, kernel=1, channels=ARCH.rows, mem=8),
            descriptor(Op.POST, y0=0, stride=1, kernel=3, channels=1, base=ARCH.out_words - 1),
            descriptor(Op.POST, y0=7, stride=14, kernel=3, halo_rows=65535, base=1),
            descriptor(Op.LOAD, dest=0, base=ARCH.out_words - 1, plane_stride=8),
            descriptor(Op.LOAD, dest=1, base=ARCH.out_words - 1, plane_stride=16),
            descriptor(Op.LOAD, dest=2, base=127),
        ],
        ARCH,
    )
    rows = dict(fields.rows())
    assert rows["POST.y0"] == {"negative": 1, "zero": 1, "positive": 1}
    assert rows["POST.stride"] == {"one": 1, "more": 1, "max": 1}
    assert rows["POST.kernel"] == {"1": 1, "2": 0, "3": 2}
    assert rows["POST.channels"] == {"one": 1, "more": 0, "max": 1}
    assert rows["POST.halo_rows"] == {"zero": 2, "one": 0, "more": 1}
    assert rows["POST.base"] == {"zero": 1, "middle": 1, "last": 1}
    assert rows["LOAD.dest"] == {"ACT": 1, "OUT": 1, "TABLE": 1}
    assert rows["LOAD.plane_stride"] == {"zero": 1, "one": 1, "more": 1}
    assert rows["LOAD.base"] == {"zero": 0, "middle": 1, "last": 2}
    assert "POST.mem" not in rows
    assert not any(rows["CONV.n_cb"].values())
    text = "\n".join(field_table(fields))
    assert "  POST.y0                negative 1  zero 1  positive 1\n" in text
    assert "POST.kernel 2" in text.partition("not seen:")[2]
    assert "POST.kernel 3" not in text.partition("not seen:")[2]


def test_one_may_be_the_most() -> None:
    arch = get_arch("tang-nano-20k")
    assert arch.cols // arch.drain_lanes == 2
    fields = FieldCounts()
    fields.add([descriptor(Op.DRAIN, lane_groups=1), descriptor(Op.DRAIN, lane_groups=2)], arch)
    assert dict(fields.rows())["DRAIN.lane_groups"] == {"one": 1, "more": 0, "max": 1}
