"""What a plan needs at least: bounds that hold whatever the descriptors turn out to be.

With them a candidate that cannot win is dropped before its descriptors are written, or while they
are timed.
"""

from __future__ import annotations

from penstock.host.compiler.emission.output import OutputPlanes
from penstock.host.compiler.emission.tile import Plan
from penstock.host.program.allocator import Ring
from penstock.host.timing.latencies import BEAT, MEMORY, Memory, Timing, block_cycles
from penstock.models.spec.arch import Arch
from penstock.models.spec.isa import DESCRIPTOR_BYTES

__all__ = [
    "bound",
    "cover",
    "least_bytes",
    "least_tail",
    "load_beats",
    "stored_beats",
    "tile_beats",
]


def tile_beats(plan: Plan, arch: Arch) -> int:
    """Beats of parameters and weights that each step reads."""
    blocks = sum(tile.weight_blocks for tile in plan.tiles)
    return (len(plan.tiles) * arch.params_bytes + blocks * arch.block_bytes) // arch.bus_bytes


def load_beats(plan: Plan) -> list[int]:
    """Beats that each step loads."""
    segments = plan.layer.segments
    result = []
    for step in plan.steps:
        beats = 0
        for number, segment in enumerate(segments):
            low, high = plan.input_rows(step, number)
            beats += (high - low) * segment.row_beats * segment.planes
        result.append(beats)
    return result


def stored_beats(plan: Plan, arch: Arch) -> int:
    """Beats that an image's maps are stored in."""
    return sum(
        len(post.planes) * post.shape[0] * arch.row_beats(post.shape[1])
        for post in plan.layer.posts
    )


def least_bytes(plan: Plan, arch: Arch) -> int:
    """Lower bound on a plan's bytes: all its data, and descriptors of each tile."""
    beats = tile_beats(plan, arch) * len(plan.steps) + sum(load_beats(plan))
    # WEIGHTS, CONV, DRAIN; how many LOADs and POSTs there are depends on more.
    descriptors = 3 * len(plan.tiles) * len(plan.steps) * DESCRIPTOR_BYTES
    return (beats + stored_beats(plan, arch) * plan.batch) * BEAT + descriptors


def bound(plan: Plan, arch: Arch) -> float:
    """Lower bound on a plan's cycles: the array's time for its weight blocks."""
    blocks = sum(tile.weight_blocks for tile in plan.tiles)
    cycles = sum(blocks * block_cycles(plan.positions(step), arch) for step in plan.steps)
    if not blocks:
        return 0.0
    # The last block ends with its last word.
    last = plan.positions(plan.steps[-1])
    return float(cycles - block_cycles(last, arch) + last)


def cover(plan: Plan, arch: Arch) -> float:
    """Cycles from a layer's first block until it needs the last plane of its input."""
    if not plan.tiles or plan.layer.reads_input:
        return 0.0
    period = block_cycles(plan.positions(plan.steps[0]), arch)
    segment = plan.layer.segments[0]
    blocks = 0
    for tile in plan.tiles:
        blocks += tile.weight_blocks
        if tile.spans[0][1] == segment.planes:
            blocks -= segment.kernel[0] * segment.kernel[1]
            break
    return float(blocks * period)


def least_tail(plan: Plan, arch: Arch, memory: Memory = MEMORY) -> float:
    """Lower bound on the tail of a plan: the drain of its last tile, then its last POST."""
    timing = Timing(arch, memory)
    planes = plan.plane_ranges[0]
    jobs = OutputPlanes(plan.layer, plan.rows, Ring(None), planes).jobs[-1]
    last = [job for job in jobs if planes.stop - 1 in job.post.planes]
    if not plan.tiles or not last:
        return 0.0
    job = last[-1]
    drain = plan.tiles[-1].lane_groups * plan.positions(plan.steps[-1]) + timing.drained
    post = {
        "kernel": job.post.kernel,
        "stride": job.post.stride,
        "lrn": job.post.lrn and plan.layer.lrn is not None,
        "y0": job.y0,
        "out_w": job.post.shape[1],
        "out_h": job.rows,
        "beats": job.rows * arch.row_beats(job.post.shape[1]),
    }
    return timing.filled + drain + timing.post_cycles(post)[1] + timing.written
