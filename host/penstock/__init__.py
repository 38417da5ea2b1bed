"""Penstock: an FPGA accelerator for convolutional networks, its compiler, runtime and simulation.

::

    import penstock as ps

    network = ps.load("tiny.onnx", calibrate="photos/")  # or a name: ps.MODELS
    compiled = ps.compile(network, ps.arch("8x8", act_words=4096))
    print(compiled.predict())  # cycles, stalls and bytes of each layer
    with ps.Device("rtl", compiled.arch) as device:  # the simulated core
        result = device.run(compiled, "cat.jpg", keep="all")
    print(result.top[0].label, result.layers["conv2"].cycles, result.maps["conv2"].shape)
    print(result.layers)
    result.plot().save("layers.png")
    ps.export_verilog(compiled.arch, "core.v")

``penstock.models`` is the specification, ``penstock.hw`` the hardware, ``penstock.host`` compiler,
devices and command line, ``penstock.sim`` the simulation.

Importing this module imports nothing else: each name is looked up when it is used first.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from penstock.host.api.compiled import Compiled as Compiled
    from penstock.host.api.compiled import arch as arch
    from penstock.host.api.compiled import compile_for as compile  # noqa: A004
    from penstock.host.api.compiled import load_program as load_program
    from penstock.host.api.core_export import export_core as export_core
    from penstock.host.api.core_export import export_verilog as export_verilog
    from penstock.host.api.exploring import Exploration as Exploration
    from penstock.host.api.exploring import explore as explore
    from penstock.host.api.loading import load as load
    from penstock.host.api.loading import quantize as quantize
    from penstock.host.api.opened_device import Device as Device
    from penstock.host.api.opened_device import MismatchError as MismatchError
    from penstock.host.api.quantised_file import QuantisedFile as QuantisedFile
    from penstock.host.api.run_result import Result as Result
    from penstock.host.api.run_result import profile as profile
    from penstock.host.api.screening import Screening as Screening
    from penstock.host.api.switching import SwitchCosts as SwitchCosts
    from penstock.host.api.switching import switch_costs as switch_costs
    from penstock.host.apps.open_device import DEVICES as DEVICES
    from penstock.host.apps.two_stage import Verdict as Verdict
    from penstock.host.devices.device import DeviceError as DeviceError
    from penstock.host.inputs.catalog import MODELS as MODELS
    from penstock.host.program.compile_error import CompileError as CompileError
    from penstock.host.report.layer_profile import LayerFigures as LayerFigures
    from penstock.host.report.layer_profile import LayerProfile as LayerProfile
    from penstock.host.report.missing_package import MissingPackage as MissingPackage
    from penstock.models.graph.graph import Network as Network
    from penstock.models.graph.store import save as save
    from penstock.models.spec.arch import ARCHES as ARCHES
    from penstock.models.spec.arch import Arch as Arch

__all__ = [
    "ARCHES",
    "Arch",
    "CompileError",
    "Compiled",
    "DEVICES",
    "Device",
    "DeviceError",
    "Exploration",
    "LayerFigures",
    "LayerProfile",
    "MODELS",
    "MismatchError",
    "MissingPackage",
    "Network",
    "QuantisedFile",
    "Result",
    "Screening",
    "SwitchCosts",
    "Verdict",
    "__version__",
    "arch",
    "compile",
    "explore",
    "export_core",
    "export_verilog",
    "load",
    "load_program",
    "profile",
    "quantize",
    "save",
    "switch_costs",
]

__version__ = "0.2.0"

# Where each name comes from; type checkers read the imports above, a test compares the two.
_HOMES = {
    "ARCHES": "penstock.models.spec.arch",
    "Arch": "penstock.models.spec.arch",
    "CompileError": "penstock.host.program.compile_error",
    "Compiled": "penstock.host.api.compiled",
    "DEVICES": "penstock.host.apps.open_device",
    "Device": "penstock.host.api.opened_device",
    "DeviceError": "penstock.host.devices.device",
    "Exploration": "penstock.host.api.exploring",
    "LayerFigures": "penstock.host.report.layer_profile",
    "LayerProfile": "penstock.host.report.layer_profile",
    "MODELS": "penstock.host.inputs.catalog",
    "MismatchError": "penstock.host.api.opened_device",
    "MissingPackage": "penstock.host.report.missing_package",
    "Network": "penstock.models.graph.graph",
    "QuantisedFile": "penstock.host.api.quantised_file",
    "Result": "penstock.host.api.run_result",
    "Screening": "penstock.host.api.screening",
    "SwitchCosts": "penstock.host.api.switching",
    "Verdict": "penstock.host.apps.two_stage",
    "arch": "penstock.host.api.compiled",
    "compile": "penstock.host.api.compiled:compile_for",
    "explore": "penstock.host.api.exploring",
    "export_core": "penstock.host.api.core_export",
    "export_verilog": "penstock.host.api.core_export",
    "load": "penstock.host.api.loading",
    "load_program": "penstock.host.api.compiled",
    "profile": "penstock.host.api.run_result",
    "quantize": "penstock.host.api.loading",
    "save": "penstock.models.graph.store",
    "switch_costs": "penstock.host.api.switching",
}


def __getattr__(name: str) -> object:
    if name not in _HOMES:
        raise AttributeError(f"module 'penstock' has no attribute {name!r}")
    module, _, other = _HOMES[name].partition(":")
    value: object = getattr(importlib.import_module(module), other or name)
    globals()[name] = value  # the next look-up does not come here
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
