"""The queue of LOADs that fill the activation buffer, in order of use through the whole program.

The first LOAD in the queue can be emitted once the POST that stores its source and the CONV that
frees its words are in the program.  It may thus run bands or a layer ahead of its use.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from itertools import pairwise

from penstock.host.compiler.emission.maps import Maps
from penstock.host.compiler.emission.record import Recorder
from penstock.host.compiler.emission.tile import Plan, Tile
from penstock.host.compiler.lowering.segment import Segment
from penstock.host.program.allocator import Region, Ring
from penstock.host.program.tensor_layout import Planes
from penstock.models.spec.arch import Arch
from penstock.models.spec.isa import Dest, Op

__all__ = ["LoadQueue", "Loaded", "Piece"]

# A step's planes are loaded by few descriptors, so that these do not fill the engine's queue: the
# last planes, which may have just been stored, one by one, those before them in this many groups.
_LAST_PLANES = 4
_GROUPS = 4


def _groups(planes: int, *, alone: bool) -> list[tuple[int, int]]:
    """Cut planes into groups to load, (first, end) each; `alone`: the last ones singly."""
    singles = min(_LAST_PLANES, planes) if alone else 0
    step = max(-(-(planes - singles) // _GROUPS), 1)
    edges = [*range(0, planes - singles, step), *range(planes - singles, planes), planes]
    return list(pairwise(edges))


@dataclass(frozen=True)
class _Load:
    """Planes `low` .. `high` of one segment and step, not yet emitted."""

    layer: int
    step: int
    segment: int
    low: int
    high: int


@dataclass
class Loaded:
    """Planes in the activation buffer.

    Parameters
    ----------
    low, high : int
        First plane and end.
    region : Region
    index : int
        LOAD descriptors that must be complete before they can be read.
    """

    low: int
    high: int
    region: Region
    index: int


@dataclass
class Piece:
    """The part of a tile that one CONV computes.

    Parameters
    ----------
    segment : int
    low, high : int
        First plane and end.
    start : int
        Word of the segment's first plane, before the modulo by the buffer's depth.
    wait : int
        LOAD descriptors to wait for.
    """

    segment: int
    low: int
    high: int
    start: int
    wait: int


class LoadQueue:
    """The LOADs of the activation buffer, and the planes they have loaded.

    Parameters
    ----------
    arch : Arch
    plans : list of Plan
        All hardware layers.
    maps : Maps
    recorder : Recorder
    """

    def __init__(self, arch: Arch, plans: list[Plan], maps: Maps, recorder: Recorder) -> None:
        self.plans = plans
        self.maps = maps
        self.recorder = recorder
        self.ring = Ring(arch.act_words)
        self._ahead = max(arch.queue_depth - 2, 1)
        self._pending: deque[_Load] = deque()
        # Estimated beats of each LOAD that the engine has not completed.
        self._queued: deque[float] = deque()
        self._loaded: dict[tuple[int, int, int], list[Loaded]] = {}
        self._waited = 0
        for layer, plan in enumerate(plans):
            for step in range(len(plan.steps)):
                for number, segment in enumerate(plan.layer.segments):
                    self._loaded[layer, step, number] = []
                    for low, high in _groups(segment.planes, alone=step == 0):
                        self._pending.append(_Load(layer, step, number, low, high))

    def _words(self, load: _Load) -> int:
        plan = self.plans[load.layer]
        words = plan.input_words(plan.steps[load.step], load.segment)
        return words * (load.high - load.low)

    def _source(self, load: _Load, segment: Segment, end: int) -> tuple[Planes, int, int] | None:
        """Return where a LOAD reads, or None if its source is not stored yet.

        The layout, the number of the segment's first plane in it, and the POSTs to wait for.
        """
        if segment.view is not None:
            stored = self.maps.get(segment.view.map)
            first = segment.view.first(self.maps.rows)
            if stored is None:
                return None
            wait = stored.stored_by(first + load.low, first + load.high, end)
            return None if wait is None else (stored.planes, first, wait)
        runs = self.maps.runs(self.plans[load.layer].layer.name)
        return (runs.body_planes if segment.form == "body" else runs.tail_planes), 0, 0

    @property
    def blocked(self) -> bool:
        """Whether the first LOAD has no room until CONVs that are not yet emitted."""
        return bool(self._pending) and self.ring.room(self._words(self._pending[0])) is None

    def ahead(self, limit: int, beats: float) -> None:
        """Emit LOADs ahead of their use, but no more than the engine's queue holds.

        A full queue would stall the fetcher, and with it the next tile's CONV.

        Parameters
        ----------
        limit : int
            As for `advance`.
        beats : float
            Bus beats available for LOADs while the array computes the tile just emitted.
        """
        while self._queued and beats >= self._queued[0]:
            beats -= self._queued.popleft()
        if self._queued:
            self._queued[0] -= beats
        while len(self._queued) < self._ahead and self.advance(limit):
            pass

    def advance(self, limit: int) -> bool:
        """Emit the first LOAD in the queue, if it waits for at most `limit` CONVs.

        Returns
        -------
        bool
            Whether one was emitted.
        """
        if not self._pending:
            return False
        load = self._pending[0]
        plan = self.plans[load.layer]
        segment = plan.layer.segments[load.segment]
        low, high = plan.input_rows(plan.steps[load.step], load.segment)
        source = self._source(load, segment, high)
        room = self.ring.room(self._words(load))
        if source is None or room is None or room > limit:
            return False
        self._pending.popleft()
        planes, first, stored = source
        region, wait = self.ring.take(self._words(load))
        assert self.ring.depth is not None
        index = self.recorder.emit(
            Op.LOAD,
            {
                "dest": Dest.ACT,
                "mem": planes.address(first + load.low, low),
                "base": region.start % self.ring.depth,
                "row_words": segment.width,
                "row_beats": segment.row_beats,
                "plane_beats": (high - low) * segment.row_beats,
                "planes": load.high - load.low,
                "plane_stride": planes.plane_bytes,
            },
            section="data",
            part=f"{plan.where(plan.steps[load.step])}, {segment.some(load.low, load.high)}",
            layer=plan.layer.name,
            conv=wait,
            post=stored,
        )
        self._queued.append((high - low) * segment.row_beats * (load.high - load.low))
        loaded = Loaded(load.low, load.high, region, index)
        self._loaded[load.layer, load.step, load.segment].append(loaded)
        return True

    def ready(self, layer: int, step: int, tile: Tile) -> bool:
        """Whether all LOADs that a tile needs are emitted."""
        for number, (_, high) in enumerate(tile.spans):
            loaded = self._loaded[layer, step, number]
            if not loaded or loaded[-1].high < high:
                return False
        return True

    def pieces(self, layer: int, step: int, tile: Tile, *, split: bool) -> list[Piece]:
        """Cut a tile into CONVs: a new one for each LOAD that no CONV has waited for yet.

        Parameters
        ----------
        split : bool
            Cut between all loaded plane groups.
        """
        pieces: list[Piece] = []
        for number, (low, high) in enumerate(tile.spans):
            parts = self._loaded[layer, step, number]
            fresh = True
            for loaded in parts:
                first, last = max(low, loaded.low), min(high, loaded.high)
                if first >= last:
                    continue
                if fresh or split or loaded.index > self._waited:
                    start = parts[0].region.start
                    pieces.append(Piece(number, first, last, start, loaded.index))
                else:
                    pieces[-1].high = last
                    pieces[-1].wait = max(pieces[-1].wait, loaded.index)
                self._waited = max(self._waited, loaded.index)
                fresh = False
        return pieces

    def leaving(self, layer: int, step: int, position: int) -> list[tuple[int, Loaded]]:
        """Return segment and planes that no tile of the step after number `position` reads."""
        plan = self.plans[layer]
        result = []
        for number in range(len(plan.layer.segments)):
            later = [tile.spans[number] for tile in plan.tiles[position + 1 :]]
            for loaded in self._loaded[layer, step, number]:
                needed = any(low < loaded.high and loaded.low < high for low, high in later)
                if not needed and loaded.region.release is None:
                    result.append((number, loaded))
        return result
