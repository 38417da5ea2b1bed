"""Emission of POST descriptors: maps leave the output buffer normalised, pooled or unchanged.

The planes of a convolution come from DRAIN; those of a layer without one are loaded into the output
buffer.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial

from penstock.host.compiler.emission.deferred import Unit
from penstock.host.compiler.emission.maps import Maps
from penstock.host.compiler.emission.output import Job, OutputPlanes
from penstock.host.compiler.emission.record import Constants, Recorder
from penstock.host.compiler.emission.tile import Plan, Step
from penstock.host.compiler.lowering.lower import HardwareLayer
from penstock.host.program.allocator import Ring
from penstock.models.golden.fixed import LRN_TABLE_PAIRS, pack_lrn_table
from penstock.models.spec.arch import Arch
from penstock.models.spec.isa import Dest, Op

__all__ = ["PostWriter"]


class PostWriter:
    """Emits POSTs, and the LOADs that only POSTs need.

    Parameters
    ----------
    arch : Arch
    recorder : Recorder
    constants : Constants
    maps : Maps
    ring : Ring
        The output buffer.
    """

    def __init__(
        self, arch: Arch, recorder: Recorder, constants: Constants, maps: Maps, ring: Ring
    ) -> None:
        self.arch = arch
        self.recorder = recorder
        self.constants = constants
        self.maps = maps
        self.ring = ring
        self._table = b""
        self._table_load = 0
        self._table_read = 0

    def load_table(self, layer: HardwareLayer) -> None:
        """Load the layer's LRN table unless it is already loaded."""
        if layer.lrn is None:
            return
        table = pack_lrn_table(layer.lrn.table, layer.lrn.difference)
        if table == self._table:
            return
        self._table = table
        self._table_load = self.recorder.emit(
            Op.LOAD,
            {
                "dest": Dest.TABLE,
                "mem": self.constants.add(table),
                "base": 0,
                "row_words": 1,
                "row_beats": 1,
                "plane_beats": LRN_TABLE_PAIRS,
                "planes": 1,
                "plane_stride": 0,
            },
            section="const",
            part="LRN table",
            post=self._table_read,
        )

    def post_layer(self, plan: Plan) -> Iterator[Unit]:
        """Emit a layer without a convolution: its planes are loaded into the output buffer."""
        layer = plan.layer
        total = plan.batch * layer.shape[0] * sum(len(planes) for planes in plan.plane_ranges)
        cycles = layer.post_cycles(self.arch) * plan.batch
        for image in range(plan.batch):
            own = plan.steps[image * len(plan.bands) : (image + 1) * len(plan.bands)]
            for planes in plan.plane_ranges:
                output = OutputPlanes(layer, plan.rows, self.ring, planes)
                # Bands whose windows overlap stay together.
                groups = [own] if any(output.halo) else [(step,) for step in own]
                for steps in groups:
                    rows = sum(step.band.rows for step in steps)
                    band = steps[-1].band
                    end = image * layer.source.size[0] + band.first + band.rows
                    ready = partial(self._is_stored, layer, planes, end)
                    share = rows * len(planes) / total
                    yield Unit(rows * output.width * len(planes), cycles * share, ready)
                    for step in steps:
                        self._post_step(plan, output, step, planes)

    def _stored(self, layer: HardwareLayer, planes: range, end: int) -> int | None:
        """Number of POSTs after which rows before `end` of the source planes are in memory."""
        source = self.maps.get(layer.source.map)
        first = layer.source.first(self.arch.rows)
        if source is None:
            return None
        return source.stored_by(first + planes.start, first + planes.stop, end)

    def _is_stored(self, layer: HardwareLayer, planes: range, end: int) -> bool:
        return self._stored(layer, planes, end) is not None

    def _post_step(self, plan: Plan, output: OutputPlanes, step: Step, planes: range) -> None:
        layer = plan.layer
        source = self.maps[layer.source.map].planes
        first = step.image * source.height + step.band.first
        for plane in planes:
            wait = output.open(step.number, plane + 1)
            stored = self._stored(layer, range(plane, plane + 1), first + step.band.rows)
            assert wait is not None, "planned to fit"
            assert stored is not None, "the layer before stores all its rows"
            loaded = self.recorder.emit(
                Op.LOAD,
                {
                    "dest": Dest.OUT,
                    "mem": source.address(layer.source.first(self.arch.rows) + plane, first),
                    "base": output.region(step.number, plane).start % self.arch.out_words,
                    "row_words": layer.shape[1],
                    "row_beats": source.row_beats,
                    "plane_beats": step.band.rows * source.row_beats,
                    "planes": 1,
                    "plane_stride": source.plane_bytes,
                },
                section="data",
                part=f"plane {plane}, {plan.where(step)}",
                post=max(wait, stored),
            )
            self.load_table(layer)
            for ready in output.ready(step.number, plane + 1):
                self.plane(output, plan, step, ready, loaded)

    def plane(
        self, output: OutputPlanes, plan: Plan, step: Step, plane: int, loaded: int = 0
    ) -> None:
        """Post one plane of a step; `loaded`: the LOAD to wait for, 0 if none."""
        for job in output.jobs[step.number]:
            if plane not in job.post.planes:
                continue
            if job.post.pool is None:
                # Stacked images are processed like one tall image.
                self._post(output, plan, step, plane, job, loaded, range(step.images))
                continue
            for image in range(step.images):
                self._post(output, plan, step, plane, job, loaded, range(image, image + 1))
        output.posted(step.number, plane, self.recorder.count(Op.POST))

    def _post(
        self,
        output: OutputPlanes,
        plan: Plan,
        step: Step,
        plane: int,
        job: Job,
        loaded: int,
        images: range,
    ) -> None:
        """Emit one POST for rows of some of a step's images."""
        layer = plan.layer
        depth, rows = self.arch.out_words, self.arch.rows
        post = job.post
        target = self.maps[post.target.map]
        number = plane - post.planes.start
        filled = post.target.filled(rows)
        band = step.number
        rows_in, rows_out = output.bands[band][1], len(images) * job.rows
        start = output.region(band, plane).start + images.start * rows_in * output.width
        row = (step.image + images.start) * post.shape[0] + job.first
        halo_base = halo_step = 0
        if job.halo:
            halo_step = output.plane_words(band - 1)
            end = output.region(band - 1, plane).start + halo_step
            halo_base = end - job.halo * output.width
        lrn = layer.lrn if post.lrn else None
        following = filled[number + 1] if lrn and number + 1 < len(filled) else 0
        number += post.target.first(rows)
        row_beats = target.planes.row_beats
        count = self.recorder.emit(
            Op.POST,
            {
                "mark": 0,
                "lrn": lrn is not None,
                "lrn_shift": lrn.shift if lrn else 1,
                "kernel": post.kernel,
                "stride": post.stride,
                "y0": job.y0,
                "x0": -post.pad[1],
                "in_h": job.halo + len(images) * rows_in,
                "in_w": output.width,
                "halo_rows": job.halo,
                "halo_base": halo_base % depth,
                "halo_step": halo_step % depth,
                "base": start % depth,
                "step": output.plane_words(band) % depth,
                "channels": filled[plane - post.planes.start],
                "has_prev": lrn is not None and plane > post.planes.start,
                "next_channels": min(2, following),
                "out_h": rows_out,
                "out_w": post.shape[1],
                "row_beats": row_beats,
                "beats": rows_out * row_beats,
                "mem": target.planes.address(number, row),
            },
            section="data",
            part=f"{post.name} plane {plane}, {plan.where(step)}",
            drain=0 if loaded else self.recorder.count(Op.DRAIN),
            load=max(loaded, target.overwrites, self._table_load if lrn else 0),
        )
        target.store(number, row + rows_out, count)
        if lrn:
            self._table_read = count
