"""Allocators: rings wait for their readers, arenas reuse free space."""

from __future__ import annotations

import pytest

from penstock.host.program.allocator import Arena, Ring


def test_ring_waits_for_the_last_reader() -> None:
    ring = Ring(10)
    first, wait = ring.take(6)
    assert wait == 0
    assert ring.room(4) == 0
    assert ring.room(5) is None
    first.release = 3
    assert ring.room(5) == 3
    second, wait = ring.take(8)
    assert (second.start, wait) == (6, 3)
    assert ring.room(11) is None
    with pytest.raises(ValueError, match="no room for 4 words in a ring of 10"):
        ring.take(4)
    with pytest.raises(ValueError, match="depth must be a positive integer, not 0"):
        Ring(0)


def test_arena_reuses_what_is_free() -> None:
    arena = Arena(1000, alignment=100)
    assert [arena.alloc(150), arena.alloc(50), arena.alloc(600)] == [0, 200, 300]
    assert arena.alloc(200) is None
    assert arena.free(0) == 150
    assert arena.alloc(200) == 0
    with pytest.raises(KeyError):
        arena.free(100)
    with pytest.raises(ValueError, match="alignment must be a positive integer, not 0"):
        Arena(10, alignment=0)
    with pytest.raises(ValueError, match="size must be a positive integer, not 0"):
        arena.alloc(0)
