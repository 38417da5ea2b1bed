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
from host.tile import Band, Plan, Tile
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
    shape : (int, int, int)
        Of the network's input.
    kept : set of str
        Maps that must still be in memory at the end.

    Members
    -------
    recorder : Recorder
    constants : Constants
    maps : Maps
    """

    def __init__(self, arch: Arch, plans: list[Plan], shape: Shape, kept: set[str]) -> None:
        self.arch = arch
        self.plans = plans
        self.recorder = Recorder()
        self.constants = Constants()
        self.maps = Maps(arch.rows, kept)
        self.maps.place_input(shape, [plan.layer for plan in plans])
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
        layer = plan.layer
        weights = [self.constants.add(tile_bytes(layer, tile, self.arch)) for tile in plan.tiles]
        planes = plan.blocks[0]
        walk = OutputPlanes(layer, plan.rows, self._out, planes)
        for number, band in enumerate(plan.bands):
            for position, tile in enumerate(plan.tiles):
                while not self._line.ready(index, number, tile):
                    if not self._line.advance(self.recorder.count(Op.CONV)):
                        raise CompileError(
                            f"layer {layer.name}: no room in the activation buffer of "
                            f"{self.arch.act_words} words"
                        )
                if number == 0 and position == 0:
                    self._load_table(layer)
                self._limit = self.recorder.count(Op.CONV)
                self._weights(tile, weights[position])
                self._convs(index, number, position)
                self._drain(walk, layer, number, band, tile)
                end = tile.first + tile.count
                done = planes.stop if end == layer.shape[2] else end // self.arch.rows
                for plane in walk.ready(number, done):
                    self._posts(walk, layer, number, plane)
                # No more at once than the queue holds, lest the next tile's CONV come late.
                for _ in range(max(self.arch.queue_depth - 2, 1)):
                    self._line.advance(self._limit)

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
            post=self._table_read,
        )

    def _weights(self, tile: Tile, address: int) -> None:
        arch = self.arch
        self.recorder.emit(
            Op.WEIGHTS,
            {
                "has_params": 1,
                "mem": address,
                "blocks": tile.blocks,
                "beats": (arch.params_bytes + tile.blocks * arch.block_bytes) // arch.bus_bytes,
            },
            section="const",
        )

    def _convs(self, index: int, number: int, position: int) -> None:
        plan = self.plans[index]
        leaving = self._line.leaving(index, number, position)
        # If the next LOAD has no room, give words back plane by plane.
        split = bool(leaving) and self._line.blocked
        pieces = self._line.pieces(index, number, plan.tiles[position], split=split)
        counts = [
            self._conv(
                plan, plan.bands[number], piece, first=part == 0, last=part == len(pieces) - 1
            )
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

    def _conv(self, plan: Plan, band: Band, piece: Piece, *, first: bool, last: bool) -> int:
        depth = self.arch.act_words
        segment = plan.layer.segments[piece.segment]
        low, high = band.inputs[piece.segment]
        width = segment.width
        plane_words = (high - low) * width
        y0 = band.first * segment.stride[0] - segment.pad[0]
        x0 = -segment.pad[1]
        base = piece.start + piece.low * plane_words + (y0 - low) * width + x0
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
            },
            load=piece.wait,
        )

    def _drain(
        self, walk: OutputPlanes, layer: HardwareLayer, number: int, band: Band, tile: Tile
    ) -> None:
        arch = self.arch
        end = -(-(tile.first + tile.groups * arch.drain_lanes) // arch.rows)
        wait = walk.open(number, end)
        assert wait is not None, "planned to fit"
        self.recorder.emit(
            Op.DRAIN,
            {
                "base": walk.region(number, tile.first // arch.rows).start % arch.out_words,
                "offset": tile.first % arch.rows,
                "groups": tile.groups,
                "plane_step": walk.plane_words(number) % arch.out_words,
                "count": band.rows * layer.shape[1],
            },
            post=wait,
        )

    # LRN and pooling

    def _post_layer(self, plan: Plan) -> None:
        """A layer without convolution: its planes are loaded to the output buffer."""
        layer = plan.layer
        source = self.maps[layer.source]
        for planes in plan.blocks:
            walk = OutputPlanes(layer, plan.rows, self._out, planes)
            for number, band in enumerate(plan.bands):
                for plane in planes:
                    wait = walk.open(number, plane + 1)
                    stored = source.stored_by(plane, plane + 1, band.first + band.rows)
                    assert wait is not None, "planned to fit"
                    assert stored is not None, "the layer before stores all its rows"
                    row_beats = source.planes.row_beats
                    loaded = self.recorder.emit(
                        Op.LOAD,
                        {
                            "dest": Dest.OUT,
                            "mem": source.planes.address(plane, band.first),
                            "base": walk.region(number, plane).start % self.arch.out_words,
                            "row_words": layer.shape[1],
                            "row_beats": row_beats,
                            "plane_beats": band.rows * row_beats,
                            "planes": 1,
                            "plane_stride": source.planes.plane_bytes,
                        },
                        section="data",
                        post=max(wait, stored),
                    )
                    self._load_table(layer)
                    for ready in walk.ready(number, plane + 1):
                        self._posts(walk, layer, number, ready, loaded)

    def _posts(
        self, walk: OutputPlanes, layer: HardwareLayer, band: int, plane: int, loaded: int = 0
    ) -> None:
        """Post one plane of a band; `loaded`: the LOAD that brought what is needed, if any."""
        for job in walk.jobs[band]:
            self._post(walk, layer, band, plane, job, loaded)
        walk.posted(band, plane, self.recorder.count(Op.POST))

    def _post(
        self,
        walk: OutputPlanes,
        layer: HardwareLayer,
        band: int,
        plane: int,
        job: Job,
        loaded: int,
    ) -> None:
        depth, rows = self.arch.out_words, self.arch.rows
        post = job.post
        target = self.maps[post.name]
        start = walk.region(band, plane).start
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
                "in_h": job.halo + walk.bands[band][1],
                "in_w": walk.width,
                "halo_rows": job.halo,
                "halo_base": halo_base % depth,
                "halo_step": halo_step % depth,
                "base": start % depth,
                "step": walk.plane_words(band) % depth,
                "channels": min(rows, rest),
                "has_prev": lrn is not None and plane > 0,
                "next_channels": min(2, max(rest - rows, 0)) if lrn else 0,
                "out_h": job.rows,
                "out_w": post.shape[1],
                "row_beats": row_beats,
                "beats": job.rows * row_beats,
                "mem": target.planes.address(plane, job.first),
            },
            section="data",
            drain=0 if loaded else self.recorder.count(Op.DRAIN),
            load=max(loaded, target.overwrites, self._table_load if lrn else 0),
        )
        target.store(plane, job.first + job.rows, count)
        if lrn:
            self._table_read = count
