"""From planned hardware layers to descriptors.

Program order is fetch order, and an engine's full queue stalls the fetcher.  Descriptors are put
where the work they wait for is about to be done:

* LOADs of the activation buffer come as early as they can (`host.loads`), but one that waits for
  the tile just emitted is held back until one tile later, lest it fill the queue.
* The first tile that reads newly loaded planes is cut in several CONVs, so that the first ones run
  while later planes are still on their way.
* POSTs follow the DRAIN that completes what they need.
* WEIGHTS come one tile early.

Waits name counts of descriptors that come earlier in the program: see `models.isa`.
"""

from __future__ import annotations

from host.errors import CompileError
from host.loads import LoadLine, Piece
from host.lower import HardwareLayer
from host.maps import Maps
from host.memory import Ring
from host.output import Job, OutputPlanes
from host.record import Constants, Recorder
from host.tile import Plan, Step, Tile
from host.timing import block_cycles
from host.weights import tile_bytes
from models.arch import Arch
from models.fixed import pack_lrn_table
from models.graph import Shape
from models.isa import Dest, Op

__all__ = ["Emitter"]

_TABLE_BEATS = 128


class Emitter:
    """Writes the descriptors of one program.

    Parameters
    ----------
    arch : Arch
    plans : list of Plan
        All for the same batch.
    shapes : dict
        Of the maps that are in memory at the start: the network's input, by `INPUT`.
    kept : set of str
        Maps that must still be in memory at the end.
    dry : bool
        Only take room for weights: what comes out can be looked at, but not run.

    Members
    -------
    recorder : Recorder
    constants : Constants
    maps : Maps
    """

    def __init__(
        self,
        arch: Arch,
        plans: list[Plan],
        shapes: dict[str, Shape],
        kept: set[str],
        *,
        dry: bool = False,
    ) -> None:
        self.arch = arch
        self.plans = plans
        self.dry = dry
        self.recorder = Recorder()
        self.constants = Constants()
        self.maps = Maps(arch.rows, kept, plans[0].batch)
        self.maps.place_inputs(shapes, [plan.layer for plan in plans])
        self._line = LoadLine(arch, plans, self.maps, self.recorder)
        self._out = Ring(arch.out_words)
        # CONVs up to the tile before the last: what LOADs may wait for that need not be here yet.
        self._limit = 0
        self._table = b""
        self._table_load = 0
        self._table_read = 0

    def run(self) -> None:
        """Emit everything.

        Raises
        ------
        CompileError
            If a value does not fit its field; the message names the layer.
        """
        for index, plan in enumerate(self.plans):
            self.recorder.layer = plan.layer.name
            for post in plan.layer.posts:
                self.maps.place(post)
            try:
                if plan.tiles:
                    self._conv_layer(index, plan)
                else:
                    self._post_layer(plan)
            except CompileError:
                raise
            except ValueError as error:
                raise CompileError(f"layer {plan.layer.name}: {error}") from None
            self.recorder.mark_last_post()
            later = {other.layer.source for other in self.plans[index + 1 :]}
            self.maps.retire(later, self.recorder.count(Op.LOAD))
        self.recorder.advance_weights()

    # Convolutions

    def _conv_layer(self, index: int, plan: Plan) -> None:
        layer, arch = plan.layer, self.arch
        weights = [self._tile_weights(layer, tile) for tile in plan.tiles]
        planes = plan.blocks[0]
        for number, step in enumerate(plan.steps):
            if step.number == 0:
                walk = OutputPlanes(layer, plan.rows, self._out, planes, step.images)
            for position, tile in enumerate(plan.tiles):
                while not self._line.ready(index, number, tile):
                    if not self._line.advance(self.recorder.count(Op.CONV)):
                        raise CompileError(
                            f"layer {layer.name}: no room in the activation buffer of "
                            f"{arch.act_words} words"
                        )
                if number == 0 and position == 0:
                    self._load_table(layer)
                self._limit = self.recorder.count(Op.CONV)
                self._weights(plan, step, tile, weights[position])
                self._convs(index, number, position)
                self._drain(walk, plan, step, tile)
                for plane in walk.ready(step.number, tile.done(layer.shape[2], arch)):
                    self._posts(walk, plan, step, plane)
                self._line.ahead(self._limit, self._spare_beats(plan, step, tile))

    def _tile_weights(self, layer: HardwareLayer, tile: Tile) -> int:
        """Place a tile's parameters and weight blocks."""
        if self.dry:
            return self.constants.skip(self._tile_beats(tile) * self.arch.bus_bytes)
        return self.constants.add(tile_bytes(layer, tile, self.arch))

    def _tile_beats(self, tile: Tile) -> int:
        arch = self.arch
        return (arch.params_bytes + tile.blocks * arch.block_bytes) // arch.bus_bytes

    def _spare_beats(self, plan: Plan, step: Step, tile: Tile) -> float:
        """What a tile's weights leave of the bus: at least half, as ports share it."""
        weights = self._tile_beats(tile)
        cycles = tile.blocks * block_cycles(plan.positions(step), self.arch)
        return max(cycles - weights, max(cycles, weights) / 2)

    def _load_table(self, layer: HardwareLayer) -> None:
        """Load the layer's LRN table unless it is there already."""
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
                "plane_beats": _TABLE_BEATS,
                "planes": 1,
                "plane_stride": 0,
            },
            section="const",
            part="LRN table",
            post=self._table_read,
        )

    def _part(self, plan: Plan, step: Step, tile: Tile) -> str:
        return f"tile {tile.first // self.arch.cols}, {plan.where(step)}"

    def _weights(self, plan: Plan, step: Step, tile: Tile, address: int) -> None:
        self.recorder.emit(
            Op.WEIGHTS,
            {
                "has_params": 1,
                "mem": address,
                "blocks": tile.blocks,
                "beats": self._tile_beats(tile),
            },
            section="const",
            part=self._part(plan, step, tile),
        )

    def _convs(self, index: int, number: int, position: int) -> None:
        plan = self.plans[index]
        leaving = self._line.leaving(index, number, position)
        # If the next LOAD has no room, give words back plane by plane.
        split = bool(leaving) and self._line.blocked
        tile = plan.tiles[position]
        pieces = self._line.pieces(index, number, tile, split=split)
        last = len(pieces) - 1
        counts = [
            self._conv(plan, plan.steps[number], tile, piece, first=part == 0, last=part == last)
            for part, piece in enumerate(pieces)
        ]
        for segment, loaded in leaving:
            loaded.region.release = max(
                (
                    count
                    for piece, count in zip(pieces, counts, strict=True)
                    if piece.segment == segment
                    and piece.low < loaded.high
                    and loaded.low < piece.high
                ),
                default=counts[-1],
            )

    def _conv(
        self, plan: Plan, step: Step, tile: Tile, piece: Piece, *, first: bool, last: bool
    ) -> int:
        depth = self.arch.act_words
        segment = plan.layer.segments[piece.segment]
        band = step.band
        low = band.inputs[piece.segment][0] if step.images == 1 else 0
        width = segment.width
        plane_words = plan.input_words(step, piece.segment)
        y0 = band.first * segment.stride[0] - segment.pad[0]
        x0 = -segment.pad[1]
        base = piece.start + piece.low * plane_words + (y0 - low) * width + x0
        part = self._part(plan, step, tile)
        if not (first and last):
            part += f", {segment.some(piece.low, piece.high)}"
        return self.recorder.emit(
            Op.CONV,
            {
                "first": first,
                "last": last,
                "base": base % depth,
                "step_cb": plane_words % depth,
                "step_ky": width % depth,
                "step_y": segment.stride[0] * width % depth,
                "n_cb": piece.high - piece.low,
                "n_ky": segment.kernel[0],
                "n_kx": segment.kernel[1],
                "n_y": band.rows,
                "n_x": plan.layer.shape[1],
                "stride_y": segment.stride[0],
                "stride_x": segment.stride[1],
                "y0": y0,
                "x0": x0,
                "in_h": segment.height,
                "in_w": width,
                "pad": segment.fill,
                "more_images": step.images - 1,
                "step_image": segment.height * width % depth,
            },
            part=part,
            load=piece.wait,
        )

    def _drain(self, walk: OutputPlanes, plan: Plan, step: Step, tile: Tile) -> None:
        arch = self.arch
        number = step.number
        wait = walk.open(number, tile.opened(arch))
        assert wait is not None, "planned to fit"
        self.recorder.emit(
            Op.DRAIN,
            {
                "base": walk.region(number, tile.first // arch.rows).start % arch.out_words,
                "offset": tile.first % arch.rows,
                "groups": tile.groups,
                "plane_step": walk.plane_words(number) % arch.out_words,
                "count": plan.positions(step),
            },
            part=self._part(plan, step, tile),
            post=wait,
        )

    # LRN and pooling

    def _post_layer(self, plan: Plan) -> None:
        """A layer without convolution: its planes are loaded to the output buffer."""
        for image in range(plan.batch):
            for planes in plan.blocks:
                self._post_block(plan, image, planes)

    def _post_block(self, plan: Plan, image: int, planes: range) -> None:
        layer = plan.layer
        source = self.maps[layer.source]
        walk = OutputPlanes(layer, plan.rows, self._out, planes)
        row_beats = source.planes.row_beats
        for step in plan.steps[image * len(plan.bands) : (image + 1) * len(plan.bands)]:
            first = image * source.planes.height + step.band.first
            for plane in planes:
                wait = walk.open(step.number, plane + 1)
                stored = source.stored_by(plane, plane + 1, first + step.band.rows)
                assert wait is not None, "planned to fit"
                assert stored is not None, "the layer before stores all its rows"
                loaded = self.recorder.emit(
                    Op.LOAD,
                    {
                        "dest": Dest.OUT,
                        "mem": source.planes.address(plane, first),
                        "base": walk.region(step.number, plane).start % self.arch.out_words,
                        "row_words": layer.shape[1],
                        "row_beats": row_beats,
                        "plane_beats": step.band.rows * row_beats,
                        "planes": 1,
                        "plane_stride": source.planes.plane_bytes,
                    },
                    section="data",
                    part=f"plane {plane}, {plan.where(step)}",
                    post=max(wait, stored),
                )
                self._load_table(layer)
                for ready in walk.ready(step.number, plane + 1):
                    self._posts(walk, plan, step, ready, loaded)

    def _posts(
        self, walk: OutputPlanes, plan: Plan, step: Step, plane: int, loaded: int = 0
    ) -> None:
        """Post one plane of a step; `loaded`: the LOAD that brought what is needed, if any."""
        for job in walk.jobs[step.number]:
            if job.post.pool is None:
                # Rows of one image after the other are like rows of one tall image.
                self._post(walk, plan, step, plane, job, loaded, range(step.images))
                continue
            for image in range(step.images):
                self._post(walk, plan, step, plane, job, loaded, range(image, image + 1))
        walk.posted(step.number, plane, self.recorder.count(Op.POST))

    def _post(
        self,
        walk: OutputPlanes,
        plan: Plan,
        step: Step,
        plane: int,
        job: Job,
        loaded: int,
        images: range,
    ) -> None:
        """Post rows of some of a step's images."""
        layer = plan.layer
        depth, rows = self.arch.out_words, self.arch.rows
        post = job.post
        target = self.maps[post.name]
        band = step.number
        rows_in, rows_out = walk.bands[band][1], len(images) * job.rows
        start = walk.region(band, plane).start + images.start * rows_in * walk.width
        row = (step.image + images.start) * post.shape[0] + job.first
        halo_base = halo_step = 0
        if job.halo:
            halo_step = walk.plane_words(band - 1)
            end = walk.region(band - 1, plane).start + halo_step
            halo_base = end - job.halo * walk.width
        rest = layer.shape[2] - plane * rows
        lrn = layer.lrn if post.lrn else None
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
                "in_w": walk.width,
                "halo_rows": job.halo,
                "halo_base": halo_base % depth,
                "halo_step": halo_step % depth,
                "base": start % depth,
                "step": walk.plane_words(band) % depth,
                "channels": min(rows, rest),
                "has_prev": lrn is not None and plane > 0,
                "next_channels": min(2, max(rest - rows, 0)) if lrn else 0,
                "out_h": rows_out,
                "out_w": post.shape[1],
                "row_beats": row_beats,
                "beats": rows_out * row_beats,
                "mem": target.planes.address(plane, row),
            },
            section="data",
            part=f"{post.name} plane {plane}, {plan.where(step)}",
            drain=0 if loaded else self.recorder.count(Op.DRAIN),
            load=max(loaded, target.overwrites, self._table_load if lrn else 0),
        )
        target.store(plane, row + rows_out, count)
        if lrn:
            self._table_read = count
