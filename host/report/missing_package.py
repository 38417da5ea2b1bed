"""Error for a missing package, with the command that installs it."""

from __future__ import annotations

import importlib.util

from penstock.models.spec.install_hint import install_hint

__all__ = ["MissingPackage", "require"]


class MissingPackage(ImportError):
    """A function needs a package that is not installed.

    Parameters
    ----------
    name : str
        Of the package.
    extra : str
        The extra of penstock that includes it.
    """

    def __init__(self, name: str | None, extra: str) -> None:
        super().__init__(f"the package {name} is missing: {install_hint(extra)}")


def require(name: str, extra: str) -> None:
    """Check that a package is installed, without importing it.

    Raises
    ------
    MissingPackage
        If it is not installed.
    """
    if importlib.util.find_spec(name) is None:
        raise MissingPackage(name, extra)
