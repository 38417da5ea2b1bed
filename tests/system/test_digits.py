"""The shipped LeNet-5 classifies handwritten digits that it was not trained on."""

from __future__ import annotations

from penstock.models.graph import store
from scripts.digits import SHIPPED, digits, right


def test_held_out_digits() -> None:
    known, held = digits()
    assert len(held[1]) == 450
    seen = {digit.tobytes() for digit in known[0]}
    assert sum(digit.tobytes() in seen for digit in held[0]) == 0
    assert right(store.load(SHIPPED), held) >= 0.97


def test_on_a_device() -> None:
    _, held = digits()
    few = held[0][:20], held[1][:20]
    network = store.load(SHIPPED)
    assert right(network, few, device="functional") == right(network, few)
