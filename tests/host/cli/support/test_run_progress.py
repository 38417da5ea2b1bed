"""Progress of runs, by predicted cycles or by descriptors."""

from __future__ import annotations

import pytest

from penstock.host.apps.open_device import open_device
from penstock.host.cli.support.progress import Task
from penstock.host.cli.support.run_progress import run_task
from penstock.host.compiler.compile import compile_network
from penstock.host.runtime.session import Session
from penstock.models.golden.ops import input_codes
from penstock.models.networks.tinynet import tiny_images, tiny_net
from penstock.models.quant.quantize import quantise
from penstock.models.spec.arch import get_arch


@pytest.mark.parametrize("name", ["functional", "rtl"])
def test_shares(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("penstock.host.devices.rtl._CHUNK", 2000)
    arch = get_arch("tiny")
    images = tiny_images(count=2)
    network = quantise(tiny_net(), images)
    program = compile_network(network, arch)
    told: list[float] = []
    monkeypatch.setattr(Task, "update", lambda self, done=None, text=None: told.append(done or 0))
    with open_device(name, arch) as device, Session(network, program, device) as session:
        with run_task("running", [device], program, 2):
            codes = [input_codes(network.input, image) for image in images]
            assert len(list(session.run(codes))) == 2
        assert device.heard is None
    assert told == sorted(told)
    assert len(told) > 10
    assert 0 < told[0] < 0.3
    assert told[-1] == pytest.approx(2, rel=0.02)
