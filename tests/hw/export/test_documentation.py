"""The page on the core's Verilog says what the table of ports says."""

from __future__ import annotations

import re
from pathlib import Path

from amaranth.hdl import Fragment

from penstock.hw.bus.axi import BOUNDARY, MAX_BURST
from penstock.hw.core.accel import Accel
from penstock.hw.export.ports import BUSES, ports
from penstock.models.spec.arch import get_arch

PAGE = (Path(__file__).parents[3] / "docs" / "core_verilog.md").read_text(encoding="utf-8")


def test_every_port_is_on_the_page() -> None:
    core = Accel(arch=get_arch("tiny"))
    Fragment.get(core, None)  # Amaranth warns of components that nobody elaborates
    for port in ports(core):
        if not port.bus:
            assert f"`{port.name}`" in PAGE
            continue
        assert f"`{port.bus}__*`" in PAGE
        if port.bus == "csr":
            continue
        found = re.search(rf"`{port.name.removeprefix(f'{port.bus}__')}`(?: \((\d+))?", PAGE)
        assert found, port.name
        assert int(found[1] or 1) == port.width, port.name


def test_its_figures_are_those_of_the_hardware() -> None:
    assert f"at most {MAX_BURST} beats" in PAGE
    whole = 8 * MAX_BURST
    assert f"multiple of\n  {whole} bytes, so never {BOUNDARY // 1024} KiB" in PAGE
    assert BOUNDARY % whole == 0
    for bus, (protocol, _) in BUSES.items():
        (line,) = re.findall(rf"^\| `{bus}__\*` \| (.+?) \|", PAGE, re.MULTILINE)
        kind, _, direction = protocol.partition(", ")
        assert line.startswith(kind)
        assert direction.rstrip("s") in line  # "reads" in the table, "read" on the page
