"""A package that is not installed, and how to get it: one line."""

from __future__ import annotations

import importlib.util

from penstock.models.spec.install_hint import install_hint

__all__ = ["MissingPackage", "require"]


class MissingPackage(ImportError):
    """Something that was asked for needs a package that is not installed.

    Parameters
    ----------
    name : str
        Of the package.
    extra : str
        The extra of penstock that brings it.
    """

    def __init__(self, name: str | None, extra: str) -> None:
        super().__init__(f"the package {name} is missing: {install_hint(extra)}")


def require(name: str, extra: str) -> None:
    """Refuse to go on without a package; nothing is imported.

    Raises
    ------
    MissingPackage
        If it is not installed.
    """
    if importlib.util.find_spec(name) is None:
        raise MissingPackage(name, extra)
