"""The accelerator's graph: placement of concatenations, copies, pooling in parts."""

from __future__ import annotations

from penstock.host.compiler.lowering.accelerator_graph import Graph, build_graph
from penstock.models.graph.graph import INPUT, Concat, ConvGeometry, Layer, MaxPool
from tests.support.netgen import make_conv, make_network, rng_of

SHAPE = (8, 8, 3)


def conv(name: str, source: str, channels: tuple[int, int]) -> Layer:
    return make_conv(rng_of(1), name, source, *channels, ConvGeometry(kernel=(1, 1)))


def pool(name: str, source: str) -> MaxPool:
    return MaxPool(name=name, inputs=(source,), kernel=3, stride=1, pad=(1, 1, 1, 1))


def join(name: str, *sources: str) -> Concat:
    return Concat(name=name, inputs=sources)


def graph_of(*layers: Layer) -> Graph:
    return build_graph(make_network("joined", SHAPE, list(layers)), list(layers))


def test_joined_maps_lie_side_by_side() -> None:
    graph = graph_of(
        conv("a", INPUT, (3, 5)),
        conv("b", INPUT, (3, 6)),
        join("c", "a", "b"),
        conv("d", "c", (11, 4)),
    )
    assert [(node.layer.name, node.covers) for node in graph.nodes] == [
        ("a", ("a",)),
        ("b", ("b", "c")),
        ("d", ("d",)),
    ]
    assert (graph.views["a"].map, graph.views["a"].before) == ("c", ())
    assert (graph.views["b"].map, graph.views["b"].before) == ("c", (5,))
    assert graph.nodes[2].sources == (graph.views["c"],)
    assert graph.views["c"].widths == (5, 6)
    assert [view.map for view in graph.wanted] == ["d"]
    assert [node.macs for node in graph.nodes] == [8 * 8 * n for n in (15, 18, 44)]


def test_joined_maps_that_are_joined_again() -> None:
    graph = graph_of(
        conv("a", INPUT, (3, 5)),
        conv("b", INPUT, (3, 6)),
        join("c", "a", "b"),
        conv("d", "c", (11, 4)),
        join("e", "d", "c"),
    )
    assert {name: graph.views[name].map for name in "abcde"} == dict.fromkeys("abcde", "e")
    assert [graph.views[name].before for name in "abcde"] == [(4,), (4, 5), (4,), (), ()]
    assert [node.covers for node in graph.nodes] == [("a",), ("b", "c"), ("d", "e")]


def test_a_map_that_cannot_be_in_two_places_is_copied() -> None:
    graph = graph_of(
        conv("a", INPUT, (3, 5)),
        join("b", "a", INPUT),
        join("c", "a", "a"),
    )
    assert graph.views["a"].map == "c"
    copies = [(n.layer.name, n.sources[0].map, n.target.before) for n in graph.nodes[1:]]
    assert copies == [("b", "c", ()), ("b", INPUT, (5,)), ("c", "c", (5,))]


def test_pooling_of_joined_maps_is_done_in_parts() -> None:
    layers = [
        conv("a", INPUT, (3, 5)),
        conv("b", INPUT, (3, 6)),
        join("c", "a", "b"),
        pool("d", "c"),
    ]
    graph = graph_of(*layers)
    assert [(n.layer.name, n.target.before, n.covers) for n in graph.nodes] == [
        ("a", (), ("a",)),
        ("b", (5,), ("b", "c")),
        ("d", (), ()),
        ("d", (5,), ("d",)),
    ]
    # Not after pooling, not twice, not if a part is a copy.
    again = graph_of(*layers, join("e", "d"), pool("f", "e"))
    assert [n.layer.name for n in again.nodes] == ["a", "b", "d", "d", "f"]
    twice = graph_of(*layers, pool("e", "c"))
    assert [n.layer.name for n in twice.nodes] == ["a", "b", "d", "d", "e"]
    copied = graph_of(conv("a", INPUT, (3, 5)), join("c", "a", INPUT), pool("d", "c"))
    assert [n.layer.name for n in copied.nodes] == ["a", "c", "d"]
