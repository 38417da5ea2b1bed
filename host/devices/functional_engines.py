"""The engines in NumPy: each executes a descriptor exactly as `models.spec.isa` specifies."""

from __future__ import annotations

from collections import deque

import numpy as np
from numpy.typing import NDArray

from penstock.host.program.tensor_layout import BEAT
from penstock.models.golden.fixed import (
    LRN_TABLE_PAIRS,
    lrn_apply,
    lrn_gains,
    requantise,
    unpack_lrn_table,
    unpack_params,
)
from penstock.models.golden.ops import EXACT_PRODUCTS
from penstock.models.spec.arch import Arch
from penstock.models.spec.isa import Dest, Op

__all__ = ["Engines"]

# Fields that, with the address, determine the window that a CONV reads.
_WINDOW_FIELDS = (
    *("step_cb", "step_ky", "step_y", "n_ky", "n_kx", "n_y", "n_x", "stride_y", "stride_x"),
    *("y0", "x0", "in_h", "in_w", "pad", "more_images", "step_image"),
)

Values = dict[str, int]
Bytes = NDArray[np.uint8]


class Engines:
    """The engines' state: buffers, weight queue, partial sums, LRN table.

    Parameters
    ----------
    arch : Arch
    memory : uint8 array
        Device memory.
    """

    def __init__(self, arch: Arch, memory: Bytes) -> None:
        self.arch = arch
        self.memory = memory
        self.act = np.zeros((arch.act_words, arch.rows), np.uint8)
        self.out = np.zeros((arch.out_words, arch.rows), np.uint8)
        self.table = np.zeros(LRN_TABLE_PAIRS * BEAT, np.uint8)
        self._base = 0
        self._end = 0
        self._params: deque[bytes] = deque()
        self._blocks: deque[NDArray[np.float32]] = deque()
        self._sums: NDArray[np.float64] | None = None
        self._finished: deque[NDArray[np.float64]] = deque()
        # Windows by those fields, with the words they were read from: first, count.
        self._windows: dict[tuple[int, ...], tuple[int, int, NDArray[np.float32]]] = {}
        self._gains: tuple[bytes, NDArray[np.int64]] | None = None

    def start(self, base: int, size: int, random: np.random.Generator | None) -> None:
        """Prepare for a program whose arena is at `base`.

        Parameters
        ----------
        random : Generator or None
            Generator of random bytes that fill the buffers.
        """
        self._base, self._end = base, base + size
        self._params.clear()
        self._blocks.clear()
        self._finished.clear()
        self._sums = None
        self._windows.clear()
        if random is not None:
            for buffer in (self.act, self.out, self.table):
                buffer[...] = random.integers(0, 256, buffer.shape, np.uint8)
            self._gains = None

    def finish(self) -> None:
        """Check that the program used everything it loaded.

        Raises
        ------
        ValueError
            If weights, parameters or partial sums are left.
        """
        if self._blocks or self._params or self._finished or self._sums is not None:
            raise ValueError("weights or partial sums are left over at the program's end")

    def execute(self, op: Op, values: Values) -> None:
        """Execute one descriptor.

        Raises
        ------
        ValueError
            If that is impossible: an address outside the arena, no weights, an inconsistent count.
        """
        getattr(self, f"_{op.name.lower()}")(values)

    def _range(self, mem: int, size: int) -> slice:
        start = self._base + mem
        if mem % BEAT or start + size > self._end:
            raise ValueError(f"bytes {mem} to {mem + size} are outside the arena")
        return slice(start, start + size)

    def _load(self, v: Values) -> None:
        size = v["plane_beats"] * BEAT
        planes = [
            self.memory[self._range(v["mem"] + plane * v["plane_stride"], size)]
            for plane in range(v["planes"])
        ]
        beats = np.concatenate(planes)
        if v["dest"] == Dest.TABLE:
            first = v["base"] * BEAT
            if first + len(beats) > len(self.table):
                raise ValueError(f"{len(beats)} bytes do not fit the LRN table")
            self.table[first : first + len(beats)] = beats
            self._gains = None
            return
        rows = beats.reshape(-1, v["row_beats"] * BEAT)
        words = rows[:, : v["row_words"] * self.arch.rows].reshape(-1, self.arch.rows)
        target = self.act if v["dest"] == Dest.ACT else self.out
        target[(v["base"] + np.arange(len(words))) % len(target)] = words
        if v["dest"] == Dest.ACT:
            self._forget(v["base"], len(words))

    def _forget(self, base: int, words: int) -> None:
        """Drop cached windows that read these words."""
        depth = self.arch.act_words
        for key, (first, count, _) in list(self._windows.items()):
            if (base - first) % depth < count or (first - base) % depth < words:
                del self._windows[key]

    def _weights(self, v: Values) -> None:
        arch = self.arch
        data = self.memory[self._range(v["mem"], v["beats"] * BEAT)]
        params = arch.params_bytes * v["has_params"]
        if len(data) != params + v["blocks"] * arch.block_bytes:
            raise ValueError(f"{v['beats']} beats do not hold {v['blocks']} blocks")
        if params:
            self._params.append(data[:params].tobytes())
        blocks = data[params:].view(np.int8).reshape(v["blocks"], arch.rows, arch.cols)
        self._blocks.extend(blocks[:, ::-1].astype(np.float32))

    def _window(self, v: Values, plane: int, planes: int) -> NDArray[np.float32]:
        """Activations (positions, planes * kernel rows * kernel columns * rows)."""
        base = (v["base"] + plane * v["step_cb"]) % self.arch.act_words
        key = (base, planes, *(v[name] for name in _WINDOW_FIELDS))
        known = self._windows.get(key)
        if known is not None:
            return known[2]
        sizes = (v["more_images"] + 1, v["n_y"], v["n_x"], planes, v["n_ky"], v["n_kx"])
        image, y, x, block, ky, kx = np.ix_(*(np.arange(size) for size in sizes))
        rows = v["y0"] + y * v["stride_y"] + ky
        columns = v["x0"] + x * v["stride_x"] + kx
        address = base + image * v["step_image"] + block * v["step_cb"] + ky * v["step_ky"] + kx
        address = address + y * v["step_y"] + x * v["stride_x"]
        words = self.act[address % self.arch.act_words]
        inside = (rows >= 0) & (rows < v["in_h"]) & (columns >= 0) & (columns < v["in_w"])
        inside = np.broadcast_to(inside, address.shape)
        used = address
        if not inside.all():
            words[~inside] = v["pad"]
            used = address[inside]
        window = words.reshape(sizes[0] * sizes[1] * sizes[2], -1).astype(np.float32)
        first = count = 0
        if used.size:
            first, count = int(used.min()), int(used.max()) - int(used.min()) + 1
        self._windows[key] = first % self.arch.act_words, count, window
        return window

    def _conv(self, v: Values) -> None:
        positions = (v["more_images"] + 1) * v["n_y"] * v["n_x"]
        if positions > self.arch.psum_words:
            raise ValueError(f"{positions} positions do not fit {self.arch.psum_words} words")
        if v["first"]:
            if self._sums is not None:
                raise ValueError("a tile begins before the last one ended")
            self._sums = np.zeros((positions, self.arch.cols), np.float64)
        if self._sums is None or len(self._sums) != positions:
            raise ValueError(f"no tile of {positions} positions was begun")
        # Sums over `step` blocks stay within the integers that float32 represents exactly.
        step = max(EXACT_PRODUCTS // self.arch.rows, 1)
        taps = v["n_ky"] * v["n_kx"]
        planes = max(step // taps, 1)
        for plane in range(0, v["n_cb"], planes):
            together = min(planes, v["n_cb"] - plane)
            blocks = together * taps
            if len(self._blocks) < blocks:
                raise ValueError("there are no weights left for it")
            window = self._window(v, plane, together)
            weights = np.concatenate([self._blocks.popleft() for _ in range(blocks)])
            for low in range(0, len(weights), step * self.arch.rows):
                part = slice(low, low + step * self.arch.rows)
                self._sums += window[:, part] @ weights[part]
        if v["last"]:
            self._finished.append(self._sums)
            self._sums = None

    def _drain(self, v: Values) -> None:
        arch = self.arch
        if not self._finished or not self._params:
            raise ValueError("there is no finished tile")
        sums = self._finished.popleft()
        bias, multiplier, shift = unpack_params(self._params.popleft())
        count = v["lane_groups"] * arch.drain_lanes
        if v["count"] != len(sums) or count > arch.cols:
            raise ValueError(f"{v['count']} positions of {count} columns, the tile has {len(sums)}")
        acc = sums[:, :count].astype(np.int64).astype(np.int32)
        codes = requantise(acc, bias[:count], multiplier[:count], shift[:count])
        address = v["base"] + np.arange(v["count"])
        channel = 0
        while channel < count:
            plane, byte = divmod(v["offset"] + channel, arch.rows)
            width = min(arch.rows - byte, count - channel)
            where = (address + plane * v["plane_step"]) % arch.out_words
            self.out[where, byte : byte + width] = codes[:, channel : channel + width]
            channel += width

    def _rows(self, v: Values, plane: int) -> Bytes:
        """Words (in_h, in_w, rows) of the plane at offset `plane` from the one to post."""
        row = np.arange(v["in_h"])[:, None]
        halo = v["halo_base"] + plane * v["halo_step"] + row * v["in_w"]
        own = v["base"] + plane * v["step"] + (row - v["halo_rows"]) * v["in_w"]
        address = np.where(row < v["halo_rows"], halo, own) + np.arange(v["in_w"])
        return np.asarray(self.out[address % self.arch.out_words])

    def _lrn(self, v: Values, pixels: Bytes) -> Bytes:
        before = np.zeros((*pixels.shape[:2], 2), np.uint8)
        after = np.zeros_like(before)
        if v["has_prev"]:
            before[...] = self._rows(v, -1)[..., -2:]
        if v["next_channels"]:
            after[..., : v["next_channels"]] = self._rows(v, 1)[..., : v["next_channels"]]
        key = self.table.tobytes()
        if self._gains is None or self._gains[0] != key:
            self._gains = key, lrn_gains(*unpack_lrn_table(key))
        return lrn_apply(pixels, before, after, self._gains[1], v["lrn_shift"])

    def _post(self, v: Values) -> None:
        rows = self.arch.rows
        if v["lrn"] and not self.arch.lrn_lanes:
            raise ValueError("this arch has no LRN engine")
        pixels = self._rows(v, 0)
        pixels[..., v["channels"] :] = 0
        if v["lrn"]:
            pixels = self._lrn(v, pixels)
            pixels[..., v["channels"] :] = 0
        kernel, stride, out_h, out_w = v["kernel"], v["stride"], v["out_h"], v["out_w"]
        need_h = (out_h - 1) * stride + kernel
        need_w = (out_w - 1) * stride + kernel
        window = np.zeros((need_h, need_w, rows), np.uint8)
        y, x = max(-v["y0"], 0), max(-v["x0"], 0)
        top, left = max(v["y0"], 0), max(v["x0"], 0)
        part = pixels[top : top + need_h - y, left : left + need_w - x]
        window[y : y + part.shape[0], x : x + part.shape[1]] = part
        best = np.zeros((out_h, out_w, rows), np.uint8)
        for ky in range(kernel):
            for kx in range(kernel):
                best = np.maximum(
                    best,
                    window[ky : need_h - kernel + ky + 1 : stride, kx:][
                        :, : need_w - kernel + 1 : stride
                    ],
                )
        if v["beats"] != out_h * v["row_beats"]:
            raise ValueError(f"{v['beats']} beats are not {out_h} rows of {v['row_beats']}")
        packed = np.zeros((out_h, v["row_beats"] * BEAT), np.uint8)
        packed[:, : out_w * rows] = best.reshape(out_h, -1)
        self.memory[self._range(v["mem"], packed.size)] = packed.reshape(-1)
