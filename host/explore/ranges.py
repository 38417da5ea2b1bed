"""Lists and ranges of numbers, as options give them.

=============== ===================
text            values
=============== ===================
``8``           8
``8,12,16``     8, 12, 16
``1024..8192``  doubled: 1024, 2048, 4096, 8192
``8..16:4``     in steps: 8, 12, 16
``2,8..16:4``   all of it: 2, 8, 12, 16
=============== ===================
"""

from __future__ import annotations

import math
import re

__all__ = ["numbers", "shapes", "whole_numbers"]

# Most values of a range; more are taken for a typing error.
_MOST = 1000

_NUMBER = r"\d+(?:\.\d+)?"
_ITEM = re.compile(rf"({_NUMBER})(?:\.\.({_NUMBER})(?::({_NUMBER}))?)?")


def numbers(option: str, text: str) -> list[float]:
    """Return the values of a list, each once, in the order given.

    Raises
    ------
    ValueError
        If it is no list of numbers and ranges; the message names the option.
    """
    values: list[float] = []
    for item in text.split(","):
        match = _ITEM.fullmatch(item.strip())
        if match is None:
            raise ValueError(
                f"{option} takes numbers and ranges such as 8,16 or 1024..8192 (doubled) or "
                f"100..150:25 (in steps), not {text!r}"
            )
        first = float(match[1])
        last = first if match[2] is None else float(match[2])
        step = None if match[3] is None else float(match[3])
        if last < first or step == 0 or (first == 0 and step is None and last > 0):
            raise ValueError(f"{option}: the range {item.strip()!r} never ends or never begins")
        if step is None:
            count = 1 if first == last else math.floor(math.log2(last / first) + 1e-9) + 1
            found = (first * 2**k for k in range(count))
        else:
            count = math.floor((last - first) / step + 1e-9) + 1
            found = (first + step * k for k in range(count))
        if count > _MOST:
            raise ValueError(f"{option}: the range {item.strip()!r} has {count} values")
        values += found
    return list(dict.fromkeys(values))


def whole_numbers(option: str, text: str) -> list[int]:
    """Return the values of a list of whole numbers.

    Raises
    ------
    ValueError
        As `numbers`, and if a value is not whole.
    """
    values = numbers(option, text)
    for value in values:
        if value != int(value):
            raise ValueError(f"{option} takes whole numbers, not {value:g}")
    return [int(value) for value in values]


def shapes(option: str, text: str) -> list[tuple[int, int]]:
    """Return rows and columns of a list such as ``8x8,12x32``.

    Raises
    ------
    ValueError
        If it is none.
    """
    found = []
    for item in text.split(","):
        match = re.fullmatch(r"(\d{1,3})x(\d{1,3})", item.strip())
        if match is None:
            raise ValueError(f"{option} takes ROWSxCOLS such as 8x8,12x32, not {text!r}")
        found.append((int(match[1]), int(match[2])))
    return list(dict.fromkeys(found))
