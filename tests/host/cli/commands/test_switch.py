"""`penstock switch`: what it measures and writes, and what it refuses."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from penstock.host.devices.device import Buffer
from penstock.host.devices.functional import FunctionalDevice
from tests.support.commands import Run, refused

TINY = ("switch", "--arch", "tiny", "tiny", "lenet5")


def test_report(penstock: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("PENSTOCK_CACHE")  # the one with the simulators
    path = tmp_path / "switch.json"
    outcome = penstock(*TINY, "--device", "rtl", "--json", path)
    assert outcome.status == 0, outcome
    assert "tiny and lenet5 resident on rtl, arch tiny (4x4)" in outcome.out
    assert "All 5 answers equal the first of their network, the golden model's." in outcome.out
    report = json.loads(path.read_text())
    assert (report["arch"], report["device"]) == ("tiny", "rtl")
    asked = [(request["model"], request["after"]) for request in report["requests"]]
    assert asked == [
        *(("tiny", None), ("tiny", "tiny"), ("lenet5", "tiny")),
        *(("lenet5", "lenet5"), ("tiny", "lenet5")),
    ]
    assert [each["model"] for each in report["models"]] == ["tiny", "lenet5"]
    for each in report["models"]:
        assert f"{each['cycles_after_itself']:,}".replace(",", " ") in outcome.out
        assert each["switch_cycles"] == 0
        assert each["cycles_after_another"] == each["cycles_after_itself"]
        assert each["memory_bytes"] > each["image_bytes"] > 0
        assert each["register_writes"] == 7
        assert 1 <= each["register_changes"] <= 3
        assert each["load_seconds"] > 0


def test_a_device_that_counts_nothing(penstock: Run, tmp_path: Path) -> None:
    path = tmp_path / "switch.json"
    outcome = penstock(*TINY, "--device", "functional", "--rounds", "2", "--json", path)
    assert outcome.status == 0, outcome
    assert "This device counts no cycles." in outcome.out
    report = json.loads(path.read_text())
    assert len(report["requests"]) == 9
    assert [each["switch_cycles"] for each in report["models"]] == [None, None]


class _Forgetful(FunctionalDevice):
    """Returns a wrong bit from some read on."""

    wrong_from = 4
    reads = 0

    def read(self, buffer: Buffer, offset: int, size: int) -> NDArray[np.uint8]:
        data = super().read(buffer, offset, size)
        self.reads += 1
        if self.reads >= self.wrong_from:
            data[0] ^= 1
        return data


@pytest.mark.parametrize(
    ("wrong_from", "text"), [(4, "request 4, lenet5 after lenet5: layer "), (1, "tiny: layer ")]
)
def test_a_wrong_answer_is_found(
    penstock: Run, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, wrong_from: int, text: str
) -> None:
    monkeypatch.setattr(_Forgetful, "wrong_from", wrong_from)
    monkeypatch.setattr("penstock.host.devices.functional.create", lambda arch: _Forgetful(arch))
    path = tmp_path / "switch.json"
    outcome = penstock(*TINY, "--device", "functional", "--json", path)
    assert outcome.status == 1
    assert outcome.err.startswith(f"penstock: {text}")
    assert "values differ, the first at row 0, column 0, channel 0" in outcome.err
    assert len(outcome.err.splitlines()) == 1
    assert not list(tmp_path.iterdir())


def test_no_room(penstock: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(
        "penstock.host.devices.functional.create",
        lambda arch: FunctionalDevice(arch, memory_bytes=49152),
    )
    outcome = penstock(*TINY, "--device", "functional")
    assert outcome.status == 1
    assert "penstock: lenet5 does not fit, it takes " in outcome.err
    assert "resident: tiny " in outcome.err
    assert len(outcome.err.splitlines()) == 1


def test_what_is_refused(penstock: Run) -> None:
    refused(penstock("switch", "tiny"), "a switch is between two networks or more, not 1")
    refused(penstock("switch", "tiny", "tiny"), "tiny is there more than once")
    refused(penstock("switch", "tiny", "nowhere", "--arch", "tiny"), "not 'nowhere'")
    refused(penstock("switch", "tiny", "lenet5", "--device", "abacus"), "not 'abacus'")
    refused(penstock(*TINY, "--rounds", "0"), "--rounds")
