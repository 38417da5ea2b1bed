"""Faults injected into the simulated core, with the required outcome of each.

Every case is a seed.  Under a random memory timing it runs one of the programs of
`tests.support.targets` with one fault, and then, on the same device, another program without a
fault, which must be right.  A case fails

* if a run ends neither right nor with an error that names the cause, or continues without memory
  traffic for longer than its watchdog and its own work together (a hang);
* if a run ends without an error but with a wrong byte (a silent wrong result);
* if any byte of memory changed that the program does not write;
* if the next run is not right.

``python -m tests.support.faults COUNT SEED`` injects COUNT faults and prints the outcomes.
"""

from __future__ import annotations

import re
import sys
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field, replace

import numpy as np

from penstock.host.devices.device import Buffer, DeviceError
from penstock.host.devices.rtl import RtlDevice
from penstock.host.devices.rtl_model import Fault, Profile
from penstock.host.program.program import Program
from penstock.models.spec.arch import get_arch
from penstock.models.spec.isa import DESCRIPTOR_BYTES
from penstock.models.spec.regs import ERROR_SOURCES
from tests.support.targets import INPUTS, Target, load_targets, random_profile

__all__ = ["ARCH", "KINDS", "MEMORY", "Campaign", "Case", "Failed", "WatchedDevice", "flip_bits"]

ARCH = get_arch("tiny")
MEMORY = 1 << 20
WATCHDOG = 2000

# Upper bound of the cycles of a run with any memory timing drawn here.
LONGEST = 1_000_000

# Cycles spent reading registers before the error of a run is read.
_READS = 200

# Cycles within which a core whose memory answers must have stopped.
STOPPED = 20_000


class Failed(AssertionError):
    """A case with a wrong outcome."""


class WatchedDevice(RtlDevice):
    """A device that records how long memory was idle when a run ended in an error."""

    quiet = 0

    def describe_error(self, program: Program, buffer: Buffer) -> str:
        self.quiet = self.model.quiet
        return super().describe_error(program, buffer)


@dataclass
class Campaign:
    """A device with the programs loaded, and the outcomes of the cases so far.

    Attributes
    ----------
    outcomes : Counter
        Cases by kind and outcome: ``error`` or ``right``.
    """

    device: WatchedDevice
    targets: list[Target] = field(default_factory=list)
    outcomes: Counter[tuple[str, str]] = field(default_factory=Counter)

    def __post_init__(self) -> None:
        self.targets = load_targets(self.device)

    def case(self, seed: int) -> None:
        """Inject the fault of a seed, then check a run without a fault.

        Raises
        ------
        Failed
            The message has the seed, the kind of fault, and what is wrong.
        """
        rng = np.random.default_rng(seed)
        kind = str(rng.choice(list(KINDS), p=_SHARES))
        case = Case(self, rng)
        try:
            outcome = KINDS[kind](case)
            case.next_run()
        except Failed as error:
            raise Failed(f"seed {seed}: {kind}: {case.target.network.name}: {error}") from None
        self.outcomes[kind, outcome] += 1


class Case:
    """One case in progress."""

    def __init__(self, campaign: Campaign, rng: np.random.Generator) -> None:
        self.campaign = campaign
        self.rng = rng
        self.device = campaign.device
        self.memory = self.device.memory
        self.device.watchdog = WATCHDOG
        self.pick()

    def below(self, limit: int) -> int:
        """Draw a number."""
        return int(self.rng.integers(limit))

    def pick(self) -> None:
        """Choose program, input and memory timing, and write program and input to memory."""
        self.target = self.campaign.targets[self.below(len(self.campaign.targets))]
        self.number = self.below(INPUTS)
        self.device.profile = random_profile(self.rng)
        self.target.prepare(self.memory, self.number, self.below(256))
        self.before = self.memory.copy()

    def run(self) -> str | None:
        """Run; return the error's text, or None if the run ended without one, and right.

        Raises
        ------
        Failed
            If it does not end in time, ends wrong, or writes where it must not.
        """
        model = self.device.model
        begin = model.cycles
        self.device.quiet = 0
        try:
            self.device.run(self.target.program, self.target.buffer, timeout=60)
            text = None
        except DeviceError as error:
            text = str(error)
        if text is not None and ("no end after" in text or "rules broken" in text):
            raise Failed(text)
        if model.cycles - begin > LONGEST:
            raise Failed(f"it took {model.cycles - begin} cycles")
        # The engines' work without memory traffic is bounded by their whole work.
        if self.device.quiet > self.device.watchdog + self.target.cycles + _READS:
            raise Failed(f"memory moved nothing for {self.device.quiet} cycles: {text}")
        self.untouched()
        if text is None:
            self.right()
        elif "\n" in text or not re.search(r"beats received: .* \d+ of \d+", text):
            raise Failed(f"no counts in one line: {text!r}")
        return text

    def untouched(self) -> None:
        """Check that all memory that the program does not write is unchanged."""
        now = self.memory.copy()
        for part in self.target.written:
            now[part] = self.before[part]
        wrong = np.flatnonzero(now != self.before)
        if len(wrong):
            raise Failed(f"{len(wrong)} bytes outside the buffers changed, at {wrong[0]:#x} first")

    def right(self) -> None:
        """Compare the results with those of the first run."""
        found, golden = self.target.found(self.memory), self.target.results[self.number]
        wrong = np.flatnonzero(found != golden)
        if len(wrong):
            raise Failed(f"{len(wrong)} wrong bytes and no error")

    def next_run(self) -> None:
        """Run a program without a fault: it must be right."""
        self.device.watchdog = WATCHDOG
        self.pick()
        text = self.run()
        if text is not None:
            raise Failed(f"the next run, of {self.target.network.name}, fails: {text}")

    def must(self, text: str | None, pattern: str) -> str:
        """Expect an error that begins like `pattern`."""
        if text is None or not re.match(pattern, text):
            raise Failed(f"expected an error like {pattern!r}, got {text!r}")
        return "error"

    def must_not(self, text: str | None) -> str:
        """Expect no error."""
        if text is not None:
            raise Failed(f"expected no error, got {text!r}")
        return "right"

    def begin(self) -> None:
        """Start a run, and continue for some cycles, or to its end."""
        self.device.start(self.target.program, self.target.buffer)
        self.device.model.run(self.below(2 * self.target.cycles))

    def port(self, *, beyond: int) -> tuple[str, int, int]:
        """Draw a port and one of its beats, or one up to `beyond` after its last."""
        port = ERROR_SOURCES[self.below(len(ERROR_SOURCES))]
        beats = self.target.program.traffic.beats[port]
        return port, self.below(beats + beyond), beats


def timing(case: Case) -> str:
    """Random latency and back-pressure on every channel: only the timing may change."""
    return case.must_not(case.run())


def response(kind: Fault) -> Callable[[Case], str]:
    """Answer one beat of one port with an error."""

    def inject(case: Case) -> str:
        port, beat, beats = case.port(beyond=4)
        case.device.plan_fault(port, kind, beat)
        text = case.run()
        case.device.plan_fault(port, Fault.NONE)
        if beat >= beats:
            return case.must_not(text)
        return case.must(text, f"memory answered port {port} with {kind.name}: beats received: ")

    return inject


def hang(case: Case) -> str:
    """Block one port from some beat on; for writes the acknowledgements count."""
    port, beat, beats = case.port(beyond=4)
    case.device.plan_fault(port, Fault.HANG, beat)
    text = case.run()
    case.device.plan_fault(port, Fault.NONE)
    if beat >= beats + (port == "out"):
        return case.must_not(text)
    case.must(text, f"no progress for {WATCHDOG} cycles: beats received: ")
    assert text is not None
    received, expected = map(int, re.findall(rf"{port} (\d+) of (\d+)", text)[0])
    if not received < expected <= beats or received > beat:
        raise Failed(f"{port} hangs at beat {beat} of {beats}: {text}")
    return "error"


def deaf(case: Case) -> str:
    """Accept no address of one port from some beat on; the earlier ones may suffice."""
    port, beat, beats = case.port(beyond=0)
    case.device.plan_fault(port, Fault.NO_ADDRESS, beat)
    text = case.run()
    case.device.plan_fault(port, Fault.NONE)
    if text is None and beat:
        return "right"
    case.must(text, f"no progress for {WATCHDOG} cycles: beats received: ")
    assert text is not None
    received = int(re.findall(rf"{port} (\d+) of \d+", text)[0])
    if received >= beats:
        raise Failed(f"{port} got all its {beats} beats: {text}")
    return "error"


def silent(case: Case) -> str:
    """Acknowledge no write from some beat on."""
    beats = case.target.program.traffic.beats["out"]
    case.device.plan_fault("out", Fault.NO_ANSWER, case.below(beats + 1))
    text = case.run()
    case.device.plan_fault("out", Fault.NONE)
    return case.must(text, f"no progress for {WATCHDOG} cycles: beats received: out ")


def flip(case: Case) -> str:
    """Flip one bit of one descriptor, which must be refused and named."""
    index, bit = case.below(case.target.program.desc_count), case.below(8 * DESCRIPTOR_BYTES)
    return flip_bits(case, index, {bit})


def flip_bits(case: Case, index: int, bits: set[int]) -> str:
    """Flip these bits of this descriptor."""
    program = case.target.program
    start = case.target.buffer.offset + program.desc_offset + index * DESCRIPTOR_BYTES
    for bit in bits:
        case.memory[start + bit // 8] ^= 1 << bit % 8
    case.before[start : start + DESCRIPTOR_BYTES] = case.memory[start : start + DESCRIPTOR_BYTES]
    text = case.run()
    count, first = len({bit // 8 for bit in bits}), min(bits) // 8
    where = f"; {count} of {DESCRIPTOR_BYTES} bytes differ in memory, the first at {first}: "
    return case.must(text, f"descriptor {index} is damaged or for no engine: .*{where}")


def flip_several(case: Case) -> str:
    """Flip two to four bits of one descriptor, or some bits within a burst of up to 32."""
    index, low = case.below(case.target.program.desc_count), case.below(8 * DESCRIPTOR_BYTES - 32)
    if case.below(2):
        bits = {low, *(low + case.below(32) for _ in range(1 + case.below(20)))}
    else:
        bits = {case.below(8 * DESCRIPTOR_BYTES) for _ in range(2 + case.below(3))}
    return flip_bits(case, index, bits)


def abort(case: Case) -> str:
    """Soft-reset the core at some cycle: it stops when all outstanding bursts are complete."""
    device = case.device
    case.begin()
    device.csr.begin_reset()
    for _ in range(STOPPED // 100):
        if device.csr.idle:
            break
        device.model.run(100)
    else:
        raise Failed(f"not idle after {STOPPED} cycles: {device.csr.diagnosis()}")
    if device.csr.read("STATUS") or device.model.irq:
        raise Failed(f"STATUS is {device.csr.read('STATUS'):#x}")
    case.untouched()
    return "right"


def reset(case: Case) -> str:
    """Reset the whole core by its pin at some cycle."""
    case.begin()
    case.device.model.reset()
    if case.device.csr.read("STATUS") or case.device.model.irq:
        raise Failed(f"STATUS is {case.device.csr.read('STATUS'):#x}")
    case.untouched()
    return "right"


def restart(case: Case) -> str:
    """Set the start bit during a run, which must not be disturbed."""
    model = case.device.model
    case.begin()
    if not model.irq:
        case.device.csr.write("CTRL", 1)
    model.run(LONGEST)
    if not case.device.csr.idle:
        # The run had ended before the start bit was written: this is a new run.
        case.device.csr.acknowledge()
        model.run(LONGEST)
    if not model.irq or case.device.csr.failed:
        raise Failed(f"the run does not end: {case.device.csr.describe_error()}")
    case.untouched()
    case.right()
    return "right"


def expire(case: Case) -> str:
    """Let the watchdog expire while memory is slow: the run stops, the core does not hang."""
    case.device.watchdog = 50 + case.below(200)
    case.device.profile = Profile(latency=case.device.watchdog + 20 + case.below(1000))
    resets = case.device.model.resets
    case.must(case.run(), f"no progress for {case.device.watchdog} cycles: beats received: ")
    if case.device.model.resets != resets:
        raise Failed("the core did not stop by itself")
    return "error"


def foreign(case: Case) -> str:
    """Run a program for another arch, or one that does not fit its buffer: it must not start."""
    program, buffer = case.target.program, case.target.buffer
    pattern = f"the program is for arch {program.arch_name} .* the device is tiny "
    if case.below(2):
        bit = 1 << case.below(64)
        program = replace(program, arch_fingerprint=program.arch_fingerprint ^ bit)
    else:
        buffer = Buffer(buffer.offset, case.below(program.arena_bytes))
        pattern = f"the program needs {program.arena_bytes} bytes, the buffer has {buffer.size}"
    writes = case.device.csr.writes
    try:
        case.device.run(program, buffer)
    except DeviceError as error:
        case.must(str(error), pattern)
    else:
        raise Failed("it ran")
    if case.device.csr.writes != writes:
        raise Failed("registers were written")
    case.untouched()
    return "error"


def absent(case: Case) -> str:
    """Run at an address without memory."""
    base = MEMORY + 4096 * case.below(1000)
    buffer = Buffer(base, case.target.buffer.size)
    try:
        case.device.run(case.target.program, buffer)
    except DeviceError as error:
        text = str(error)
    else:
        raise Failed("it ran")
    case.untouched()
    return case.must(text, "memory answered port desc with DECERR: beats received: ")


# Shares of the kinds, out of 100, and the functions that inject them.
_TABLE: tuple[tuple[int, str, Callable[[Case], str]], ...] = (
    (10, "memory timing", timing),
    (14, "SLVERR", response(Fault.SLVERR)),
    (14, "DECERR", response(Fault.DECERR)),
    (12, "memory stops", hang),
    (5, "no address accepted", deaf),
    (4, "no write acknowledged", silent),
    (15, "descriptor bit", flip),
    (3, "descriptor bits", flip_several),
    (10, "abort", abort),
    (5, "reset", reset),
    (3, "start while running", restart),
    (2, "watchdog", expire),
    (2, "wrong program", foreign),
    (1, "no memory", absent),
)
KINDS = {name: inject for _, name, inject in _TABLE}
_SHARES = [share / 100 for share, _, _ in _TABLE]


def report(outcomes: Counter[tuple[str, str]]) -> str:
    """Return a table of the outcomes."""
    lines = [f"{'fault':<24}{'injected':>9}{'error':>9}{'right':>9}"]
    total = Counter[str]()
    for kind in KINDS:
        error, right = outcomes[kind, "error"], outcomes[kind, "right"]
        total.update(error=error, right=right)
        lines.append(f"{kind:<24}{error + right:>9}{error:>9}{right:>9}")
    error, right = total["error"], total["right"]
    lines.append(f"{'all':<24}{error + right:>9}{error:>9}{right:>9}")
    return "\n".join(lines)


def main(count: int, seed: int) -> int:
    """Inject `count` faults from `seed` on; return the exit status."""
    failures = []
    begin = time.monotonic()
    with WatchedDevice(ARCH, memory_bytes=MEMORY) as device:
        campaign = Campaign(device)
        for number in range(seed, seed + count):
            try:
                campaign.case(number)
            except Failed as error:
                failures.append(str(error))
                print(error, flush=True)
            done = number + 1 - seed
            if done % 500 == 0:
                print(f"{done} of {count}", file=sys.stderr, flush=True)
    print(report(campaign.outcomes))
    print(f"every run after a fault was right, but for {len(failures)} cases that failed")
    print(f"seeds {seed} to {seed + count - 1}, {time.monotonic() - begin:.0f} s")
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main(int(sys.argv[1]), int(sys.argv[2])))
