"""The compiler: from a quantised network and an arch to a program.

The arena of a program::

    descriptors | parameters, weights, LRN tables | input | feature maps
    <---------------- image ---------------------->
"""

from __future__ import annotations

from dataclasses import replace

from host.emit import Emitter
from host.errors import CompileError
from host.layout import Planes
from host.lower import Chain, chains, lowerings
from host.program import LayerInfo, Program, TensorSpec
from host.tile import Plan, plan
from models.arch import Arch
from models.graph import INPUT, Network, infer_shapes
from models.isa import DESCRIPTOR_BYTES

__all__ = ["CompileError", "compile_network"]

PAGE = 4096


def _align(size: int) -> int:
    return -(-size // PAGE) * PAGE


def _plan_chain(chain: Chain, network: Network, arch: Arch) -> list[Plan]:
    """Plans of a chain's hardware layers: one if it fits, else as many as need be."""
    refusal: CompileError | None = None
    for layer in lowerings(chain, network, arch):
        try:
            return [plan(layer, arch)]
        except CompileError as error:
            refusal = refusal or error
    assert refusal is not None
    parts = chain.split()
    if parts is None:
        raise refusal
    return [made for part in parts for made in _plan_chain(part, network, arch)]


def _kept(network: Network, plans: list[Plan], *, trace: bool) -> set[str]:
    """Maps that must be in memory at the end: those the CPU reads, or all of them."""
    stored = {post.name for made in plans for post in made.layer.posts}
    if trace:
        return stored
    done = {name for made in plans for name in made.layer.covers}
    inside = {name for layer in network.layers if layer.name in done for name in layer.inputs}
    outside = {name for layer in network.layers if layer.name not in done for name in layer.inputs}
    return {name for name in stored if name in outside or name not in inside}


def compile_network(network: Network, arch: Arch, *, trace: bool = False) -> Program:
    """Compile the layers before the first fully connected one.

    Parameters
    ----------
    network : Network
        Quantised.
    trace : bool
        Store every layer's map and keep it to the end, to compare it with the golden model.

    Raises
    ------
    CompileError
        If a layer does not fit the arch; the message names it, with need and capacity.
    ValueError
        If the network is not sound.
    """
    shapes = infer_shapes(network)
    plans = [
        made for chain in chains(network, trace=trace) for made in _plan_chain(chain, network, arch)
    ]
    if len(plans) > arch.log_entries:
        raise CompileError(
            f"layer {plans[arch.log_entries].layer.name}: the program has {len(plans)} hardware "
            f"layers, the layer log of arch {arch.name} holds {arch.log_entries}"
        )
    emitter = Emitter(arch, plans, shapes[INPUT], _kept(network, plans, trace=trace))
    emitter.run()
    records = emitter.recorder.records
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
    return Program(
        model=network.name,
        arch_name=arch.name,
        arch_fingerprint=arch.fingerprint,
        image=b"".join((descriptors, padding, *emitter.constants.parts)),
        desc_offset=0,
        desc_count=len(records),
        arena_bytes=_align(data_base + emitter.maps.arena.top),
        input=TensorSpec(INPUT, shapes[INPUT], parts),
        outputs={
            name: TensorSpec(name, shapes[name], (placed(planes),))
            for name, planes in emitter.maps.layouts().items()
        },
        layers=tuple(
            LayerInfo(made.layer.name, made.layer.macs, made.layer.covers) for made in plans
        ),
    )
