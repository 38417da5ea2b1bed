"""From planned hardware layers to descriptors.

Program order is fetch order, and a full engine queue stalls the fetcher.  A descriptor is therefore
placed where the work it waits for is about to complete:

* LOADs of the activation buffer come as early as possible (`host.compiler.emission.loads`), but one
  that waits for the tile just emitted comes one tile later, so that it does not block the queue.
* The first tile that reads newly loaded planes is cut into several CONVs, so that the first ones
  run while later planes are still being loaded.
* POSTs follow the DRAIN that completes their input.
* WEIGHTS come one tile early.

Waits are counts of earlier descriptors of an engine: see `models.spec.isa`.
"""

from __future__ import annotations

from collections.abc import Iterator

from penstock.host.compiler.emission.deferred import DeferredLayer, DeferredLayers
from penstock.host.compiler.emission.loads import LoadQueue, Piece
from penstock.host.compiler.emission.maps import Maps
from penstock.host.compiler.emission.output import OutputPlanes
from penstock.host.compiler.emission.posting import PostWriter
from penstock.host.compiler.emission.record import Constants, Record, Recorder, weights_ahead
from penstock.host.compiler.emission.tile import Plan, Step, Tile
from penstock.host.compiler.emission.weight_stream import tile_bytes
from penstock.host.compiler.lowering.lower import HardwareLayer
from penstock.host.program.allocator import Ring
from penstock.host.program.compile_error import CompileError
from penstock.host.timing.latencies import block_cycles
from penstock.models.spec.arch import Arch
from penstock.models.spec.isa import Op

__all__ = ["Emitter"]


class Emitter:
    """Emits the descriptors of one program.

    Parameters
    ----------
    arch : Arch
    plans : list of Plan
        All for the same batch.
    given : set of str
        Maps that are in memory at the start.
    kept : set of str
        Maps that must still be in memory at the end.
    dry : bool
        Reserve room for weights without writing them: the program can be timed, but not run.

    Members
    -------
    recorder : Recorder
    constants : Constants
    maps : Maps
    order : list of int
        Numbers of the plans in order of completion, which is the order of the layer log.
    """

    def __init__(
        self,
        arch: Arch,
        plans: list[Plan],
        given: set[str],
        kept: set[str],
        *,
        dry: bool = False,
    ) -> None:
        self.arch = arch
        self.plans = plans
        self.dry = dry
        self.recorder = Recorder()
        self.constants = Constants()
        layers = [plan.layer for plan in plans]
        self.maps = Maps(arch.rows, layers, kept, plans[0].batch)
        self.maps.place_inputs(given, layers)
        self._loads = LoadQueue(arch, plans, self.maps, self.recorder)
        self.order: list[int] = []
        self._out = Ring(arch.out_words)
        self._posts = PostWriter(arch, self.recorder, self.constants, self.maps, self._out)
        self._deferred = DeferredLayers(self._out)
        # Words of the output ring that the convolution in progress needs.
        self._peak = 0
        # CONVs up to the tile before the last one: LOADs emitted ahead may wait for these.
        self._limit = 0

    def run(self) -> Iterator[Record]:
        """Emit all layers; yield their descriptors in program order, tile by tile.

        Raises
        ------
        CompileError
            If a value does not fit its field; the message names the layer.
        """
        return weights_ahead(self._records())

    def _records(self) -> Iterator[Record]:
        records = self.recorder.records
        known = 0
        for _ in self._layers():
            yield from records[known:]
            known = len(records)
        yield from records[known:]

    def _layers(self) -> Iterator[None]:
        """Emit all layers; stop before each tile, when what comes before it changes no more."""
        for index, plan in enumerate(self.plans):
            if not plan.tiles:
                self._defer(index)
                continue
            self._finish_for(plan)
            self._defer_following(index)
            self._begin(plan)
            try:
                yield from self._conv_layer(index, plan)
            except CompileError:
                raise
            except ValueError as error:
                raise CompileError(f"layer {plan.layer.name}: {error}") from None
            self._complete(index)
        while self._deferred.queue:
            self._unit()

    def _begin(self, plan: Plan) -> None:
        self.recorder.layer = plan.layer.name
        for post in plan.layer.posts:
            self.maps.place(post.target)

    def _complete(self, index: int) -> None:
        self.recorder.mark_last_post()
        self.order.append(index)
        self.maps.retire(self._later(), self.recorder.count(Op.LOAD))

    def _later(self) -> set[str]:
        """Maps that incomplete layers read or store."""
        done = set(self.order)
        layers = [plan.layer for number, plan in enumerate(self.plans) if number not in done]
        views = [view for layer in layers for view in layer.sources]
        views += [post.target for layer in layers for post in layer.posts]
        return {view.map for view in views}

    # Convolutions

    def _conv_layer(self, index: int, plan: Plan) -> Iterator[None]:
        layer, arch = plan.layer, self.arch
        self._peak = plan.out_words(arch) if self._deferred.queue else 0
        weights = [self._tile_weights(layer, tile) for tile in plan.tiles]
        planes = plan.plane_ranges[0]
        for number, step in enumerate(plan.steps):
            if step.number == 0:
                output = OutputPlanes(layer, plan.rows, self._out, planes, step.images)
            for position, tile in enumerate(plan.tiles):
                yield
                while not self._loads.ready(index, number, tile):
                    if not self._loads.advance(self.recorder.count(Op.CONV)):
                        raise CompileError(
                            f"layer {layer.name}: no room in the activation buffer of "
                            f"{arch.act_words} words"
                        )
                if number == 0 and position == 0:
                    self._posts.load_table(layer)
                self._limit = self.recorder.count(Op.CONV)
                self._weights(plan, step, tile, weights[position])
                self._convs(index, number, position)
                self._drain(output, plan, step, tile)
                for plane in output.ready(step.number, tile.done(layer.shape[2], arch)):
                    self._posts.plane(output, plan, step, plane)
                if step is not plan.steps[-1] or tile is not plan.tiles[-1]:
                    # The layer's last POST ends it in the log.
                    self._units(plan, step, tile)
                self._loads.ahead(self._limit, self._spare_beats(plan, step, tile))

    def _tile_weights(self, layer: HardwareLayer, tile: Tile) -> int:
        """Store a tile's parameters and weight blocks; return their offset."""
        if self.dry:
            return self.constants.skip(self._tile_beats(tile) * self.arch.bus_bytes)
        return self.constants.add(tile_bytes(layer, tile, self.arch))

    def _tile_beats(self, tile: Tile) -> int:
        arch = self.arch
        return (arch.params_bytes + tile.weight_blocks * arch.block_bytes) // arch.bus_bytes

    def _spare_beats(self, plan: Plan, step: Step, tile: Tile) -> float:
        """Bus beats a tile's weights leave to LOADs: at least half, as ports share the bus."""
        weights = self._tile_beats(tile)
        cycles = tile.weight_blocks * block_cycles(plan.positions(step), self.arch)
        return max(cycles - weights, max(cycles, weights) / 2)

    def _part(self, plan: Plan, step: Step, tile: Tile) -> str:
        return f"tile {tile.first // self.arch.cols}, {plan.where(step)}"

    def _weights(self, plan: Plan, step: Step, tile: Tile, address: int) -> None:
        self.recorder.emit(
            Op.WEIGHTS,
            {
                "has_params": 1,
                "mem": address,
                "blocks": tile.weight_blocks,
                "beats": self._tile_beats(tile),
            },
            section="const",
            part=self._part(plan, step, tile),
        )

    def _convs(self, index: int, number: int, position: int) -> None:
        plan = self.plans[index]
        leaving = self._loads.leaving(index, number, position)
        # If the next LOAD has no room, free words plane by plane.
        split = bool(leaving) and self._loads.blocked
        tile = plan.tiles[position]
        pieces = self._loads.pieces(index, number, tile, split=split)
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
        # Rows and columns are relative to the frame.
        top, left, seen_h, seen_w = segment.seen
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
                "y0": y0 - top,
                "x0": x0 - left,
                "in_h": seen_h,
                "in_w": seen_w,
                "pad": segment.fill,
                "more_images": step.images - 1,
                "step_image": segment.height * width % depth,
            },
            part=part,
            load=piece.wait,
        )

    def _drain(self, output: OutputPlanes, plan: Plan, step: Step, tile: Tile) -> None:
        arch = self.arch
        number = step.number
        wait = output.open(number, tile.opened(arch))
        assert wait is not None, "planned to fit"
        self.recorder.emit(
            Op.DRAIN,
            {
                "base": output.region(number, tile.first // arch.rows).start % arch.out_words,
                "offset": tile.first % arch.rows,
                "lane_groups": tile.lane_groups,
                "plane_step": output.plane_words(number) % arch.out_words,
                "count": plan.positions(step),
            },
            part=self._part(plan, step, tile),
            post=wait,
        )

    # LRN and pooling

    def _defer(self, index: int) -> None:
        """Queue a layer without a convolution, unless it is queued or complete."""
        known = {waiting.index for waiting in self._deferred.queue}
        if index in known or index in self.order:
            return
        plan = self.plans[index]
        for post in plan.layer.posts:
            self.maps.place(post.target)
        self._deferred.queue.append(DeferredLayer(index, plan, self._posts.post_layer(plan)))

    def _defer_following(self, index: int) -> None:
        """Queue the layers that may follow a convolution band by band."""
        for number in range(index + 1, len(self.plans)):
            plan = self.plans[number]
            if plan.tiles or (plan.layer.lrn and self.plans[index].layer.lrn):
                return
            self._defer(number)

    def _finish_for(self, plan: Plan) -> None:
        """Complete deferred layers that a convolution reads or that use another LRN table."""
        for waiting in reversed(self._deferred.queue):
            layer = waiting.plan.layer
            needed = any(
                source.overlaps(post.target)
                for source in plan.layer.sources
                for post in layer.posts
            )
            if needed or (layer.lrn and plan.layer.lrn):
                while waiting in self._deferred.queue:
                    self._unit()
                return

    def _unit(self) -> None:
        """Emit the next unit of the deferred layers."""
        before = self.recorder.layer
        plan = self._deferred.queue[0].plan
        self.recorder.layer = plan.layer.name
        try:
            finished = self._deferred.step()
        except ValueError as error:
            raise CompileError(f"layer {plan.layer.name}: {error}") from None
        if finished is not None:
            self._complete(finished.index)
        self.recorder.layer = before

    def _units(self, plan: Plan, step: Step, tile: Tile) -> None:
        """Emit the units that fit POST's idle cycles while the array computes a tile."""
        layer = plan.layer
        cycles = tile.weight_blocks * block_cycles(plan.positions(step), self.arch)
        share = step.images * step.band.rows / layer.shape[0] / len(plan.tiles)
        self._deferred.save(cycles - layer.post_cycles(self.arch) * share)
        if tile is not plan.tiles[-1]:
            # Units must not separate planes of a band if a tile, or LRN, spans two of them.
            opened, done = tile.opened(self.arch), tile.done(layer.shape[2], self.arch)
            if layer.lrn or opened != done:
                return
        while self._deferred.due(self._peak):
            self._unit()
