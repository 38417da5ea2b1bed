"""What the command line's parser did not like, as one plain line."""

from __future__ import annotations

from typing import Any

__all__ = ["usage_message"]


def _wanted(problem: dict[str, Any]) -> str:
    """What a value must be, after the parser's word for the problem; empty if it is unknown."""
    kind, limits = str(problem.get("type")), problem.get("ctx") or {}
    if kind.startswith("int_"):
        return "a whole number"
    if kind.startswith("float_"):
        return "a number"
    for key, text in (("ge", "at least"), ("le", "at most"), ("gt", "above"), ("lt", "below")):
        if key in limits:
            return f"{text} {limits[key]:g}"
    return ""


def usage_message(error: Exception, plain: str) -> str:
    """Return the message for a usage error.

    Parameters
    ----------
    error : Exception
        The parser's; what it was raised from may know the value and what was wanted.
    plain : str
        The parser's own message.
    """
    options = getattr(getattr(error, "param", None), "opts", None)
    problems = getattr(error.__cause__ or error.__context__, "errors", None)
    if options and callable(problems):
        found = problems()
        problem = found[0] if found else {}
        wanted = _wanted(problem)
        if wanted:
            return f"{options[-1]} must be {wanted}, not {problem.get('input')!r}"
    return f"{' '.join(plain.split())} (see penstock --help)"
