"""Cost of a switch: the order of the requests, and their evaluation."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest

from penstock.host.apps.model_switch import Request, Switch, difference, order, requests, summary
from penstock.host.apps.open_device import open_device
from penstock.host.compiler.compile import compile_network
from penstock.host.devices.device import RunLog
from penstock.host.runtime.resident import Resident
from penstock.host.runtime.session import Answer, Result
from penstock.models.spec.arch import get_arch
from penstock.models.spec.regs import LOG_FIELDS
from tests.support.netgen import random_codes
from tests.support.small_network import small_network

ARCH = get_arch("tiny")


@pytest.mark.parametrize("count", [2, 3, 5])
@pytest.mark.parametrize("rounds", [1, 3])
def test_every_pair_comes_equally_often(count: int, rounds: int) -> None:
    names = [f"network {index}" for index in range(count)]
    asked = order(names, rounds)
    pairs = Counter(pairwise(asked))
    assert pairs == {(first, second): rounds for first in names for second in names}


def test_order_of_two() -> None:
    assert order(["a", "b"], 1) == ["a", "a", "b", "b", "a"]


def test_orders_that_cannot_be() -> None:
    with pytest.raises(ValueError, match="between two networks or more, not 1"):
        order(["a"], 1)
    with pytest.raises(ValueError, match="networks must differ: b is there more than once"):
        order(["a", "b", "b"], 1)
    with pytest.raises(ValueError, match="rounds must be a positive integer, not 0"):
        order(["a", "b"], 0)


def request(name: str, after: str | None, cycles: int, seconds: float, changes: int) -> Request:
    totals = {field: 0 for field, _ in LOG_FIELDS} | {"cycles": cycles}
    result = Result(0, (), RunLog([], totals), 0.0, 0, (), {})
    return Request(name, after, result, seconds, 7, changes)


def test_summary() -> None:
    made = [
        request("a", None, 999, 9.0, 7),
        request("a", "a", 100, 0.1, 0),
        request("b", "a", 530, 0.5, 3),
        request("b", "b", 500, 0.2, 0),
        request("a", "b", 107, 0.3, 2),
        request("a", "b", 109, 0.4, 3),
        request("a", "b", 108, 0.8, 2),
    ]
    assert summary(made) == [
        Switch("a", 100, 108, 0.1, 0.4, 7, 3),
        Switch("b", 500, 530, 0.2, 0.5, 7, 3),
    ]
    assert [switch.cycles for switch in summary(made)] == [8, 30]
    uncounted = [replace(r, result=request("", None, 0, 0, 0).result) for r in made]
    assert [switch.cycles for switch in summary(uncounted)] == [None, None]
    with pytest.raises(ValueError, match="a must come after itself and after another"):
        summary(made[:3])


def test_difference() -> None:
    maps = {"a": np.zeros((1, 2, 3), np.uint8)}
    first = Result(0, (Answer(1, "one", 0.5),), RunLog(), 0.0, 0, (), maps)
    assert difference(first, first) is None
    assert difference(first, replace(first, top=(Answer(2, "two", 0.5),))) == "the classes differ"
    other = {"a": maps["a"].copy()}
    other["a"][0, 1, 2] = 5
    assert difference(first, replace(first, maps=other)) == (
        "layer a: 1 values differ, the first at row 0, column 1, channel 2: 5 instead of 0"
    )


def test_registers_and_cycles() -> None:
    """The core keeps no state of the previous run: a switch changes two or three registers."""
    small = small_network()
    codes = random_codes(small, 1)
    # Two programs with other addresses and numbers of descriptors.
    programs = {
        "plain": compile_network(small, ARCH),
        "pair": compile_network(small, ARCH, batch=2),
    }
    with open_device("rtl", ARCH) as device, Resident(device) as resident:
        for name, program in programs.items():
            resident.add(name, small, program)
        assert device.csr is not None
        made = list(requests(resident, dict.fromkeys(programs, codes), order(list(programs), 1)))
        assert device.csr.resets == 0
    for switch in summary(made):
        assert switch.cycles == 0
        assert switch.cycles_after_itself is not None
        assert switch.cycles_after_itself > 1000
        assert switch.register_writes == 7
        assert 1 <= switch.register_changes <= 3
    again = [r.changes for r in made if r.name == r.after]
    assert again == [0] * len(again)
    assert len({r.result.maps["b"].tobytes() for r in made}) == 1
