"""Choosing how a hardware layer is cut: candidates ranked by estimate, the best ones timed.

Each lowering can be cut into bands in many ways.  All that fit are ranked by `estimate`, a sum of
maxima; the few best are emitted as descriptors and timed by
`host.compiler.planning.cost.time_plan`.  The fewest cycles win; among those within 0.3 % of them,
the fewest bytes.  A plan cannot have fewer cycles than the array's work and the cycles that the
array has already waited, so most timings end soon: when that sum cannot win any more.

The array's time is compared.  A layer's tail, the posts after its last block, overlaps the next
layer's first tiles, which read the planes in the order in which they are stored::

    array   | layer 1                        | layer 2: plane 0 | plane 1 | ... | last plane
    posts                   plane 0 | plane 1 | ... | last plane |
                                              <------ tail ------>
                                              <------------- cover ------------->
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from math import inf

from penstock.host.compiler.emission.tile import Plan, Tile, balanced, cut_bands, cut_tiles
from penstock.host.compiler.lowering.lower import HardwareLayer
from penstock.host.compiler.planning.bounds import (
    bound,
    cover,
    least_bytes,
    least_tail,
    load_beats,
    stored_beats,
    tile_beats,
)
from penstock.host.compiler.planning.cost import PlanCost, time_plan
from penstock.host.program.compile_error import CompileError
from penstock.host.timing.latencies import block_cycles
from penstock.models.spec.arch import Arch

__all__ = [
    "WORTH",
    "Candidate",
    "candidates",
    "choose",
    "estimate",
    "fitting",
    "refusal",
]

# Overhead cycles per tile and per post: descriptors, pipelines, memory latency.
_TILE_OVERHEAD = 16
_POST_OVERHEAD = 100

# Band counts considered: the minimum and this many more.
_MORE_BANDS = 8

# Maximum rows of a shortened first band, and the rows tried for a shortened last one.
_SHORT_BAND = 8
_SHORT_LASTS = (2, 4, 6, 8)

# Candidates that are timed, in all and per number of steps.
_TIMED = 8
_ALIKE = 2

# Candidates whose estimate exceeds the best by more than this fraction are not timed.
WORTH = 1.05

# Fraction of an overlapped tail that still counts: the log attributes it to the layer itself.
_COVERED = 0.2

# Fraction of a layer's cycles traded for fewer bytes.
_GIVEN_UP = 0.003


@dataclass(frozen=True)
class Candidate:
    """One way to cut a layer.

    Parameters
    ----------
    plan : Plan
    estimate : float
        Rough cycles.
    cost : PlanCost or None
        From the cost model; None if it was not timed.
    exposed : float
        Cycles that the layer waits for the previous layer's tail, plus the part of its own tail
        that nothing overlaps, plus a fraction of the overlapped part.
    """

    plan: Plan
    estimate: float
    cost: PlanCost | None = None
    exposed: float = 0.0

    @property
    def cycles(self) -> float:
        """Cycles by which candidates are compared."""
        return self.cost.cycles + self.exposed if self.cost else self.estimate


def _band_sizes(layer: HardwareLayer, most_rows: int) -> list[list[int]]:
    """Ways to cut the rows into bands of at most `most_rows`."""
    height = layer.shape[0]
    fewest = -(-height // most_rows)
    counts = range(fewest, min(height, fewest + _MORE_BANDS) + 1)
    result = [balanced(height, count) for count in counts]
    # A short first band lets the array start early; a short last one leaves POST little to do after
    # the array has finished.
    for first in range(min(most_rows, height - 1, _SHORT_BAND) + 1):
        if first and not layer.reads_input:
            break
        lasts = {0, *(rows for rows in _SHORT_LASTS if layer.lrn and rows < height - first)}
        for last in sorted(lasts):
            middle = height - first - last
            if first + last == 0 or last > most_rows:
                continue
            rest = -(-middle // most_rows)
            result += [
                [*[first][:first], *balanced(middle, count), *[last][:last]]
                for count in range(rest, min(middle, rest + _MORE_BANDS) + 1)
            ]
    count = max(2 * (fewest + _MORE_BANDS), 1)
    while count < height:
        result.append(balanced(height, count))
        count *= 2
    result.append([1] * height)
    return result


def _group_sizes(layer: HardwareLayer, batch: int, arch: Arch) -> list[int]:
    """Possible numbers of images computed together."""
    if batch == 1 or not layer.segments:
        return [1]
    most = min(batch, arch.psum_words // (layer.shape[0] * layer.shape[1]))
    sizes = {-(-batch // -(-batch // size)) for size in range(1, most + 1)}
    return sorted(sizes | {1})


def candidates(layer: HardwareLayer, arch: Arch, batch: int) -> list[Plan]:
    """Return the ways to cut a layer that are considered, whether they fit or not.

    Raises
    ------
    CompileError
        If not even one row of outputs fits.
    """
    height, width, channels = layer.shape
    planes = -(-channels // arch.rows)
    tiles = cut_tiles(layer, arch) if layer.segments else ()
    most_rows = (arch.psum_words if layer.segments else arch.out_words) // width
    if most_rows < 1:
        raise refusal(layer, arch)
    whole = bool(layer.segments) or layer.lrn is not None
    blocks = (range(planes),) if whole else tuple(range(p, p + 1) for p in range(planes))
    made = []
    for size in _group_sizes(layer, batch, arch):
        groups = tuple(balanced(batch, -(-batch // size)))
        cuts = _band_sizes(layer, min(most_rows, height)) if size == 1 else [[height]]
        made += [Plan(layer, tiles, cut_bands(layer, sizes), blocks, groups) for sizes in cuts]
    return made


def estimate(plan: Plan, arch: Arch) -> float:
    """Estimate a layer's cycles: for each step the maximum of array, bus and POST.

    The input of a step is loaded while the previous one is computed, if both fit.  Of a batch, the
    first two image groups are estimated; the others are like the second.
    """
    if len(plan.image_groups) == 1:
        return _estimate(plan, arch)
    one, two = _estimate(plan.head(1), arch), _estimate(plan.head(2), arch)
    return one + (two - one) * (plan.batch - plan.image_groups[0]) / plan.image_groups[1]


def _estimate(plan: Plan, arch: Arch) -> float:
    layer, tiles = plan.layer, plan.tiles
    blocks = sum(tile.weight_blocks for tile in tiles)
    weights, loads, stored = tile_beats(plan, arch), load_beats(plan), stored_beats(plan, arch)
    planes = -(-layer.shape[2] // arch.rows)
    posts = layer.post_cycles(arch)
    total = 0.0
    for index, step in enumerate(plan.steps):
        share = step.images * step.band.rows / layer.shape[0]
        period = block_cycles(plan.positions(step), arch)
        bus = weights + stored * share
        if index + 1 < len(plan.steps):
            following = plan.steps[index + 1]
            if plan.act_words(step) + plan.act_words(following) <= arch.act_words:
                bus += loads[index + 1]
            else:
                total += loads[index + 1]
        array = blocks * period + len(tiles) * _TILE_OVERHEAD
        total += max(array, bus, posts * share + planes * _POST_OVERHEAD)
        if index == 0 and layer.reads_input:
            total += _first_wait(plan, tiles, period)
        if index + 1 == len(plan.steps):
            # POST still has the last plane to do, and with LRN the one before.
            total += posts * share / planes * (2 if layer.lrn and planes > 1 else 1) * _COVERED
    return total


def _first_wait(plan: Plan, tiles: tuple[Tile, ...], period: int) -> int:
    """Cycles that the first tile waits for its planes: nothing hides the first loads."""
    step = plan.steps[0]
    loaded = computed = work = 0
    for number, segment in enumerate(plan.layer.segments):
        low, high = plan.input_rows(step, number)
        for _ in range(segment.planes):
            loaded += (high - low) * segment.row_beats
            cycles = segment.kernel[0] * segment.kernel[1] * period
            computed = max(computed, loaded) + cycles
            work += cycles
    return computed - work


def refusal(layer: HardwareLayer, arch: Arch) -> CompileError:
    """Return the error that nothing fits, with what the shortest band needs."""
    width = layer.shape[1]
    kernel = max(post.kernel for post in layer.posts)
    rows = min(max(kernel - 1, 1), layer.shape[0])
    planes = -(-layer.shape[2] // arch.rows)
    name = f"layer {layer.name}"
    if layer.segments:
        if width * rows > arch.psum_words:
            what = f"a row of {width} outputs" if rows == 1 else f"{rows} rows of {width} outputs"
            return CompileError(
                f"{name}: {what}: {width * rows} partial sums needed, "
                f"arch {arch.name} has {arch.psum_words}"
            )
        single = Plan(layer, (), cut_bands(layer, [1] * layer.shape[0]), ())
        words = max(single.act_words(step) for step in single.steps)
        if words > arch.act_words:
            return CompileError(
                f"{name}: the input of one output row needs {words} words of activation buffer, "
                f"arch {arch.name} has {arch.act_words}"
            )
    if not layer.segments and layer.lrn is None:
        planes = 1
    bands = 1 if rows == layer.shape[0] else 2
    words = planes * rows * width * bands if bands > 1 else min(planes, 3) * rows * width
    return CompileError(
        f"{name}: bands of {rows} rows of {width} words in {planes} planes need about {words} "
        f"words of output buffer, arch {arch.name} has {arch.out_words}"
    )


def choose(
    found: list[Candidate],
    arch: Arch,
    *,
    tail: float = 0.0,
    covered: float = 0.0,
) -> list[Candidate]:
    """Return the candidates of a layer, best first, the promising ones timed.

    Parameters
    ----------
    found : list of Candidate
        Those of `fitting`.
    tail : float
        Cycles of the previous layer's tail.
    covered : float
        Cycles of this layer's tail that the next layer overlaps.
    """
    race = _Race(arch, tail, covered)
    rest = []
    for candidate in sorted(found, key=lambda c: (len(c.plan.steps), c.estimate)):
        # Later lowerings move more bytes, so they must save cycles.
        rough = max(bound(candidate.plan, arch), candidate.estimate / WORTH) * (1 + _GIVEN_UP)
        if candidate.estimate > found[0].estimate * WORTH or race.has_at_most(rough):
            rest.append(candidate)
        else:
            race.enter(candidate)
    return race.finish() + rest


class _Race:
    """Candidates that are timed against each other, each only as long as it may win.

    Parameters
    ----------
    arch : Arch
    tail, covered : float
        As for `choose`.

    Members
    -------
    timed : list of Candidate
    """

    def __init__(self, arch: Arch, tail: float, covered: float) -> None:
        self.arch = arch
        self.tail = tail
        self.covered = covered
        self.timed: list[Candidate] = []
        # Candidates whose timing was stopped, each with the cycles that it exceeds.
        self._stopped: list[tuple[Candidate, float]] = []

    def enter(self, candidate: Candidate) -> None:
        """Time a candidate, unless it turns out that it cannot beat those timed so far."""
        most = self._most(candidate.plan)
        if not self._time(candidate, most):
            self._stopped.append((candidate, most))

    def has_at_most(self, cycles: float) -> bool:
        """Whether a candidate has at most so many cycles."""
        while all(candidate.cycles > cycles for candidate in self.timed):
            unknown = next((entry for entry in self._stopped if entry[1] <= cycles), None)
            if unknown is None:
                return False
            self._resume(unknown)
        return True

    def finish(self) -> list[Candidate]:
        """Return all candidates, best first; those that were stopped come last."""
        # Those that were stopped may yet win against one that became the best after them.
        while True:
            for entry in self._stopped:
                if self._most(entry[0].plan) > entry[1]:
                    self._resume(entry)
                    break
            else:
                return _ranked(self.timed) + [candidate for candidate, _ in self._stopped]

    def _resume(self, entry: tuple[Candidate, float]) -> None:
        self._stopped.remove(entry)
        self._time(entry[0], inf)

    def _time(self, candidate: Candidate, most: float) -> bool:
        """Time a candidate, unless it has more than `most` cycles; return whether it was timed."""
        plan = candidate.plan
        waits = max(0.0, self.tail - cover(plan, self.arch))
        least = waits + _exposed(least_tail(plan, self.arch), self.covered)
        cost = time_plan(plan, self.arch, most=most - least)
        if cost is None:
            return False
        exposed = waits + _exposed(cost.tail, self.covered)
        self.timed.append(replace(candidate, cost=cost, exposed=exposed))
        return True

    def _most(self, plan: Plan) -> float:
        """Return the cycles beyond which a plan does not change which candidate is the best."""
        if not self.timed:
            return inf
        best = _ranked(self.timed)[0]
        assert best.cost is not None
        if least_bytes(plan, self.arch) > best.cost.bytes:
            # It must save so much that the best one's fewer bytes count no longer.
            return best.cycles / (1 + _GIVEN_UP)
        return min(candidate.cycles for candidate in self.timed) * (1 + _GIVEN_UP)


def _exposed(tail: float, covered: float) -> float:
    """The part of a layer's tail that nothing overlaps, plus a fraction of the rest."""
    bare = max(0.0, tail - covered)
    return bare + (tail - bare) * _COVERED


def _ranked(timed: list[Candidate]) -> list[Candidate]:
    """Sort candidates, best first."""
    limit = min(c.cycles for c in timed) * (1 + _GIVEN_UP)

    def rank(candidate: Candidate) -> tuple[float, float, float]:
        assert candidate.cost is not None
        even = candidate.cycles <= limit
        return (0.0 if even else candidate.cycles, candidate.cost.bytes, candidate.cycles)

    return sorted(timed, key=rank)


def fitting(ways: list[HardwareLayer], arch: Arch, batch: int) -> list[Candidate]:
    """Return the best candidates that fit, best estimate first.

    Raises
    ------
    CompileError
        If nothing fits the buffers.
    """
    found: list[Candidate] = []
    reason = None
    for layer in ways:
        try:
            plans = candidates(layer, arch, batch)
        except CompileError as error:
            reason = reason or error
            continue
        ranked = sorted(
            (Candidate(plan, estimate(plan, arch)) for plan in plans), key=lambda c: c.estimate
        )
        some = _few(ranked, arch)
        if not some:
            reason = reason or refusal(layer, arch)
        found += some
    if not found:
        assert reason is not None
        raise reason
    return sorted(found, key=lambda candidate: candidate.estimate)


def _few(ranked: list[Candidate], arch: Arch) -> list[Candidate]:
    """Return the best candidates that fit for each number of steps (which decides the bytes).

    Fewer steps are preferred.
    """
    best: Candidate | None = None
    kept: dict[int, list[Candidate]] = {}
    for candidate in _distinct(ranked):
        if best is not None and candidate.estimate > best.estimate * WORTH:
            break
        same = kept.setdefault(len(candidate.plan.steps), [])
        if len(same) < _ALIKE and candidate.plan.fits(arch):
            best = best or candidate
            same.append(candidate)
    some = [c for _, same in sorted(kept.items()) for c in same][:_TIMED]
    if best is not None and best not in some:
        some[-1] = best
    return some


def _distinct(ranked: list[Candidate]) -> list[Candidate]:
    """Drop candidates that are cut the same way."""
    seen = set()
    result = []
    for candidate in ranked:
        key = (tuple(candidate.plan.rows), candidate.plan.image_groups)
        if key not in seen:
            seen.add(key)
            result.append(candidate)
    return result
