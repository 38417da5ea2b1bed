"""Output of one hardware layer: planes in the output ring, and the POSTs that read them.

Bands of rows are produced plane by plane.  Each plane is posted as soon as its inputs are complete:
with LRN that includes the next plane.  Pooling windows that straddle two bands read the last rows
of the previous band (the halo), which stay in the ring until then::

    ring:  ... | band 0: plane 0 | plane 1 | plane 2 | band 1: plane 0 | plane 1 | ...
                 free once band 1's posts of planes 0 and 1 are complete (LRN and pooling)
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from penstock.host.compiler.lowering.lower import HardwareLayer, Post
from penstock.host.program.allocator import Region, Ring

__all__ = ["Job", "OutputPlanes"]


@dataclass(frozen=True, kw_only=True)
class Job:
    """Output rows of one stored map that a band completes; the same for each plane.

    Parameters
    ----------
    post : Post
    first, rows : int
        Output rows.
    halo : int
        Rows of the previous band that are read.
    y0 : int
        First row of the first window, counted from the first halo row.
    """

    post: Post
    first: int
    rows: int
    halo: int
    y0: int


def _jobs(layer: HardwareLayer, bands: list[tuple[int, int]]) -> list[list[Job]]:
    """Jobs of each band."""
    result: list[list[Job]] = [[] for _ in bands]
    for post in layer.posts:
        done = 0
        for index, (first, rows) in enumerate(bands):
            last = index == len(bands) - 1
            end = post.shape[0] if last else post.complete_rows(first + rows)
            if end <= done:
                continue
            start = done * post.stride - post.pad[0]
            halo = max(0, first - max(start, 0))
            result[index].append(
                Job(post=post, first=done, rows=end - done, halo=halo, y0=start - (first - halo))
            )
            done = end
    return result


class OutputPlanes:
    """The planes of one hardware layer in the output ring.

    Parameters
    ----------
    layer : HardwareLayer
    bands : list of (int, int)
        First row and number of rows of each band of the map in the output buffer.
    ring : Ring
    planes : range
        Planes to handle.
    images : int
        Images stacked vertically in each plane of a band.

    Raises
    ------
    ValueError
        If a band is too short for the pooling windows of the next one.
    """

    def __init__(
        self,
        layer: HardwareLayer,
        bands: list[tuple[int, int]],
        ring: Ring,
        planes: range,
        images: int = 1,
    ) -> None:
        self.bands = bands
        self.images = images
        self.ring = ring
        self.planes = planes
        self.lrn = any(post.lrn for post in layer.posts)
        self.width = layer.shape[1]
        self.jobs = _jobs(layer, bands)
        self.halo = [max((job.halo for job in jobs), default=0) for jobs in self.jobs]
        for index in range(1, len(bands)):
            if self.halo[index] > bands[index - 1][1]:
                raise ValueError("bands are shorter than the pooling window's overlap")
        self.regions: list[list[Region]] = [[] for _ in bands]
        self._next = [planes.start for _ in bands]
        self._unread: list[Region] = []

    def plane_words(self, band: int) -> int:
        """Words from one plane to the next."""
        return self.images * self.bands[band][1] * self.width

    def region(self, band: int, plane: int) -> Region:
        """The region of a plane that was opened."""
        return self.regions[band][plane - self.planes.start]

    def open(self, band: int, end: int) -> int | None:
        """Reserve the planes before `end` that are not yet reserved.

        Returns
        -------
        int or None
            POST descriptors to wait for before writing them; None if there is no room.
        """
        wait = 0
        while len(self.regions[band]) < end - self.planes.start:
            if self.ring.room(self.plane_words(band)) is None:
                return None
            region, needed = self.ring.take(self.plane_words(band))
            self.regions[band].append(region)
            wait = max(wait, needed)
        return wait

    def ready(self, band: int, done: int) -> Iterator[int]:
        """Yield the planes of a band that can be posted once those before `done` are written."""
        while self._next[band] < self.planes.stop:
            plane = self._next[band]
            needs = min(plane + 2, self.planes.stop) if self.lrn else plane + 1
            if done < needs:
                return
            self._next[band] += 1
            yield plane

    def posted(self, band: int, plane: int, count: int) -> None:
        """After the POSTs of one plane, free the regions that no later POST reads.

        Parameters
        ----------
        count : int
            POST descriptors in the program so far.
        """
        finished = [plane]
        if self.lrn:
            finished = [plane - 1] if plane > self.planes.start else []
            if plane == self.planes.stop - 1:
                finished.append(plane)
        free = []
        if band and self.halo[band]:
            free += [self.region(band - 1, p) for p in finished]
        if band == len(self.bands) - 1 or not self.halo[band + 1]:
            free += [self.region(band, p) for p in finished]
        if not any(plane in job.post.planes for job in self.jobs[band]):
            # Nothing reads these words: a later POST implies that their writers are done.
            self._unread += free
            return
        for region in (*self._unread, *free):
            region.release = count
        self._unread = []

    @staticmethod
    def words_needed(
        layer: HardwareLayer,
        bands: list[tuple[int, int]],
        planes: range,
        steps: list[tuple[int, int]],
        images: int = 1,
    ) -> int:
        """Return how deep the ring must be.

        Parameters
        ----------
        steps : list of (int, int)
            For each producing descriptor of a band: end of the planes that must be open, and end of
            those that are complete.

        Raises
        ------
        ValueError
            As the constructor.
        """
        output = OutputPlanes(layer, bands, Ring(None), planes, images)
        for band in range(len(bands)):
            for opened, done in steps:
                output.open(band, opened)
                for plane in output.ready(band, done):
                    output.posted(band, plane, 0)
        return output.ring.peak
