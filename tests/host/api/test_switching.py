"""`switch_costs`: networks in turns on one device."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

import penstock as ps
from penstock.host.api.switching import SWITCH_COLUMNS
from penstock.host.devices.device import Buffer
from penstock.host.devices.functional import FunctionalDevice
from penstock.models.spec.arch import get_arch


@pytest.fixture(scope="module")
def networks() -> dict[str, ps.Compiled]:
    return {name: ps.compile(ps.load(name), "tiny") for name in ("tiny", "lenet5")}


def test_costs(networks: dict[str, ps.Compiled]) -> None:
    with ps.Device("rtl", "tiny") as device:
        costs = ps.switch_costs(networks, device)
        report = costs.to_json()
    asked = [(each.name, each.after) for each in costs.requests]
    assert asked[:3] == [("tiny", None), ("tiny", "tiny"), ("lenet5", "tiny")]
    assert costs.counted
    assert [each.cycles for each in costs.switches] == [0, 0]
    assert [len(row) for row in costs.rows()] == [len(SWITCH_COLUMNS)] * 2
    assert list(costs.load_seconds) == list(networks)
    shown = repr(costs)
    assert "switches on rtl, arch tiny" in shown
    assert all(name in shown for name in ("tiny", "lenet5", "cycles after another"))
    assert "<table" in costs._repr_html_()
    assert [each["model"] for each in report["models"]] == ["tiny", "lenet5"]


class _Forgetful(FunctionalDevice):
    """Reads a wrong bit from some time on."""

    wrong_from = 0
    reads = 0

    def read(self, buffer: Buffer, offset: int, size: int) -> NDArray[np.uint8]:
        data = super().read(buffer, offset, size)
        self.reads += 1
        return data ^ np.uint8(self.reads > self.wrong_from)


@pytest.mark.parametrize(
    ("wrong_from", "says"),
    [(0, r"^tiny: layer "), (1, r"^request 2, tiny after tiny: layer ")],
    ids=["golden", "first"],
)
def test_wrong_answers(networks: dict[str, ps.Compiled], wrong_from: int, says: str) -> None:
    back_end = _Forgetful(get_arch("tiny"))
    back_end.wrong_from = wrong_from * len(networks["tiny"].program.outputs)  # one read a map
    with (
        ps.Device.around(back_end) as device,
        pytest.raises(ps.MismatchError, match=says),
    ):
        ps.switch_costs(networks, device)


def test_what_cannot_be_compared(networks: dict[str, ps.Compiled]) -> None:
    with ps.Device("functional", "tiny") as device:
        with pytest.raises(ValueError, match="two networks or more, not 1"):
            ps.switch_costs({"tiny": networks["tiny"]}, device)
        with pytest.raises(ValueError, match="rounds must be a positive integer, not 0"):
            ps.switch_costs(networks, device, rounds=0)
        assert not ps.switch_costs(networks, device, rounds=2).counted


def test_a_compiled_network_explains_itself(networks: dict[str, ps.Compiled]) -> None:
    compiled = networks["lenet5"]
    reasons = compiled.explain(mhz=50)
    text, shown = str(reasons), reasons._repr_html_()
    # One part for each hardware layer, one on the layers that a CPU can run, one on the board.
    assert len(reasons) == len(compiled.program.layers) + 2
    for layer, part in zip(compiled.program.layers, reasons):
        assert part.title == f"{layer.name}: {' + '.join(layer.covers)}"
        assert part.title in text and part.title in shown
        # The star is at the one that the program has.
        assert tuple(part.table.rows[0][:2]) == ("*", layer.choice)
        assert any(note.startswith("taken: ") for note in part.notes)
    assert shown.count("<table>") == len(reasons)
    assert "fully connected layers, an image: on the array at 50 MHz" in text
    assert "bottleneck: " in text
    assert compiled.explain(mhz=50) != compiled.explain(mhz=100)


def test_a_program_from_a_file_does_not(
    networks: dict[str, ps.Compiled], tmp_path_factory: pytest.TempPathFactory
) -> None:
    path = tmp_path_factory.mktemp("program") / "a.prog"
    networks["tiny"].save(path)
    loaded = ps.load_program(path, networks["tiny"].network, "tiny")
    with pytest.raises(ValueError, match="does not say what else was considered"):
        loaded.explain()
