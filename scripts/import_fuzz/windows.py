"""Attributes of random convolutions and pools, and the sizes that they make."""

from __future__ import annotations

from typing import Any

from scripts.import_fuzz.draft import Draft

__all__ = ["conv_window", "pool_window"]

Size = tuple[int, int]


def _made(size: int, kernel: int, stride: int, pads: Size, auto: str, ceil: bool) -> int:
    """Number of windows along one axis, as the operators' specification has it."""
    if auto.startswith("SAME"):
        return -(-size // stride)
    before, after = (0, 0) if auto == "VALID" else pads
    room = size + before + after - kernel
    if room < 0:
        return 0
    count = (-(-room // stride) if ceil else room // stride) + 1
    if ceil and (count - 1) * stride >= size + before:
        count -= 1
    return count


def _pads(draft: Draft, kernel: list[int], likely: float) -> list[int]:
    if not draft.chance(likely):
        return [0] * 4
    if draft.chance(0.3):
        return [kernel[0] // 2, kernel[1] // 2] * 2
    beyond = 1 if draft.chance(0.05) else 0
    return [draft.whole(0, kernel[axis % 2] - 1 + beyond) for axis in range(4)]


def _window(
    draft: Draft, size: Size, kernel: list[int], strides: list[int], pads: list[int], ceil: bool
) -> tuple[dict[str, Any], Size] | None:
    attributes: dict[str, Any] = {"kernel_shape": kernel}
    auto = ""
    if draft.chance(0.3 if ceil else 0.15):
        auto = draft.pick("SAME_UPPER", "SAME_LOWER", "VALID", "NOTSET")
        attributes["auto_pad"] = auto
    if auto not in ("SAME_UPPER", "SAME_LOWER", "VALID") and (any(pads) or draft.chance(0.5)):
        attributes["pads"] = pads
    elif auto not in ("SAME_UPPER", "SAME_LOWER"):
        pads = [0] * 4
    if strides != [1, 1] or draft.chance(0.5):
        attributes["strides"] = strides
    if ceil:
        attributes["ceil_mode"] = 1
    height, width = (
        _made(size[i], kernel[i], strides[i], (pads[i], pads[i + 2]), auto, ceil) for i in (0, 1)
    )
    return (attributes, (height, width)) if min(height, width) > 0 else None


def conv_window(draft: Draft, size: Size) -> tuple[dict[str, Any], Size] | None:
    """Return attributes of a convolution and the size of its map, None if there is no window."""
    kernel = [draft.whole(1, 4)] * 2
    if draft.chance(0.4):
        kernel = [draft.whole(1, 5), draft.whole(1, 5)]
    strides = [1, 1] if draft.chance(0.6) else [draft.whole(1, 3), draft.whole(1, 3)]
    found = _window(draft, size, kernel, strides, _pads(draft, kernel, 0.6), False)
    if found is not None and draft.chance(0.1):
        found[0]["dilations"] = [1, 1]
    return found


def pool_window(draft: Draft, size: Size, *, square: bool) -> tuple[dict[str, Any], Size] | None:
    """Return attributes of a pool and the size of its map, None if there is no window."""
    kernel = [draft.whole(1 if draft.chance(0.1) else 2, 4)] * 2
    strides = [draft.whole(1, 3)] * 2
    if not square:
        kernel, strides = [draft.whole(1, 4), draft.whole(1, 4)], [draft.whole(1, 3), 1]
        strides = strides if draft.chance(0.5) else [strides[0]] * 2
        if draft.chance(0.1):
            kernel = list(size)
    ceil = draft.opset >= 10 and draft.chance(0.3)
    found = _window(draft, size, kernel, strides, _pads(draft, kernel, 0.5), ceil)
    if found is not None and draft.opset >= (10 if square else 19) and draft.chance(0.1):
        found[0]["dilations"] = [1, 1]
    return found
