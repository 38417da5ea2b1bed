"""A quantised ONNX file: the network, the file for onnxruntime, and the quantisation error."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from penstock.host.inputs.folder import ImageFolder
from penstock.host.inputs.preprocess import Picture
from penstock.host.report.error_plot import plot_errors
from penstock.host.report.missing_package import MissingPackage
from penstock.host.report.plot import Plot
from penstock.models.graph.graph import Network
from penstock.models.graph.import_check import UNVERIFIED, ImportCheck
from penstock.models.quant.calibrate import Calibration
from penstock.models.quant.quantize import quantise
from penstock.models.quant.sqnr import LayerError, layer_errors
from penstock.models.spec.number_format import percent
from penstock.models.spec.plain_table import PlainTable

__all__ = ["QuantisedFile", "error_table", "quantise_file"]


def error_table(rows: Sequence[LayerError]) -> PlainTable:
    """Return a table of the quantisation error, a row for each layer."""
    cells = [
        (
            row.name,
            row.kind,
            f"{row.scale:g}",
            str(row.zero),
            percent(row.clipped, 2) if row.clipped else "",
            f"{row.sqnr:.1f} dB",
        )
        for row in rows
    ]
    return PlainTable(("layer", "kind", "step", "zero", "at the end", "SQNR"), cells, ("kind",))


@dataclass(frozen=True, repr=False)
class QuantisedFile:
    """The result of quantising a float ONNX file.

    Parameters
    ----------
    network : Network
        Quantised, ready to compile.
    errors : tuple of LayerError
        Signal-to-quantisation-noise ratio of each layer, over the images.
    images : int
        Number of calibration images.
    onnx : onnx.ModelProto
        Has the float file's input and output; its codes equal the accelerator's.
    check : ImportCheck
        How `onnx` was compared with `network`, before anything was written.
    """

    network: Network
    errors: tuple[LayerError, ...]
    images: int
    onnx: Any
    check: ImportCheck

    @property
    def weakest(self) -> LayerError:
        """The layer with the most noise."""
        return min(self.errors, key=lambda row: row.sqnr)

    def to_bytes(self) -> bytes:
        """Return the quantised ONNX file."""
        data: bytes = self.onnx.SerializeToString()
        return data

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write the quantised ONNX file.

        Raises
        ------
        OSError
            If it cannot be written.
        """
        Path(path).write_bytes(self.to_bytes())

    def plot(self) -> Plot:
        """Draw the signal-to-quantisation-noise ratio of each layer.

        Raises
        ------
        MissingPackage
            If matplotlib is not installed.
        """
        return plot_errors(self.errors, f"{self.network.name}, {self.images} images")

    def __repr__(self) -> str:
        return f"<QuantisedFile {self.network.name}: quantised on {self.images} images>"

    def __str__(self) -> str:
        return str(error_table(self.errors))

    def _repr_html_(self) -> str:
        return error_table(self.errors)._repr_html_()


def quantise_file(
    path: Path,
    images: Sequence[Picture],
    *,
    method: str = "mse",
    percentile: float = 99.99,
    layer_methods: Mapping[str, str] | None = None,
    order: str | None = None,
    mean: tuple[float, ...] | None = None,
    std: tuple[float, ...] | None = None,
    resize: int | None = None,
    verify: bool = True,
    progress: Callable[[str], None] = lambda text: None,
) -> QuantisedFile:
    """Quantise a float ONNX file on images.

    Parameters
    ----------
    path : Path
    images : sequence of paths or arrays
        Read when needed, each more than once.
    method, percentile, layer_methods
        As for `models.quant.calibrate.Calibration`.
    order, mean, std, resize
        As for `models.onnx_io.importer.load_float`.
    verify : bool
        Whether the float file is compared with what it was read as, and the quantised one with the
        network, by an outside judge.
    progress : callable
        Called with a description of each step: twice for each image, once for each layer.

    Raises
    ------
    ValueError
        If the file, an image or an option is invalid.
    ImportMismatch
        If the outside judge finds a difference.
    MissingPackage
        If onnx is not installed.
    """
    try:
        from penstock.models.onnx_export.deploy_export import deploy
        from penstock.models.onnx_io.importer import Comparison, load_float_ends
        from penstock.models.onnx_io.written_check import check_written
    except ModuleNotFoundError as error:
        raise MissingPackage(error.name, "sim") from None
    calibration = Calibration(
        method=method, percentile=percentile, layers=dict(layer_methods or {})
    )
    first = images[:1]
    comparison = Comparison(pictures=lambda spec: list(ImageFolder(first, spec)))
    network, ends = load_float_ends(
        path,
        order=order,
        mean=mean,
        std=std,
        resize=resize,
        comparison=comparison if verify else None,
    )
    pixels = ImageFolder(images, network.input)
    quantised = quantise(network, pixels, calibration=calibration, progress=progress)
    made = deploy(quantised, ends)
    check = UNVERIFIED
    if verify:
        sample = list(ImageFolder(first, network.input))
        check = check_written(made, quantised, ends.spec, path, sample)
    errors = layer_errors(network, quantised, pixels, progress=progress)
    return QuantisedFile(quantised, tuple(errors), len(images), made, check)
