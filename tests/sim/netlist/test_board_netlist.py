"""A netlist's pins as the ports of a simulated board."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from penstock.hw.boards.board import Pins
from penstock.sim.netlist import board_netlist
from penstock.sim.netlist.netlist import Netlist

PINS = Pins(
    clock="clk100",
    inputs={"rx": "rx", "button": "~reset_n"},
    outputs={"tx": ("tx", 1), "led": ("~led_n", 2)},
)


def netlist(folder: Path) -> Netlist:
    """A 7-series netlist: a PLL, and pins that are wired to each other."""
    ports = {
        name: {"direction": "output" if name in ("tx", "led_n") else "input", "bits": bits}
        for name, bits in {
            "clk100": [2],
            "rx": [3],
            "reset_n": [4],
            "tx": [5],
            "led_n": [4, 6],
        }.items()
    }
    cells: dict[str, Any] = {
        "pll": {
            "type": "PLLE2_ADV",
            "parameters": {},
            "port_directions": {
                "CLKIN1": "input",
                "CLKFBIN": "input",
                "CLKFBOUT": "output",
                "CLKOUT0": "output",
                "LOCKED": "output",
            },
            "connections": {
                "CLKIN1": [2],
                "CLKFBIN": [7],
                "CLKFBOUT": [7],
                "CLKOUT0": [5],
                "LOCKED": [6],
            },
        }
    }
    top = {"attributes": {"top": "1"}, "ports": ports, "cells": cells, "netnames": {}}
    path = folder / "netlist.json"
    path.write_text(json.dumps({"modules": {"penstock": top}}))
    return Netlist(path)


def test_pins_and_the_pll(tmp_path: Path) -> None:
    text = board_netlist.verilog(netlist(tmp_path), PINS)
    head, inner = text.split("module penstock_netlist")
    for port in ("input clk", "input rx", "input button", "output [0:0] tx", "output [1:0] led"):
        assert port in head
    for connection in (".clk100(clk)", ".rx(rx)", ".reset_n(~button)", ".led_n(led_pin)"):
        assert connection in head
    assert "assign led = ~led_pin;" in head and "assign tx = tx_pin;" in head
    for statement in ("assign n5 = n2;", "assign n7 = n2;", "assign n6 = 1'b1;"):
        assert statement in inner


def test_a_pin_that_is_not_there(tmp_path: Path) -> None:
    wrong = Pins(clock="clk100", outputs={"tx": ("tx", 1)})
    with pytest.raises(ValueError, match="the netlist has no port button"):
        board_netlist.verilog(netlist(tmp_path), wrong)
