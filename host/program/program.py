"""A compiled network: descriptors, constants, and the layout of every tensor.

A program's arena is one contiguous range of device memory.  `Program.image` is at its start,
followed by the input and the feature maps.

The file format, all integers little endian::

    8 bytes   magic, b"PENSTOCK"
    4 bytes   version of the format
    4 bytes   length of the header
    n bytes   header, JSON in UTF-8
    m bytes   image
    32 bytes  SHA-256 of everything before
"""

from __future__ import annotations

import hashlib
import json
import os
import struct
import tempfile
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from penstock.host.program.tensor_layout import Planes, Runs, part_from_json, part_to_json
from penstock.host.program.traffic import Traffic, traffic_of
from penstock.models.spec.isa import DESCRIPTOR_BYTES, Op, decode

__all__ = ["LayerInfo", "Program", "ProgramError", "TensorSpec"]

MAGIC = b"PENSTOCK"
FORMAT_VERSION = 5
_HEAD = struct.Struct("<8sII")
_DIGEST_BYTES = 32


class ProgramError(ValueError):
    """A file is not a program that this version can read."""


@dataclass(frozen=True)
class TensorSpec:
    """A tensor in the arena.

    Parameters
    ----------
    name : str
        The layer that produces it.
    shape : (int, int, int)
        Height, width, channels; values are uint8.
    parts : tuple of Planes or Runs
        Its layouts: an input may be stored in several, a feature map has one.
    """

    name: str
    shape: tuple[int, int, int]
    parts: tuple[Planes | Runs, ...]

    @property
    def offset(self) -> int:
        """First byte, from the start of the arena."""
        return self.parts[0].offset

    @property
    def size(self) -> int:
        """Bytes from `offset` to the end of the last part."""
        return max(part.offset + part.size for part in self.parts) - self.offset

    @property
    def images(self) -> int:
        """Number of images in the batch."""
        return self.parts[0].images

    def _check(self, index: int) -> None:
        if not 0 <= index < self.images:
            raise ValueError(f"{self.name} has images 0 to {self.images - 1}, not {index!r}")

    def pack(self, image: NDArray[np.uint8], index: int = 0) -> list[tuple[int, bytes]]:
        """Return the (offset, bytes) pieces to write for a ``(height, width, channels)`` image.

        Parameters
        ----------
        index : int
            Position in the batch.

        Raises
        ------
        ValueError
            If shape, dtype or index are wrong.
        """
        self._check(index)
        if image.shape != self.shape or image.dtype != np.uint8:
            raise ValueError(
                f"{self.name} must be uint8 {self.shape}, not {image.dtype} {image.shape}"
            )
        return [piece for part in self.parts for piece in part.pieces(part.pack(image), index)]

    def unpack(self, data: bytes | NDArray[np.uint8], index: int = 0) -> NDArray[np.uint8]:
        """Return the ``(height, width, channels)`` map in the `size` bytes from `offset`.

        Parameters
        ----------
        index : int
            The image's position in the batch.

        Raises
        ------
        ValueError
            If there are not `size` bytes, `index` is not in the batch, or the layout cannot be
            unpacked.
        """
        self._check(index)
        part = self.parts[0]
        if not isinstance(part, Planes):
            raise ValueError(f"{self.name} is stored in runs, which are only written")
        if len(data) != self.size:
            raise ValueError(f"{self.name} has {self.size} bytes, not {len(data)}")
        return part.unpack(data, index)


@dataclass(frozen=True)
class LayerInfo:
    """One hardware layer: one entry of the layer log, for all images of a batch together.

    Parameters
    ----------
    name : str
        Name of its first layer in the network.
    macs : int
        Multiply-accumulates of the network, without padding, for all images.
    covers : tuple of str
        The network's layers that it computes.
    choice : str
        How the compiler cuts it, in a few words.
    buffers : (int, int, int)
        Maximum use of words of the activation buffer, positions of a partial-sum bank, and words of
        the output buffer.
    least_bytes : int
        Minimum traffic of any schedule for one image: weights, input and output once.
    """

    name: str
    macs: int
    covers: tuple[str, ...]
    choice: str = ""
    buffers: tuple[int, int, int] = (0, 0, 0)
    least_bytes: int = 0


@dataclass(frozen=True, kw_only=True)
class Program:
    """The accelerator's part of a network, ready to run on a device.

    Parameters
    ----------
    model : str
        Name of the network.
    arch_name, arch_fingerprint
        The arch it was compiled for.
    image : bytes
        Descriptors, weights and tables, from offset 0 of the arena.
    desc_offset, desc_count : int
        Offset and number of the descriptors.
    arena_bytes : int
        Device memory a run needs, image included.
    input : TensorSpec
    outputs : dict of TensorSpec
        Feature maps that are in memory after a run, by layer name.
    layers : tuple of LayerInfo
        In order of execution.
    parts : tuple of (str, str)
        For each descriptor, its layer and a description of the part of it, for display.
    batch : int
        Images per run: input and outputs hold this many maps.
    """

    model: str
    arch_name: str
    arch_fingerprint: int
    image: bytes
    desc_offset: int
    desc_count: int
    arena_bytes: int
    input: TensorSpec
    outputs: dict[str, TensorSpec]
    layers: tuple[LayerInfo, ...]
    parts: tuple[tuple[str, str], ...]
    batch: int = 1

    def pack_input(self, image: NDArray[np.uint8], index: int = 0) -> list[tuple[int, bytes]]:
        """Return the ``(offset, bytes)`` pairs to write for an image of codes, uint8 (H, W, C).

        Parameters
        ----------
        index : int
            The image's position in the batch.

        Raises
        ------
        ValueError
            If shape or dtype are not the network's.
        """
        return self.input.pack(image, index)

    def unpack(
        self, name: str, data: bytes | NDArray[np.uint8], index: int = 0
    ) -> NDArray[np.uint8]:
        """Return a feature map, uint8 (H, W, C), from the bytes at its `TensorSpec`.

        Parameters
        ----------
        index : int
            The image's position in the batch.

        Raises
        ------
        KeyError
            If the map is not stored.
        """
        return self.outputs[name].unpack(data, index)

    def descriptors(self) -> Iterator[tuple[Op, dict[str, int]]]:
        """Yield engine and fields of each descriptor, in program order.

        Raises
        ------
        ValueError
            At a descriptor that is damaged or names no engine; the message has its number.
        """
        for index in range(self.desc_count):
            start = self.desc_offset + index * DESCRIPTOR_BYTES
            try:
                yield decode(self.image[start : start + DESCRIPTOR_BYTES])
            except ValueError as error:
                raise ValueError(f"descriptor {index}: {error}") from None

    @cached_property
    def traffic(self) -> Traffic:
        """Expected traffic of a run: beats on each memory port, and the ranges it writes.

        Raises
        ------
        ValueError
            As for `descriptors`.
        """
        return traffic_of(self.descriptors())

    def to_bytes(self) -> bytes:
        """Return the program in its file format."""
        header = {
            "model": self.model,
            "arch_name": self.arch_name,
            "arch_fingerprint": f"{self.arch_fingerprint:016x}",
            "image_bytes": len(self.image),
            "desc_offset": self.desc_offset,
            "desc_count": self.desc_count,
            "arena_bytes": self.arena_bytes,
            "input": _spec_to_json(self.input),
            "outputs": [_spec_to_json(spec) for spec in self.outputs.values()],
            "layers": [asdict(layer) for layer in self.layers],
            "parts": self.parts,
            "batch": self.batch,
        }
        text = json.dumps(header, separators=(",", ":")).encode()
        body = _HEAD.pack(MAGIC, FORMAT_VERSION, len(text)) + text + self.image
        return body + hashlib.sha256(body).digest()

    @classmethod
    def from_bytes(cls, data: bytes) -> Program:
        """Parse the bytes of a program file.

        Raises
        ------
        ProgramError
            If they are not a complete program of this version.
        """
        if data[: len(MAGIC)] != MAGIC:
            raise ProgramError("not a penstock program")
        if len(data) < _HEAD.size + _DIGEST_BYTES:
            raise ProgramError("the program is cut short")
        _, version, length = _HEAD.unpack_from(data)
        if version != FORMAT_VERSION:
            raise ProgramError(
                f"the program has format version {version}, this penstock reads {FORMAT_VERSION}"
            )
        body, digest = data[:-_DIGEST_BYTES], data[-_DIGEST_BYTES:]
        if hashlib.sha256(body).digest() != digest:
            raise ProgramError("the program is damaged or cut short: its checksum is wrong")
        try:
            header = json.loads(body[_HEAD.size : _HEAD.size + length].decode())
            image = body[_HEAD.size + length :]
            program = _from_header(header, image)
            _ = program.traffic  # every descriptor can be read
        except (ValueError, TypeError, KeyError) as error:
            raise ProgramError(f"the program is wrong: {error}") from None
        return program

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write the program to a file atomically.

        Raises
        ------
        OSError
            If it cannot be written.
        """
        path = Path(path)
        handle, temporary = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)
        try:
            with os.fdopen(handle, "wb") as file:
                file.write(self.to_bytes())
            mask = os.umask(0)
            os.umask(mask)
            os.chmod(temporary, 0o666 & ~mask)  # mkstemp makes files only the owner can read
            os.replace(temporary, path)
        except BaseException:
            os.unlink(temporary)
            raise

    @classmethod
    def load(cls, path: str | os.PathLike[str]) -> Program:
        """Read a program from a file.

        Raises
        ------
        OSError
            If it cannot be read.
        ProgramError
            If it is not a complete program of this version; the message names the file.
        """
        data = Path(path).read_bytes()
        try:
            return cls.from_bytes(data)
        except ProgramError as error:
            raise ProgramError(f"{path}: {error}") from None


def _spec_to_json(spec: TensorSpec) -> dict[str, Any]:
    parts = [part_to_json(part) for part in spec.parts]
    return {"name": spec.name, "shape": list(spec.shape), "parts": parts}


def _spec_from_json(values: dict[str, Any]) -> TensorSpec:
    height, width, channels = (int(size) for size in values["shape"])
    parts = tuple(part_from_json(part) for part in values["parts"])
    return TensorSpec(str(values["name"]), (height, width, channels), parts)


def _layer_from_json(values: dict[str, Any]) -> LayerInfo:
    act, psum, out = (int(words) for words in values["buffers"])
    return LayerInfo(
        name=str(values["name"]),
        macs=int(values["macs"]),
        covers=tuple(str(name) for name in values["covers"]),
        choice=str(values["choice"]),
        buffers=(act, psum, out),
        least_bytes=int(values["least_bytes"]),
    )


def _from_header(header: dict[str, Any], image: bytes) -> Program:
    if len(image) != int(header["image_bytes"]):
        raise ValueError(f"{header['image_bytes']} bytes of image expected, {len(image)} found")
    desc_offset, desc_count = int(header["desc_offset"]), int(header["desc_count"])
    if not 0 <= desc_offset <= len(image) - desc_count * DESCRIPTOR_BYTES:
        raise ValueError("the descriptors are outside the image")
    outputs = [_spec_from_json(values) for values in header["outputs"]]
    return Program(
        model=str(header["model"]),
        arch_name=str(header["arch_name"]),
        arch_fingerprint=int(header["arch_fingerprint"], 16),
        image=image,
        desc_offset=desc_offset,
        desc_count=desc_count,
        arena_bytes=int(header["arena_bytes"]),
        input=_spec_from_json(header["input"]),
        outputs={spec.name: spec for spec in outputs},
        layers=tuple(_layer_from_json(layer) for layer in header["layers"]),
        parts=tuple((str(layer), str(part)) for layer, part in header["parts"]),
        batch=int(header["batch"]),
    )
