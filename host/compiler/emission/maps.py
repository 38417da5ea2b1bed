"""Feature maps in memory during emission: where they are, and which rows are stored."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field, replace

from penstock.host.compiler.lowering.lower import HardwareLayer
from penstock.host.program.allocator import Arena
from penstock.host.program.channel_views import ChannelView
from penstock.host.program.tensor_layout import Planes, Runs
from penstock.models.graph.graph import INPUT

__all__ = ["Maps", "StoredMap"]


@dataclass
class StoredMap:
    """A feature map in memory.

    Parameters
    ----------
    planes : Planes
        Its `offset` is relative to the data section.
    overwrites : int
        LOAD descriptors that must be complete before the map may be written: they read the previous
        contents.
    """

    planes: Planes
    overwrites: int = 0
    # For each plane: (end of the rows stored, POST descriptors that stored them).
    _stored: list[list[tuple[int, int]]] = field(default_factory=list)

    def __post_init__(self) -> None:
        self._stored = [[] for _ in range(self.planes.planes)]

    def store(self, plane: int, end: int, count: int) -> None:
        """Record that rows before `end` of a plane are in memory after `count` POSTs.

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
    layers : list of HardwareLayer
        All that read or store maps.
    kept : set of str
        Maps that must still be in memory at the end.
    images : int
        Images in a batch.
    """

    def __init__(
        self, rows: int, layers: list[HardwareLayer], kept: Iterable[str], images: int = 1
    ) -> None:
        self.rows = rows
        self.images = images
        self.kept = {*kept, INPUT}
        self.arena = Arena(alignment=64)
        self.input_parts: list[Planes | Runs] = []
        self._maps: dict[str, StoredMap] = {}
        self._runs: dict[str, Runs] = {}
        # Freed maps: start, end, number of LOADs after which they are read.
        self._retired: list[tuple[int, int, int]] = []
        # For each map, the longest list of parts that a layer reads or stores.
        self._whole: dict[str, ChannelView] = {}
        for layer in layers:
            for view in (*layer.sources, *(post.target for post in layer.posts)):
                widths = view.before + view.widths
                known = self._whole.get(view.map)
                if known is None or len(known.widths) < len(widths):
                    self._whole[view.map] = ChannelView(view.map, view.size, (), widths)

    def __getitem__(self, name: str) -> StoredMap:
        return self._maps[name]

    def get(self, name: str) -> StoredMap | None:
        """Return a map, or None if it has no place yet."""
        return self._maps.get(name)

    def layout(self, view: ChannelView) -> Planes:
        """Return the layout of some parts of a map.

        Raises
        ------
        KeyError
            If the map is not in memory.
        """
        planes = self._maps[view.map].planes
        offset = planes.address(view.first(self.rows), 0)
        return replace(planes, offset=offset, channels=view.channels, widths=view.widths)

    def runs(self, layer: str) -> Runs:
        """Return the input as packed for a hardware layer."""
        return self._runs[layer]

    def _alloc(self, size: int) -> int:
        offset = self.arena.alloc(size)
        assert offset is not None, "the arena has no limit"
        return offset

    def _planes(self, name: str) -> Planes:
        view = self._whole[name]
        planes = Planes(
            offset=0,
            rows=self.rows,
            height=view.size[0],
            width=view.size[1],
            channels=view.channels,
            images=self.images,
            widths=view.widths,
        )
        return replace(planes, offset=self._alloc(planes.size))

    def place_inputs(self, given: set[str], layers: list[HardwareLayer]) -> None:
        """Place the maps that are present at the start, in every form that a layer reads."""
        for layer in layers:
            if layer.runs is not None:
                runs = replace(layer.runs, images=self.images)
                runs = replace(runs, offset=self._alloc(runs.size))
                self._runs[layer.name] = runs
                self.input_parts.append(runs)
            for view in layer.sources:
                if view.map not in given or view.map in self._maps:
                    continue
                stored = StoredMap(self._planes(view.map))
                for plane in range(stored.planes.planes):
                    stored.store(plane, view.size[0] * self.images, 0)
                self._maps[view.map] = stored
                self.input_parts.append(stored.planes)

    def place(self, view: ChannelView) -> None:
        """Allocate the map of which parts are about to be stored, unless it is placed already."""
        if view.map in self._maps:
            return
        planes = self._planes(view.map)
        end = planes.offset + planes.size
        waits = [count for low, high, count in self._retired if low < end and planes.offset < high]
        self._maps[view.map] = StoredMap(planes, max(waits, default=0))

    def retire(self, needed: set[str], loads: int) -> None:
        """Free the memory of maps that are neither `needed` later nor kept.

        Parameters
        ----------
        loads : int
            LOAD descriptors in the program so far; all that read these maps are among them.
        """
        for name in [name for name in self._maps if name not in needed | self.kept]:
            planes = self._maps.pop(name).planes
            self.arena.free(planes.offset)
            self._retired.append((planes.offset, planes.offset + planes.size, loads))
