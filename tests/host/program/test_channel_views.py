"""Positions of channels: parts, planes, empty slots."""

from __future__ import annotations

import numpy as np

from penstock.host.program.channel_views import ChannelView, planes_of, slots_of
from penstock.host.program.tensor_layout import Planes

MAP = ChannelView("joined", (5, 7), (), (6, 3, 4))


def test_each_part_begins_a_plane() -> None:
    assert planes_of(MAP.widths, 4) == 4
    assert slots_of(MAP.widths, 4).tolist() == [0, 1, 2, 3, 4, 5, 8, 9, 10, 12, 13, 14, 15]
    assert MAP.filled(4) == [4, 2, 3, 4]
    assert (MAP.channels, MAP.shape) == (13, (5, 7, 13))
    assert not MAP.dense(4)
    assert MAP.dense(3)
    # The last plane may be part full, and two parts may take as many planes as one and have a gap.
    assert ChannelView("a", (1, 1), (), (8, 3)).dense(4)
    assert not ChannelView("a", (1, 1), (), (10, 10)).dense(12)


def test_parts_of_a_map() -> None:
    middle = MAP.part(1, 2)
    assert middle.before == (6,)
    assert middle.widths == (3, 4)
    assert (middle.first(4), middle.planes(4)) == (2, 2)
    last = middle.part(1, 1)
    assert last.before == (6, 3)
    assert last.slots(4).tolist() == [0, 1, 2, 3]
    assert middle.overlaps(last)
    assert last.overlaps(MAP)
    assert not last.overlaps(MAP.part(0, 2))
    assert not last.overlaps(ChannelView("other", (5, 7), (6, 3), (4,)))


def test_maps_with_parts_are_packed_and_unpacked() -> None:
    rng = np.random.default_rng(0)
    values = rng.integers(0, 256, (5, 7, 13), np.uint8)
    whole = Planes(offset=0, rows=4, height=5, width=7, channels=13, widths=MAP.widths)
    data = whole.pack(values)
    assert len(data) == whole.size
    np.testing.assert_array_equal(whole.unpack(data), values)
    # A part is a map of its own.
    part = Planes(offset=0, rows=4, height=5, width=7, channels=3)
    first = 2 * whole.plane_bytes
    np.testing.assert_array_equal(part.unpack(data[first : first + part.size]), values[..., 6:9])
