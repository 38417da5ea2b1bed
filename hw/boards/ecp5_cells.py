"""Cells of Lattice's ECP5: clocks and pads."""

from __future__ import annotations

from amaranth import ClockDomain, ClockSignal, Const, Instance, Module, Signal, Value
from amaranth.hdl import IOValue
from amaranth.lib.cdc import ResetSynchronizer

__all__ = ["Pll", "add_clock_output", "add_input", "add_output", "add_tristate"]

# The oscillator's frequency must be within these, in MHz.
_VCO = (400.0, 800.0)


class Pll:
    """Parameters of an EHXPLLL that makes one frequency with two phases.

    Parameters
    ----------
    input_mhz, output_mhz : float
    phase : float
        Phase of the second output after the first, as a fraction of a period; rounded to an
        available one.

    Raises
    ------
    ValueError
        If there are no divisors for these frequencies.
    """

    def __init__(self, *, input_mhz: float, output_mhz: float, phase: float) -> None:
        if not 0 <= phase < 1:
            raise ValueError(f"phase must be from 0 to below 1, not {phase!r}")
        ratios = [
            (divide, multiply)
            for divide in range(1, 9)
            for multiply in range(1, 81)
            if abs(input_mhz * multiply / divide - output_mhz) < 1e-6
        ]
        outputs = [k for k in range(1, 129) if _VCO[0] <= output_mhz * k <= _VCO[1]]
        if not ratios or not outputs:
            raise ValueError(f"no PLL makes {output_mhz:g} MHz from {input_mhz:g} MHz")
        self.input_mhz = input_mhz
        self.output_mhz = output_mhz
        self.divide, self.multiply = ratios[0]
        self.output = outputs[len(outputs) // 2]
        eighths = round(phase * self.output * 8) % (self.output * 8)
        self.coarse, self.fine = divmod(eighths, 8)

    @property
    def phase(self) -> float:
        """The second output's phase, as a fraction of a period."""
        return (self.coarse * 8 + self.fine) / (self.output * 8)

    def add(self, m: Module, clock: Value, *, first: str, second: str) -> None:
        """Add the PLL and two clock domains: `first` with a reset until it has locked."""
        locked = Signal(name="pll_locked")
        domain = ClockDomain(first)
        m.domains += [domain, ClockDomain(second, reset_less=True)]
        parameters = {
            "PLLRST_ENA": "DISABLED",
            "INTFB_WAKE": "DISABLED",
            "STDBY_ENABLE": "DISABLED",
            "DPHASE_SOURCE": "DISABLED",
            "OUTDIVIDER_MUXA": "DIVA",
            "OUTDIVIDER_MUXB": "DIVB",
            "OUTDIVIDER_MUXC": "DIVC",
            "OUTDIVIDER_MUXD": "DIVD",
            "FEEDBK_PATH": "CLKOP",
            "CLKI_DIV": self.divide,
            "CLKFB_DIV": self.multiply,
            "CLKOP_ENABLE": "ENABLED",
            "CLKOP_DIV": self.output,
            "CLKOP_CPHASE": 0,
            "CLKOP_FPHASE": 0,
            "CLKOS_ENABLE": "ENABLED",
            "CLKOS_DIV": self.output,
            "CLKOS_CPHASE": self.coarse,
            "CLKOS_FPHASE": self.fine,
        }
        # Analogue settings, as from Lattice's tools.
        attributes = {
            "ICP_CURRENT": "12",
            "LPF_RESISTOR": "8",
            "MFG_ENABLE_FILTEROPAMP": "1",
            "MFG_GMCREF_SEL": "2",
            "FREQUENCY_PIN_CLKI": f"{self.input_mhz:g}",
            "FREQUENCY_PIN_CLKOP": f"{self.output_mhz:g}",
            "FREQUENCY_PIN_CLKOS": f"{self.output_mhz:g}",
        }
        low = ("RST", "STDBY", "PHASESEL0", "PHASESEL1", "PLLWAKESYNC", "ENCLKOP")
        high = ("PHASEDIR", "PHASESTEP", "PHASELOADREG")
        m.submodules.pll = Instance(
            "EHXPLLL",
            **{f"a_{name}": value for name, value in attributes.items()},
            **{f"p_{name}": value for name, value in parameters.items()},
            **{f"i_{name}": Const(0, 1) for name in low},
            **{f"i_{name}": Const(1, 1) for name in high},
            i_CLKI=clock,
            i_CLKFB=ClockSignal(first),
            o_CLKOP=ClockSignal(first),
            o_CLKOS=ClockSignal(second),
            o_LOCK=locked,
        )
        m.submodules.pll_reset = ResetSynchronizer(~locked, domain=first)


def _register(m: Module, name: str, kind: str, value: Value, *, init: int = 0) -> Signal:
    """Return `value` after a register in a pad: `kind` is I for one on the way in, O out."""
    result = Signal(name=name)
    reset, cell = ("PD", "BX") if init else ("CD", "DX")
    m.submodules[name] = Instance(
        f"{kind}FS1P3{cell}",
        **{f"i_{reset}": Const(0, 1)},
        i_SCLK=ClockSignal(),
        i_SP=Const(1, 1),
        i_D=value,
        o_Q=result,
    )
    return result


def add_input(m: Module, name: str, pad: IOValue, *, registered: bool = False) -> Signal:
    """Return the input of a pad."""
    result = Signal(name=name)
    m.submodules[f"{name}_pad"] = Instance("IB", io_I=pad, o_O=result)
    return _register(m, f"{name}_in", "I", result) if registered else result


def add_output(
    m: Module, name: str, pad: IOValue, value: Value, *, registered: bool = False, init: int = 0
) -> None:
    """Drive a pad."""
    if registered:
        value = _register(m, f"{name}_out", "O", value, init=init)
    m.submodules[f"{name}_pad"] = Instance("OB", i_I=value, io_O=pad)


def add_tristate(m: Module, name: str, pad: IOValue, value: Value, enable: Value) -> Signal:
    """Drive a pad while `enable` is high, and return what is there; with registers in the pad."""
    result = Signal(name=name)
    m.submodules[f"{name}_pad"] = Instance(
        "BB",
        i_I=_register(m, f"{name}_out", "O", value),
        i_T=_register(m, f"{name}_off", "O", ~enable, init=1),
        o_O=result,
        io_B=pad,
    )
    return _register(m, f"{name}_in", "I", result)


def add_clock_output(m: Module, name: str, pad: IOValue, *, domain: str) -> None:
    """Output a domain's clock at a pad, over the pads' dedicated fast paths."""
    value = Signal(name=name)
    m.submodules[f"{name}_out"] = Instance(
        "ODDRX1F",
        i_SCLK=ClockSignal(domain),
        i_RST=Const(0, 1),
        i_D0=Const(1, 1),
        i_D1=Const(0, 1),
        o_Q=value,
    )
    m.submodules[f"{name}_pad"] = Instance("OB", i_I=value, io_O=pad)
