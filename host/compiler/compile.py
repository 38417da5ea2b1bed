"""The compiler: from a quantised network and an arch to a program.

The arena of a program::

    descriptors | parameters, weights, LRN tables | input | feature maps
    <---------------- image ---------------------->

In a batch, every map holds all images, and each layer is computed for all of them before the next
one begins (its first loads overlap the previous layer).  A layer log entry counts the whole batch.
"""

from __future__ import annotations

from dataclasses import replace

from penstock.host.compiler.emission.emit import Emitter
from penstock.host.compiler.emission.tile import Plan
from penstock.host.compiler.lowering.accelerator_graph import build_graph
from penstock.host.compiler.planning.planner import Choice, plan_network
from penstock.host.compiler.verify import VerifyError, verify
from penstock.host.program.channel_views import ChannelView
from penstock.host.program.compile_error import CompileError
from penstock.host.program.program import LayerInfo, Program, TensorSpec
from penstock.host.program.tensor_layout import Planes
from penstock.models.graph.graph import INPUT, Concat, Network, infer_shapes
from penstock.models.spec.arch import Arch
from penstock.models.spec.isa import DESCRIPTOR_BYTES
from penstock.models.spec.memory import PAGE_BYTES

__all__ = ["CompileError", "compile_choices", "compile_network"]


def _align(size: int) -> int:
    return -(-size // PAGE_BYTES) * PAGE_BYTES


def _stored(network: Network, plans: list[Plan]) -> dict[str, ChannelView]:
    """The network's maps that are ever in memory, each with its channel view."""
    done = {name for made in plans for name in made.layer.covers}
    views = build_graph(network, [la for la in network.layers if la.name in done]).views
    stored = {post.name for made in plans for post in made.layer.posts}
    for layer in network.layers:
        # The inputs of a concatenation are stored, unless only their pooled values are.
        if layer.name in done and isinstance(layer, Concat) and stored.issuperset(layer.inputs):
            stored.add(layer.name)
    return {name: views[name] for name in views if name in stored}


def _kept(
    network: Network, plans: list[Plan], stored: dict[str, ChannelView], *, trace: bool
) -> set[str]:
    """Maps that must be in memory at the end: those the CPU reads, or all of them."""
    done = {name for made in plans for name in made.layer.covers}
    inside = {name for layer in network.layers if layer.name in done for name in layer.inputs}
    outside = {name for layer in network.layers if layer.name not in done for name in layer.inputs}
    return {
        view.map for name, view in stored.items() if trace or name in outside or name not in inside
    }


def compile_network(
    network: Network, arch: Arch, *, trace: bool = False, batch: int = 1, fc: bool = False
) -> Program:
    """Compile the layers before the first one that stays on the CPU.

    Parameters
    ----------
    network : Network
        Quantised.
    trace : bool
        Store every layer's map and keep it to the end, for comparison with the golden model.
    batch : int
        Images of one run.
    fc : bool
        Run fully connected layers with ReLU on the array; the last one, whose logits are not
        requantised, always runs on the CPU.

    Raises
    ------
    CompileError
        If a layer does not fit the arch; the message names it, with need and capacity.
    ValueError
        If the network is not valid.
    """
    choices = plan_network(network, arch, batch=batch, trace=trace, fc=fc)
    return compile_choices(network, arch, choices, trace=trace)


def compile_choices(
    network: Network, arch: Arch, choices: list[Choice], *, trace: bool = False
) -> Program:
    """Write the program of a network whose layers are planned, and verify it.

    Raises
    ------
    CompileError
        If there are too many layers, a value does not fit its field, or the program's waits do not
        order everything that must be ordered (`host.compiler.verify`).
    """
    shapes = infer_shapes(network)
    plans = [choice.plan for choice in choices]
    if len(plans) > arch.log_entries:
        raise CompileError(
            f"layer {plans[arch.log_entries].layer.name}: the program has {len(plans)} hardware "
            f"layers, the layer log of arch {arch.name} holds {arch.log_entries}"
        )
    stored = _stored(network, plans)
    emitter = Emitter(arch, plans, {INPUT}, _kept(network, plans, stored, trace=trace))
    records = list(emitter.run())
    const_base = _align(len(records) * DESCRIPTOR_BYTES)
    data_base = _align(const_base + emitter.constants.size)
    bases = {"const": const_base, "data": data_base}
    descriptors = b"".join(record.encode(bases) for record in records)
    padding = bytes(const_base - len(descriptors))

    def placed(planes: Planes) -> Planes:
        return replace(planes, offset=planes.offset + data_base)

    parts = tuple(
        replace(part, offset=part.offset + data_base) for part in emitter.maps.input_parts
    )
    program = Program(
        model=network.name,
        arch_name=arch.name,
        arch_fingerprint=arch.fingerprint,
        image=b"".join((descriptors, padding, *emitter.constants.parts)),
        desc_offset=0,
        desc_count=len(records),
        arena_bytes=_align(data_base + emitter.maps.arena.top),
        input=TensorSpec(INPUT, shapes[INPUT], parts),
        outputs={
            name: TensorSpec(name, shapes[name], (placed(emitter.maps.layout(view)),))
            for name, view in stored.items()
            if emitter.maps.get(view.map) is not None
        },
        layers=tuple(
            LayerInfo(
                name=made.layer.name,
                macs=made.layer.macs * made.batch,
                covers=made.layer.covers,
                choice=str(made),
                buffers=made.buffers(arch),
                least_bytes=made.layer.least_bytes,
            )
            for made in (plans[index] for index in emitter.order)
        ),
        parts=tuple((record.layer, record.part) for record in records),
        batch=plans[0].batch,
    )
    try:
        verify(program, arch)
    except VerifyError as error:
        raise CompileError(
            f"the program of {network.name} for arch {arch.name} failed its verification, a fault "
            f"of the compiler: {error}"
        ) from None
    return program
