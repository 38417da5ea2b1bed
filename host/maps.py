"""Feature maps in memory while a program is written: where they are and what is stored of them."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field, replace

from host.layout import Planes, Runs
from host.lower import HardwareLayer, Post
from host.memory import Arena
from models.graph import INPUT, Shape

__all__ = ["Maps", "StoredMap"]


@dataclass
class StoredMap:
    """A feature map in memory.

    Parameters
    ----------
    planes : Planes
        `offset` is relative to the data section.
    overwrites : int
        LOAD descriptors that must be complete before the map may be written: they read what was
        there before.
    """

    planes: Planes
    overwrites: int = 0
    # For each plane: (end of the rows stored, POST descriptors that stored them).
    _stored: list[list[tuple[int, int]]] = field(default_factory=list)

    def __post_init__(self) -> None:
        self._stored = [[] for _ in range(self.planes.planes)]

    def store(self, plane: int, end: int, count: int) -> None:
        """Note that rows before `end` of a plane are in memory after `count` POSTs.

        Rows are counted from the first image's first row.
        """
        self._stored[plane].append((end, count))

    def stored_by(self, low: int, high: int, end: int) -> int | None:
        """Return the POSTs after which rows before `end` of planes `low` .. are in memory.

        Returns
        -------
        int or None
            None if no POST in the program stores them yet.
        """
        wait = 0
        for plane in range(low, high):
            count = next((count for rows, count in self._stored[plane] if rows >= end), None)
            if count is None:
                return None
            wait = max(wait, count)
        return wait


class Maps:
    """All maps of a program, the input included.

    Parameters
    ----------
    rows : int
        Channels in a word.
    kept : set of str
        Maps that must still be in memory at the end.
    images : int
        In a batch.
    """

    def __init__(self, rows: int, kept: Iterable[str], images: int = 1) -> None:
        self.rows = rows
        self.images = images
        self.kept = {*kept, INPUT}
        self.arena = Arena(alignment=64)
        self.input_parts: list[Planes | Runs] = []
        self._maps: dict[str, StoredMap] = {}
        self._runs: dict[str, Runs] = {}
        # What lay in memory before: start, end, LOADs that read it.
        self._retired: list[tuple[int, int, int]] = []

    def __getitem__(self, name: str) -> StoredMap:
        return self._maps[name]

    def get(self, name: str) -> StoredMap | None:
        """Return a map, or None if it has no place yet."""
        return self._maps.get(name)

    def layouts(self) -> dict[str, Planes]:
        """Return where each map is that the program stores and keeps."""
        return {name: stored.planes for name, stored in self._maps.items() if name != INPUT}

    def runs(self, layer: str) -> Runs:
        """Return the input as packed for a hardware layer."""
        return self._runs[layer]

    def _alloc(self, size: int) -> int:
        offset = self.arena.alloc(size)
        assert offset is not None, "the arena has no limit"
        return offset

    def _planes(self, shape: Shape) -> Planes:
        height, width, channels = shape
        planes = Planes(
            offset=0,
            rows=self.rows,
            height=height,
            width=width,
            channels=channels,
            images=self.images,
        )
        return replace(planes, offset=self._alloc(planes.size))

    def place_inputs(self, shapes: dict[str, Shape], layers: list[HardwareLayer]) -> None:
        """Place the maps that are there from the start, in every form that a layer reads."""
        for layer in layers:
            name = layer.source
            if layer.runs is not None:
                runs = replace(layer.runs, images=self.images)
                runs = replace(runs, offset=self._alloc(runs.size))
                self._runs[layer.name] = runs
                self.input_parts.append(runs)
            elif name in shapes and name not in self._maps:
                stored = StoredMap(self._planes(shapes[name]))
                for plane in range(stored.planes.planes):
                    stored.store(plane, shapes[name][0] * self.images, 0)
                self._maps[name] = stored
                self.input_parts.append(stored.planes)

    def place(self, post: Post) -> None:
        """Find room for a map that is about to be stored."""
        planes = self._planes(post.shape)
        end = planes.offset + planes.size
        waits = [count for low, high, count in self._retired if low < end and planes.offset < high]
        self._maps[post.name] = StoredMap(planes, max(waits, default=0))

    def retire(self, needed: set[str], loads: int) -> None:
        """Give back the memory of maps that are neither `needed` later nor kept.

        Parameters
        ----------
        loads : int
            LOAD descriptors in the program so far; all that read these maps are among them.
        """
        for name in [name for name in self._maps if name not in needed | self.kept]:
            planes = self._maps.pop(name).planes
            self.arena.free(planes.offset)
            self._retired.append((planes.offset, planes.offset + planes.size, loads))
