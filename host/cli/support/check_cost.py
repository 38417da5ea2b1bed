"""What `--check` costs: storing every feature map, against the same network without."""

from __future__ import annotations

from penstock.host.cli.support.progress import task
from penstock.host.compiler.compile import compile_network
from penstock.host.compiler.planning.cost import predict
from penstock.host.program.program import Program
from penstock.models.graph.graph import Network, QFc
from penstock.models.spec.arch import Arch
from penstock.models.spec.number_format import grouped, percent

__all__ = ["check_cost"]


def check_cost(network: Network, program: Program, arch: Arch) -> str:
    """Return a sentence on the cycles that a program stores maps for, both as predicted.

    Parameters
    ----------
    network : Network
        Quantised.
    program : Program
        Compiled from it with ``trace``.
    arch : Arch
    """
    done = {name for layer in program.layers for name in layer.covers}
    fc = any(isinstance(layer, QFc) and layer.name in done for layer in network.layers)
    with task("predicting the cycles without --check"):
        plain = compile_network(network, arch, batch=program.batch, fc=fc)
        without = sum(layer.cycles for layer in predict(plain, arch)) / program.batch
        checked = sum(layer.cycles for layer in predict(program, arch)) / program.batch
    return (
        f"With --check every feature map is stored: {grouped(checked)} cycles an image predicted, "
        f"{grouped(without)} without ({percent(checked / without - 1)} more)."
    )
