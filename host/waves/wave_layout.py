"""A layout for GTKWave beside a waveform: the core's signals in groups, as data goes through it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from fnmatch import fnmatchcase
from pathlib import Path

from penstock.host.waves.fst_hierarchy import signals
from penstock.models.spec.regs import LOG_FIELDS

__all__ = ["GROUPS", "SUFFIX", "layout", "layout_path", "write_layout"]

SUFFIX = ".gtkw"
# The first line, by which a layout of ours is known from one that GTKWave saved.
_MARK = "[*] Written by penstock with the waveform."

_ENGINES = ("load", "weights", "conv", "drain", "post")
_STREAM = ("valid", "ready", "payload")


def _stream(name: str) -> tuple[str, ...]:
    return tuple(f"{name}__{member}" for member in _STREAM)


def _port(name: str, *members: str) -> tuple[str, ...]:
    return tuple(f"m_{name}__{member}" for member in members)


_READS = ("arvalid", "arready", "araddr", "arlen", "rvalid", "rready", "rdata", "rlast", "rresp")
_WRITES = (
    *("awvalid", "awready", "awaddr", "awlen", "wvalid", "wready", "wdata", "wlast"),
    *("bvalid", "bready", "bresp"),
)

# Groups, and the signals in them: names below the core, where * stands for any text.
GROUPS: dict[str, tuple[str, ...]] = {
    "run": ("clk", "busy", "error", "irq", "csr_bank.start", "csr_bank.halt"),
    "descriptors": (
        *_stream("sequencer.data"),
        "sequencer.fetched",
        *(name for engine in _ENGINES for name in _stream(f"sequencer.o_{engine}")),
        *(f"sequencer.done_{engine}" for engine in _ENGINES),
        "sequencer.conv_waiting",
    ),
    "DMA desc": _port("desc", *_READS),
    "DMA wgt": _port("wgt", *_READS),
    "DMA act": _port("act", *_READS),
    "DMA out": _port("out", *_WRITES),
    "streams": (
        *_stream("load.data"),
        *_stream("weights.data"),
        *_stream("weights.params"),
        *_stream("post.o"),
    ),
    "array": (
        *("load.act__en", "load.act__addr", "load.act__data"),
        *("conv.act__en", "conv.act__addr", "conv.act__data"),
        *_stream("weights.o"),
        *("conv.activity__busy", "conv.activity__wait_weights", "conv.activity__wait_bank"),
        *("conv.bank", "conv.filled", "conv.freed"),
    ),
    "drain": (
        *("drain.psums__en", "drain.psums__addr", "drain.psums__data__*"),
        *("drain.bias", "drain.multiplier", "drain.shift"),
        *("drain.out__en", "drain.out__addr", "drain.out__data", "drain.done"),
    ),
    "post": (
        *("post.out__en", "post.out__addr", "post.out__data"),
        *_stream("post.o"),
        *_stream("post.cmd"),
        *("post.written", "post.mark", "post.done"),
    ),
    "counters": (
        *(f"csr_bank.counts__{index}" for index in range(len(LOG_FIELDS))),
        "csr_bank.dmas__*__received",
    ),
}
# What signals are called that have a number for a name.
_ALIASES = {f"csr_bank.counts__{index}": name for index, (name, _) in enumerate(LOG_FIELDS)}

# How GTKWave shows a line: flags, in hexadecimal.
_BINARY, _HEX, _DECIMAL = "28", "22", "24"
_OPEN_GROUP, _CLOSED_GROUP, _END_GROUP = "800200", "c00200", "1000200"
# Groups that are unfolded at first; the others take a click.
_UNFOLDED = ("run", "descriptors", "array", "drain", "post")


def layout_path(waves: Path) -> Path:
    """Return where the layout of a waveform goes: beside it."""
    return waves.with_suffix(SUFFIX)


def _core(names: Iterable[str]) -> str:
    """Return the scope of the core, with a dot behind it.

    Raises
    ------
    ValueError
        If there is none.
    """
    marks = (".sequencer.fetched", ".dma_desc.control__halt")
    scopes = [
        {_bare(name)[: -len(mark)] for name in names if _bare(name).endswith(mark)}
        for mark in marks
    ]
    found = sorted(set.intersection(*scopes), key=len)
    if not found:
        raise ValueError("the waveform shows no core of Penstock")
    return found[0] + "."


def _bare(name: str) -> str:
    return name.partition("[")[0]


def _matching(names: Mapping[str, str], pattern: str) -> Iterator[str]:
    if "*" not in pattern:
        if pattern in names:
            yield pattern
        return
    yield from sorted(
        (name for name in names if fnmatchcase(name, pattern)),
        key=lambda name: (len(name), name),
    )


def layout(waves: Path) -> str:
    """Return the layout of a waveform, as GTKWave reads it.

    Only signals that are in the waveform are named.

    Parameters
    ----------
    waves : Path
        An FST file with the core in it, under any scope.

    Raises
    ------
    ValueError
        If it is no FST file, or has no core.
    OSError
        If it cannot be read.
    """
    widths = signals(waves)
    scope = _core(widths)
    full = {_bare(name).removeprefix(scope): name for name in widths if name.startswith(scope)}
    lines = [
        _MARK,
        f'[dumpfile] "{waves.resolve()}"',
        "[timestart] 0",
        f"[treeopen] {scope}",
        "[size] 1600 900",
        "[signals_width] 320",
    ]
    for title, patterns in GROUPS.items():
        shown = [name for pattern in patterns for name in _matching(full, pattern)]
        if not shown:
            continue
        lines += [f"@{_OPEN_GROUP if title in _UNFOLDED else _CLOSED_GROUP}", f"-{title}"]
        for name in shown:
            form = _BINARY if widths[full[name]] == 1 else _HEX
            if title == "counters":
                form = _DECIMAL
            # Of a name with dots GTKWave shows the last part only; not one `data__valid` is alone.
            alias = _ALIASES.get(name, name.replace(".", " "))
            lines += [f"@{form}", f"+{{{alias}}} {full[name]}"]
        lines += [f"@{_END_GROUP}", f"-{title}"]
    return "\n".join(lines) + "\n"


def write_layout(waves: Path) -> Path:
    """Write the layout of a waveform beside it; return its path.

    A layout of that name that GTKWave saved is kept: somebody's work.

    Raises
    ------
    ValueError
        If the waveform is no FST file, has no core, or has the layout's own name.
    OSError
        If a file cannot be read or written.
    """
    path = layout_path(waves)
    if path == waves:
        raise ValueError(f"{waves}: {SUFFIX} is what the layout of a waveform is called")
    text = layout(waves)
    if not path.exists() or path.read_text(encoding="utf-8", errors="replace").startswith(_MARK):
        path.write_text(text, encoding="utf-8")
    return path
