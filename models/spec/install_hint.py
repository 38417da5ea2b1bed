"""The command that installs what is missing, from a checkout or a wheel: no index has penstock."""

from __future__ import annotations

from pathlib import Path

__all__ = ["install_hint"]

# Root of a checkout: this file is in models/spec.
_ROOT = Path(__file__).resolve().parents[2]


def install_hint(extra: str, root: Path = _ROOT) -> str:
    """Return the command that installs the packages of one of penstock's extras.

    Parameters
    ----------
    extra : str
        One of ``project.optional-dependencies`` in pyproject.toml.
    root : Path
        Where a checkout would be.
    """
    if (root / "pyproject.toml").is_file():
        return f"pip install -e '{root}[{extra}]'"
    return f"pip install 'penstock[{extra}] @ file:///path/to/penstock.whl' with the wheel's path"
