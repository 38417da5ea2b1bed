"""Allocators: rings for the on-chip buffers, an arena for device memory."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["Arena", "Region", "Ring"]


@dataclass
class Region:
    """Consecutive words of a ring.

    Parameters
    ----------
    start : int
        First word, counted without wrap-around: the address is this modulo the depth.
    words : int
    release : int or None
        Descriptors of the reading engine that must be complete before the words may be
        overwritten; None while the last reader is not yet in the program.
    """

    start: int
    words: int
    release: int | None = None


class Ring:
    """A circular buffer: regions are taken in order and freed when read.

    Parameters
    ----------
    depth : int or None
        Words; None for an unlimited ring, to find out how many words are needed.
    """

    def __init__(self, depth: int | None) -> None:
        if depth is not None and depth < 1:
            raise ValueError(f"depth must be a positive integer, not {depth!r}")
        self.depth = depth
        self.head = 0
        self.peak = 0
        self._live: list[Region] = []
        self._overwritten = 0

    @property
    def held(self) -> int | None:
        """First word of the oldest region whose last reader is not in the program; None if none."""
        return next((region.start for region in self._live if region.release is None), None)

    def room(self, words: int) -> int | None:
        """Return the wait of a writer of the next `words` words.

        Returns
        -------
        int or None
            A count of the reading engine; None if readers that are not yet in the program need the
            words, or if the ring is smaller.
        """
        if self.depth is None:
            return 0
        if words > self.depth:
            return None
        wait = self._overwritten
        for region in self._live:
            if region.start + self.depth >= self.head + words:
                break
            if region.release is None:
                return None
            wait = max(wait, region.release)
        return wait

    def take(self, words: int) -> tuple[Region, int]:
        """Reserve the next `words` words; return them and the wait of their writer.

        Raises
        ------
        ValueError
            If `room` is None.
        """
        wait = self.room(words)
        if wait is None:
            raise ValueError(f"no room for {words} words in a ring of {self.depth}")
        region = Region(self.head, words)
        self.head += words
        self._live.append(region)
        if self.depth is None:
            while self._live[0].release is not None:
                del self._live[0]
            self.peak = max(self.peak, self.head - self._live[0].start)
        else:
            while self._live[0].start + self.depth < self.head:
                del self._live[0]
            # Waits only grow: later regions of the ring are read later.
            self._overwritten = wait
        return region, wait


class Arena:
    """First-fit allocation in a memory range.

    Parameters
    ----------
    size : int or None
        Bytes; None for no limit.
    alignment : int
        Alignment of every block's start, in bytes.
    """

    def __init__(self, size: int | None = None, *, alignment: int = 64) -> None:
        if alignment < 1:
            raise ValueError(f"alignment must be a positive integer, not {alignment!r}")
        self.size = size
        self.alignment = alignment
        self.top = 0
        self._blocks: list[tuple[int, int]] = []

    def alloc(self, size: int) -> int | None:
        """Allocate `size` bytes; return their offset, or None if no free block is large enough."""
        if size < 1:
            raise ValueError(f"size must be a positive integer, not {size!r}")
        start = 0
        for index, (first, length) in enumerate(self._blocks):
            if start + size <= first:
                self._blocks.insert(index, (start, size))
                return start
            start = -(-(first + length) // self.alignment) * self.alignment
        if self.size is not None and start + size > self.size:
            return None
        self._blocks.append((start, size))
        self.top = max(self.top, start + size)
        return start

    def free(self, offset: int) -> int:
        """Free the block at `offset`; return its size.

        Raises
        ------
        KeyError
            If no block starts there.
        """
        for index, (first, length) in enumerate(self._blocks):
            if first == offset:
                del self._blocks[index]
                return length
        raise KeyError(offset)
