"""A plot that displays in a notebook and saves to a file."""

from __future__ import annotations

import io
import os
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from penstock.host.report.missing_package import require

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = ["FORMATS", "Plot", "plot_format"]

FORMATS = ("png", "svg", "pdf")


def plot_format(path: str | os.PathLike[str], formats: tuple[str, ...] = FORMATS) -> str:
    """Return the format of a file by its suffix.

    Parameters
    ----------
    path : path-like
    formats : tuple of str
        Allowed formats.

    Raises
    ------
    ValueError
        If the format is not allowed.
    MissingPackage
        If matplotlib is missing; checked here so that the work does not start in vain.
    """
    suffix = Path(path).suffix.lower().removeprefix(".")
    if suffix not in formats:
        allowed = ", ".join(f".{name}" for name in formats)
        raise ValueError(f"{path}: a plot must be one of {allowed}")
    require("matplotlib", "plot")
    return suffix


class Plot:
    """A Matplotlib figure that does not use pyplot or windows.

    Parameters
    ----------
    figure : matplotlib.figure.Figure
    settings : mapping
        Matplotlib settings of the figure.
    dpi : int
        Dots an inch of a PNG.
    """

    def __init__(
        self, figure: Figure, settings: Mapping[str, Any] | None = None, dpi: int = 130
    ) -> None:
        self.figure = figure
        self._settings = dict(settings or {})
        self._dpi = dpi

    def save(self, path: str | os.PathLike[str], *, form: str | None = None) -> None:
        """Write the plot.

        Parameters
        ----------
        path : path-like
        form : str or None
            One of `FORMATS`; None: by the suffix.

        Raises
        ------
        ValueError
            If there is no such format.
        OSError
            If the file cannot be written.
        """
        self._save(path, form or plot_format(path))

    def _save(self, target: Any, form: str) -> None:
        from matplotlib import rc_context

        settings: Any = self._settings
        with rc_context(settings):
            self.figure.savefig(target, format=form, dpi=self._dpi)

    def __repr__(self) -> str:
        wide, high = self.figure.get_size_inches()
        return f"<Plot of {wide:.1f}x{high:.1f} inches: save() it, or end a notebook cell with it>"

    def _repr_png_(self) -> bytes:
        data = io.BytesIO()
        self._save(data, "png")
        return data.getvalue()
