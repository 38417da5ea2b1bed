"""A program during emission: descriptors and constants with section-relative addresses."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from penstock.host.program.compile_error import CompileError
from penstock.models.spec.isa import ENGINE_WAITS, Op, encode

__all__ = ["Constants", "Record", "Recorder", "weights_ahead"]

# A wait count must be less than 2**15 behind the engine's count when it is checked.
_OLDEST_WAIT = 1 << 14

ALIGNMENT = 64


@dataclass
class Record:
    """A descriptor whose memory address is relative to its section.

    Parameters
    ----------
    op : Op
    values : dict
        As `models.spec.isa.encode` takes them.
    section : str
        ``const`` or ``data``: what `mem` is relative to; empty without `mem`.
    layer : str
        The hardware layer it works for.
    part : str
        Which part of the layer, in a few words.
    """

    op: Op
    values: dict[str, int]
    section: str
    layer: str
    part: str

    def encode(self, bases: dict[str, int]) -> bytes:
        """Return the descriptor for sections that start at `bases`.

        Raises
        ------
        CompileError
            If a value does not fit its field.
        """
        values = dict(self.values)
        if self.section:
            values["mem"] += bases[self.section]
        try:
            return encode(self.op, values)
        except ValueError as error:
            raise CompileError(f"layer {self.layer}: {error}") from None


class Constants:
    """The constant section: weights, parameters, tables; equal items are stored once."""

    def __init__(self) -> None:
        self.parts: list[bytes] = []
        self.size = 0
        self._known: dict[bytes, int] = {}

    def add(self, data: bytes) -> int:
        """Store `data`; return its offset, a multiple of 64."""
        if data not in self._known:
            self._known[data] = self.size
            padded = data + bytes(-len(data) % ALIGNMENT)
            self.parts.append(padded)
            self.size += len(padded)
        return self._known[data]

    def skip(self, size: int) -> int:
        """Reserve `size` bytes without contents; return their offset."""
        start = self.size
        self.size += -(-size // ALIGNMENT) * ALIGNMENT
        return start


class Recorder:
    """Descriptors in program order, counted for each engine.

    Members
    -------
    records : list of Record
    layer : str
        The hardware layer being emitted.
    """

    def __init__(self) -> None:
        self.records: list[Record] = []
        self.layer = ""
        self._count = dict.fromkeys(Op, 0)

    def count(self, op: Op) -> int:
        """Descriptors of an engine so far."""
        return self._count[op]

    def emit(
        self,
        op: Op,
        values: dict[str, int],
        *,
        section: str = "",
        part: str = "",
        layer: str | None = None,
        **waits: int,
    ) -> int:
        """Append a descriptor.

        Parameters
        ----------
        values : dict
            All fields except the waits.
        section, part : str
            As in `Record`.
        layer : str or None
            The hardware layer it works for, if not the one being emitted.
        waits : int
            By engine, such as ``load=3``: how many of its descriptors must be complete.

        Returns
        -------
        int
            The engine's descriptor count, this one included: the value others wait for.
        """
        fields = dict(values)
        for engine in ENGINE_WAITS[op]:
            name = engine.name.lower()
            wait = max(waits.get(name, 0), self._count[engine] - _OLDEST_WAIT)
            fields[f"wait_{name}"] = wait & 0xFFFF
        self.records.append(Record(op, fields, section, layer or self.layer, part))
        self._count[op] += 1
        return self._count[op]

    def mark_last_post(self) -> None:
        """Make the last POST so far append the layer log entry."""
        last = next(record for record in reversed(self.records) if record.op is Op.POST)
        last.values["mark"] = 1


def weights_ahead(records: Iterable[Record]) -> Iterator[Record]:
    """Yield descriptors with each WEIGHTS moved before the CONVs of the previous tile.

    It is fetched earlier, so that the weights have arrived when the tile begins.  WEIGHTS have
    no waits and nothing waits for them.  At most two are outstanding before their CONV, which
    fits the shortest queue.
    """
    held: list[Record] = []  # from a tile's first CONV on, until the next WEIGHTS is known
    for record in records:
        if record.op is Op.WEIGHTS:
            yield record
            yield from held
            held.clear()
        elif held or (record.op is Op.CONV and record.values["first"]):
            held.append(record)
        else:
            yield record
    yield from held
