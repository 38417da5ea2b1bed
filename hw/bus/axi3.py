"""AXI3, which the ports of the Zynq's processor system speak, to and from our AXI4.

What AXI3 has differently: bursts of at most 16 beats, a `wid` beside each write beat, a two-bit
`lock`.  Our masters keep the first rule anyway, so on their side the bridges add constants (and
registers); the processor's own accesses, bursts of any kind with 12-bit ids, are taken apart into
single accesses of a register bank.
"""

from __future__ import annotations

from amaranth import Cat, Const, Module, Mux, Signal, Value
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out, flipped

from penstock.hw.bus.axi import Resp, axi_lite, axi_read, axi_write
from penstock.hw.lib.register_slice import RegisterSlice

__all__ = ["Axi3ReadMaster", "Axi3ToLite", "Axi3WriteMaster", "axi3", "axi3_read", "axi3_write"]

_LEN_BITS = 4
_LOW_BITS = 16

# "Normal, non-cacheable, bufferable": the processor's caches are not looked at on these ports.
_CACHE = 0b0011


def _address(prefix: str, *, addr_width: int, id_width: int) -> dict[str, wiring.Member]:
    members = {
        "id": Out(id_width),
        "addr": Out(addr_width),
        "len": Out(_LEN_BITS),
        "size": Out(3),
        "burst": Out(2),
        "lock": Out(2),
        "cache": Out(4),
        "prot": Out(3),
        "qos": Out(4),
        "valid": Out(1),
        "ready": In(1),
    }
    return {prefix + name: member for name, member in members.items()}


def _check(*, data_width: int, id_width: int) -> None:
    if data_width not in (32, 64):
        raise ValueError(f"data_width must be 32 or 64, not {data_width!r}")
    if not 1 <= id_width <= 12:
        raise ValueError(f"id_width must be from 1 to 12, not {id_width!r}")


def axi3_read(*, addr_width: int = 32, data_width: int = 64, id_width: int = 6) -> wiring.Signature:
    """Signature of a read-only AXI3 master.  Members are flat, as in `hw.bus.axi`.

    Raises
    ------
    ValueError
        If a width is one that the processor's ports do not have.
    """
    _check(data_width=data_width, id_width=id_width)
    return wiring.Signature(
        {
            **_address("ar", addr_width=addr_width, id_width=id_width),
            "rid": In(id_width),
            "rdata": In(data_width),
            "rresp": In(2),
            "rlast": In(1),
            "rvalid": In(1),
            "rready": Out(1),
        }
    )


def axi3_write(
    *, addr_width: int = 32, data_width: int = 64, id_width: int = 6
) -> wiring.Signature:
    """Signature of a write-only AXI3 master.

    Raises
    ------
    ValueError
        If a width is one that the processor's ports do not have.
    """
    _check(data_width=data_width, id_width=id_width)
    return wiring.Signature(
        {
            **_address("aw", addr_width=addr_width, id_width=id_width),
            "wid": Out(id_width),
            "wdata": Out(data_width),
            "wstrb": Out(data_width // 8),
            "wlast": Out(1),
            "wvalid": Out(1),
            "wready": In(1),
            "bid": In(id_width),
            "bresp": In(2),
            "bvalid": In(1),
            "bready": Out(1),
        }
    )


def axi3(*, addr_width: int = 32, data_width: int = 32, id_width: int = 12) -> wiring.Signature:
    """Signature of an AXI3 master that reads and writes; the widths are those of a GP port.

    Raises
    ------
    ValueError
        If a width is one that the processor's ports do not have.
    """
    widths = {"addr_width": addr_width, "data_width": data_width, "id_width": id_width}
    return wiring.Signature({**axi3_read(**widths).members, **axi3_write(**widths).members})


def _request(m: Module, prefix: str, bus: wiring.PureInterface, o: wiring.PureInterface) -> None:
    """Connect an address channel.  Ids are constant: everything stays in order."""

    def of(interface: wiring.PureInterface, name: str) -> Value:
        return getattr(interface, prefix + name)

    # The master promises at most 16 beats.
    forth = {"addr": 32, "len": _LEN_BITS, "size": 3, "burst": 2}
    m.submodules[prefix] = held = RegisterSlice(shape=data.StructLayout(forth))
    for name, width in forth.items():
        m.d.comb += [
            held.i.p[name].eq(of(bus, name)[:width]),
            of(o, name).eq(held.o.p[name]),
        ]
    m.d.comb += [
        held.i.valid.eq(of(bus, "valid")),
        of(bus, "ready").eq(held.i.ready),
        of(o, "valid").eq(held.o.valid),
        held.o.ready.eq(of(o, "ready")),
        of(o, "id").eq(0),
        of(o, "lock").eq(0),
        of(o, "cache").eq(_CACHE),
        of(o, "prot").eq(0),
        of(o, "qos").eq(0),
    ]


def _answer(
    m: Module,
    bus: wiring.PureInterface,
    o: wiring.PureInterface,
    names: tuple[str, ...],
    valid: str,
) -> None:
    """Connect an answering channel whose master is always ready."""
    for name in names:
        answer = Signal.like(getattr(o, name), name=f"held_{name}", reset_less=True)
        m.d.sync += answer.eq(getattr(o, name))
        m.d.comb += getattr(bus, name).eq(answer)
    held = Signal(name=f"held_{valid}")
    m.d.sync += held.eq(getattr(o, valid))
    m.d.comb += getattr(bus, valid).eq(held)


class Axi3ReadMaster(wiring.Component):
    """One of our read masters on an AXI3 port.

    All pins of the port come from registers and go to registers: the port may be far away.

    Members
    -------
    i : In(axi_read())
        `rready` must always be high.
    o : Out(axi3_read())
    """

    def __init__(self) -> None:
        super().__init__({"i": In(axi_read()), "o": Out(axi3_read())})

    def elaborate(self, platform: object) -> Module:
        m = Module()
        _request(m, "ar", self.i, self.o)
        _answer(m, self.i, self.o, ("rdata", "rresp", "rlast"), "rvalid")
        m.d.comb += [self.i.rid.eq(0), self.o.rready.eq(1)]
        return m


class Axi3WriteMaster(wiring.Component):
    """One of our write masters on an AXI3 port.

    All pins of the port come from registers and go to registers: the port may be far away.

    Members
    -------
    i : In(axi_write())
        `bready` must always be high, and `wstrb` all ones.
    o : Out(axi3_write())
    """

    def __init__(self) -> None:
        super().__init__({"i": In(axi_write()), "o": Out(axi3_write())})

    def elaborate(self, platform: object) -> Module:
        m = Module()
        _request(m, "aw", self.i, self.o)
        _answer(m, self.i, self.o, ("bresp",), "bvalid")
        m.submodules.w = held = RegisterSlice(shape=data.StructLayout({"data": 64, "last": 1}))
        m.d.comb += [
            held.i.p.data.eq(self.i.wdata),
            held.i.p.last.eq(self.i.wlast),
            held.i.valid.eq(self.i.wvalid),
            self.i.wready.eq(held.i.ready),
            self.o.wid.eq(0),
            self.o.wdata.eq(held.o.p.data),
            self.o.wstrb.eq(-1),
            self.o.wlast.eq(held.o.p.last),
            self.o.wvalid.eq(held.o.valid),
            held.o.ready.eq(self.o.wready),
            self.i.bid.eq(0),
            self.o.bready.eq(1),
        ]
        return m


class _Burst:
    """Registers of one burst under way: whose it is, the beat's address, what is left.

    `last` is known in the second cycle of a beat.
    """

    def __init__(self, m: Module, name: str, *, addr_width: int, id_width: int) -> None:
        self.id = Signal(id_width, name=f"{name}_id", reset_less=True)
        self.addr = Signal(addr_width, name=f"{name}_addr", reset_less=True)
        self.left = Signal(_LEN_BITS, name=f"{name}_left", reset_less=True)
        self.last = Signal(name=f"{name}_last", reset_less=True)
        m.d.sync += self.last.eq(self.left == 0)
        self.size = Signal(2, name=f"{name}_size", reset_less=True)
        self.increments = Signal(name=f"{name}_increments", reset_less=True)
        # Address bits that change from beat to beat; a wrapping burst has few of them.
        self.moves = Signal(addr_width, name=f"{name}_moves", reset_less=True)
        self._follow(m, name)

    def _follow(self, m: Module, name: str) -> None:
        """Make the next beat's address."""
        # A sum of 32 bits is a long path: the lower half's carry reaches the upper one a cycle
        # later.
        bits = len(self.addr)
        low = Signal(_LOW_BITS, name=f"{name}_following_low", reset_less=True)
        carry = Signal(name=f"{name}_following_carry", reset_less=True)
        high = Signal(bits - _LOW_BITS, name=f"{name}_following_high", reset_less=True)
        # Beats after the first are aligned to their size.
        aligned = self.addr[:_LOW_BITS] | Cat(self.size != 0, self.size[1])
        m.d.sync += [Cat(low, carry).eq(aligned + 1), high.eq(self.addr[_LOW_BITS:] + carry)]
        self.following = Cat(low, high)

    def take(self, m: Module, prefix: str, bus: wiring.PureInterface) -> None:
        """Load the burst that is on an address channel."""

        def of(name: str) -> Value:
            return getattr(bus, prefix + name)

        # The lengths of wrapping bursts are powers of two, so these are the wrapping bits.
        wrapped = Cat(Const(0b111, 3), of("len")) << of("size")
        m.d.sync += [
            self.id.eq(of("id")),
            self.addr.eq(of("addr")),
            self.left.eq(of("len")),
            self.size.eq(of("size")),
            self.increments.eq(of("burst") != 0),
            self.moves.eq(Mux(of("burst")[1], wrapped >> 3, -1)),
        ]

    def advance(self, m: Module) -> None:
        """Go on to the next beat, at the earliest in the third cycle after `take` or `advance`."""
        m.d.sync += self.left.eq(self.left - 1)
        with m.If(self.increments):
            m.d.sync += self.addr.eq((self.following & self.moves) | (self.addr & ~self.moves))


class Axi3ToLite(wiring.Component):
    """Gives an AXI3 master access to a bank of registers on AXI4-Lite.

    Bursts (fixed, incrementing, wrapping, of 1, 2 or 4 bytes a beat) become single accesses, one
    after the other; one read and one write burst are under way at a time.  Every beat is answered,
    those outside the window with DECERR.  A write burst's answer is the worst one of its beats;
    exclusive accesses are answered as plain ones, so they fail as they must.

    Parameters
    ----------
    base : int
        Bus address of the window; a multiple of its size.
    addr_width : int
        Bits of an address inside the window.

    Members
    -------
    i : In(axi3())
    o : Out(axi_lite(addr_width))
        Addresses are multiples of 4.
    """

    def __init__(self, *, base: int, addr_width: int = 14) -> None:
        if not 2 < addr_width < 32:
            raise ValueError(f"addr_width must be from 3 to 31, not {addr_width!r}")
        if not 0 <= base < 1 << 32 or base % (1 << addr_width):
            raise ValueError(
                f"base must be a 32-bit multiple of {1 << addr_width:#x}, not {base!r}"
            )
        self.base = base
        self.addr_width = addr_width
        super().__init__({"i": In(axi3()), "o": Out(axi_lite(addr_width=addr_width))})

    def elaborate(self, platform: object) -> Module:
        m = Module()
        self._write(m, flipped(self.i), self.o)
        self._read(m, flipped(self.i), self.o)
        return m

    def _burst(self, m: Module, name: str) -> _Burst:
        return _Burst(m, name, addr_width=32, id_width=12)

    def _inside(self, m: Module, burst: _Burst) -> Signal:
        """Whether the beat's address of the cycle before is in the window."""
        inside = Signal(name=f"{burst.addr.name}_inside")
        m.d.sync += inside.eq(burst.addr[self.addr_width :] == self.base >> self.addr_width)
        return inside

    def _word(self, burst: _Burst) -> Value:
        return Cat(Const(0, 2), burst.addr[2 : self.addr_width])

    def _write(self, m: Module, i: wiring.PureInterface, o: wiring.PureInterface) -> None:
        burst = self._burst(m, "write")
        resp = Signal(2, reset_less=True)
        data = Signal(32, reset_less=True)
        strobe = Signal(4, reset_less=True)
        m.d.comb += [
            i.bid.eq(burst.id),
            i.bresp.eq(resp),
            o.awaddr.eq(self._word(burst)),
            o.wdata.eq(data),
            o.wstrb.eq(strobe),
        ]

        inside = self._inside(m, burst)

        def beat_done(answer: Value) -> None:
            # Worse responses have greater numbers.
            with m.If(answer > resp):
                m.d.sync += resp.eq(answer)
            with m.If(burst.last):
                m.next = "answer"
            with m.Else():
                m.next = "advance"

        with m.FSM(name="write_state"):
            with m.State("address"):
                m.d.comb += i.awready.eq(1)
                m.d.sync += resp.eq(Resp.OKAY)
                burst.take(m, "aw", i)
                with m.If(i.awvalid):
                    m.next = "beat"
            with m.State("beat"):
                m.d.comb += i.wready.eq(1)
                m.d.sync += [data.eq(i.wdata), strobe.eq(i.wstrb)]
                with m.If(i.wvalid):
                    m.next = "look"
            with m.State("look"):
                with m.If(inside):
                    m.d.sync += [o.awvalid.eq(1), o.wvalid.eq(1)]
                    m.next = "access"
                with m.Else():
                    beat_done(Const(Resp.DECERR.value, 2))
            with m.State("access"):
                m.d.comb += o.bready.eq(1)
                with m.If(o.awready):
                    m.d.sync += o.awvalid.eq(0)
                with m.If(o.wready):
                    m.d.sync += o.wvalid.eq(0)
                with m.If(o.bvalid):
                    beat_done(o.bresp)
            with m.State("advance"):
                burst.advance(m)
                m.next = "beat"
            with m.State("answer"):
                m.d.comb += i.bvalid.eq(1)
                with m.If(i.bready):
                    m.next = "address"

    def _read(self, m: Module, i: wiring.PureInterface, o: wiring.PureInterface) -> None:
        burst = self._burst(m, "read")
        data = Signal(32, reset_less=True)
        resp = Signal(2, reset_less=True)
        m.d.comb += [
            i.rid.eq(burst.id),
            i.rdata.eq(data),
            i.rresp.eq(resp),
            i.rlast.eq(burst.last),
            o.araddr.eq(self._word(burst)),
        ]
        inside = self._inside(m, burst)
        with m.FSM(name="read_state"):
            with m.State("address"):
                m.d.comb += i.arready.eq(1)
                burst.take(m, "ar", i)
                with m.If(i.arvalid):
                    m.next = "beat"
            with m.State("beat"):
                m.next = "look"
            with m.State("look"):
                m.d.sync += [data.eq(0), resp.eq(Resp.DECERR)]
                with m.If(inside):
                    m.d.sync += o.arvalid.eq(1)
                    m.next = "access"
                with m.Else():
                    m.next = "answer"
            with m.State("access"):
                m.d.comb += o.rready.eq(1)
                m.d.sync += [data.eq(o.rdata), resp.eq(o.rresp)]
                with m.If(o.arready):
                    m.d.sync += o.arvalid.eq(0)
                with m.If(o.rvalid):
                    m.next = "answer"
            with m.State("answer"):
                m.d.comb += i.rvalid.eq(1)
                with m.If(i.rready):
                    with m.If(burst.last):
                        m.next = "address"
                    with m.Else():
                        m.next = "advance"
            with m.State("advance"):
                burst.advance(m)
                m.next = "beat"
