"""Maps in memory: where they go, and what must be over before they are written."""

from __future__ import annotations

from penstock.host.compiler.emission.maps import Maps
from penstock.host.program.channel_views import ChannelView
from penstock.models.graph.graph import INPUT


def test_memory_used_again_waits_for_the_loads_that_read_what_was_there() -> None:
    maps = Maps(8, [], kept=())
    views = {name: ChannelView(name, (4, 4), (), (8,)) for name in (INPUT, "a", "b", "c", "d")}
    maps._whole.update(views)
    for name in (INPUT, "a", "b"):
        maps.place(views[name])
        assert maps[name].overwrites == 0, "nothing was there"
    maps.retire({"b"}, loads=7)
    maps.place(views["c"])
    maps.retire({"c"}, loads=12)
    maps.place(views["d"])
    at = {name: maps[name].planes.offset for name in ("c", "d")}
    assert at["c"] != at["d"]
    assert (maps["c"].overwrites, maps["d"].overwrites) == (7, 12)
