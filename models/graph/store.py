"""The saved-model file: one network with raw arrays, versioned and checksummed.

=========  ==========================================================================
bytes      what
=========  ==========================================================================
0..7       ``PENSTNET``
8..11      format version, little endian
12..15     length of the header, little endian
16..23     length of the whole file, little endian
24..55     SHA-256 of everything after byte 55
56..       header: JSON, UTF-8; arrays are named in it by offset, dtype and shape
...        the arrays, little endian, each at a multiple of 64 from the start of the file
=========  ==========================================================================
"""

from __future__ import annotations

import hashlib
import json
import os
import struct
import tempfile
from dataclasses import asdict, fields
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from penstock.models.graph.graph import (
    Add,
    AveragePool,
    Concat,
    Conv,
    ConvGeometry,
    Fc,
    GlobalAveragePool,
    InputSpec,
    Layer,
    Lrn,
    MaxPool,
    Network,
    QAdd,
    QAveragePool,
    QConv,
    QFc,
    QGlobalAveragePool,
    QLrn,
    infer_shapes,
)
from penstock.models.graph.import_check import ImportCheck

__all__ = ["VERSION", "digest", "load", "save"]

VERSION = 2

_MAGIC = b"PENSTNET"
_PREFIX = struct.Struct("<8sIIQ32s")
_ALIGN = 64

_KINDS: dict[str, type[Layer]] = {
    kind.__name__: kind
    for kind in (
        Add,
        AveragePool,
        Concat,
        Conv,
        Fc,
        GlobalAveragePool,
        Lrn,
        MaxPool,
        QAdd,
        QAveragePool,
        QConv,
        QFc,
        QGlobalAveragePool,
        QLrn,
    )
}
_DTYPES = {"int8", "uint8", "uint16", "int32", "int64", "float32", "float64"}


class _Writer:
    """Lays arrays out one after the other, relative to the start of the first."""

    def __init__(self) -> None:
        self.arrays: list[tuple[int, NDArray[Any]]] = []
        self.size = 0

    def add(self, array: NDArray[Any]) -> dict[str, Any]:
        if array.dtype.name not in _DTYPES:
            raise ValueError(f"a saved network cannot hold an array of {array.dtype}")
        array = np.ascontiguousarray(array, array.dtype.newbyteorder("<"))
        offset = -(-self.size // _ALIGN) * _ALIGN
        self.arrays.append((offset, array))
        self.size = offset + array.nbytes
        return {"array": offset, "dtype": array.dtype.name, "shape": list(array.shape)}

    def encode(self, value: Any) -> Any:
        if isinstance(value, np.ndarray):
            return self.add(value)
        if isinstance(value, ConvGeometry):
            return {"geometry": {f.name: getattr(value, f.name) for f in fields(value)}}
        return value


def _header(network: Network, writer: _Writer) -> bytes:
    layers = []
    for layer in network.layers:
        kind = type(layer).__name__
        if kind not in _KINDS:
            raise ValueError(f"layer {layer.name}: a saved network cannot hold a {kind}")
        values = {f.name: writer.encode(getattr(layer, f.name)) for f in fields(layer)}
        layers.append({"kind": kind, **values})
    header = {
        "name": network.name,
        "input": {f.name: getattr(network.input, f.name) for f in fields(InputSpec)},
        "labels": network.labels,
        "trained": network.trained,
        "source": network.source,
        "scales": network.scales,
        "zeros": network.zeros,
        "layers": layers,
    }
    if network.check is not None:
        header["check"] = asdict(network.check)
    return json.dumps(header, separators=(",", ":")).encode()


def _content(network: Network) -> tuple[int, list[Any]]:
    """Return the header's length, and the parts of everything after the prefix."""
    writer = _Writer()
    header = _header(network, writer)
    start = -(-(_PREFIX.size + len(header)) // _ALIGN) * _ALIGN
    parts: list[Any] = [header, bytes(start - _PREFIX.size - len(header))]
    end = 0
    for offset, array in writer.arrays:
        parts += [bytes(offset - end), array.reshape(-1).view(np.uint8)]
        end = offset + array.nbytes
    return len(header), parts


def _sha256(parts: list[Any]) -> bytes:
    result = hashlib.sha256()
    for part in parts:
        result.update(part)
    return result.digest()


def digest(network: Network) -> str:
    """Return the SHA-256 of a network, in hexadecimal: the checksum of its file.

    Raises
    ------
    ValueError
        If the network holds a layer or array that cannot be saved.
    """
    return _sha256(_content(network)[1]).hex()


def save(network: Network, path: str | os.PathLike[str]) -> None:
    """Write a network, float or quantised, to `path` atomically.

    Raises
    ------
    ValueError
        If the network holds a layer or array that cannot be saved.
    OSError
        If the file cannot be written.
    """
    path = Path(path)
    header_size, parts = _content(network)
    size = _PREFIX.size + sum(memoryview(part).nbytes for part in parts)
    prefix = _PREFIX.pack(_MAGIC, VERSION, header_size, size, _sha256(parts))

    # The temporary file is beside the target: renaming within a file system is atomic.
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(prefix)
            for part in parts:
                file.write(part)
        mask = os.umask(0)
        os.umask(mask)
        os.chmod(name, 0o666 & ~mask)
        os.replace(name, path)
    except BaseException:
        os.unlink(name)
        raise


def _decode(value: Any, data: memoryview) -> Any:
    if isinstance(value, list):
        return tuple(_decode(item, data) for item in value)
    if isinstance(value, dict) and "geometry" in value:
        return ConvGeometry(**{name: _decode(v, data) for name, v in value["geometry"].items()})
    if isinstance(value, dict) and "array" in value:
        if value["dtype"] not in _DTYPES:
            raise ValueError(f"an array of {value['dtype']}")
        dtype = np.dtype(value["dtype"]).newbyteorder("<")
        count = 1
        for size in value["shape"]:
            count *= size
        array: NDArray[Any] = np.frombuffer(data, dtype, count, value["array"])
        return array.reshape(value["shape"])
    return value


def _network(header: dict[str, Any], data: memoryview) -> Network:
    layers = []
    for entry in header["layers"]:
        values = {name: _decode(value, data) for name, value in entry.items() if name != "kind"}
        layers.append(_KINDS[entry["kind"]](**values))
    network = Network(
        name=header["name"],
        input=InputSpec(**{name: _decode(v, data) for name, v in header["input"].items()}),
        layers=tuple(layers),
        labels=tuple(header["labels"]),
        trained=header["trained"],
        source=header["source"],
        scales=header["scales"],
        zeros=header["zeros"],
        check=ImportCheck(**header["check"]) if "check" in header else None,
    )
    infer_shapes(network)
    return network


def load(path: str | os.PathLike[str]) -> Network:
    """Return the network saved in `path`.  Its arrays are read-only views of one buffer.

    Raises
    ------
    ValueError
        If the file cannot be read, is not a saved network, is of another version, cut short or
        damaged; one line that says which.
    """
    try:
        data = Path(path).read_bytes()
    except OSError as error:
        raise ValueError(f"{path}: {error.strerror or error}") from None
    if data[: len(_MAGIC)] != _MAGIC[: len(data)] or not data:
        raise ValueError(f"{path}: not a saved network")
    if len(data) < _PREFIX.size:
        raise ValueError(f"{path}: cut short: {len(data)} bytes")
    _, version, header_size, size, checksum = _PREFIX.unpack_from(data)
    if version != VERSION:
        raise ValueError(
            f"{path}: format version {version}, but this program reads version {VERSION}"
        )
    if len(data) != size:
        problem = "cut short" if len(data) < size else "too long"
        raise ValueError(f"{path}: {problem}: {len(data)} bytes instead of {size}")
    view = memoryview(data)
    if hashlib.sha256(view[_PREFIX.size :]).digest() != checksum:
        raise ValueError(f"{path}: damaged: its checksum is wrong")
    start = -(-(_PREFIX.size + header_size) // _ALIGN) * _ALIGN
    try:
        header = json.loads(data[_PREFIX.size : _PREFIX.size + header_size])
        return _network(header, view[start:])
    except (KeyError, TypeError, ValueError, IndexError, AttributeError) as error:
        # The checksum is right, so the file is not damaged: its writer saved something else.
        raise ValueError(f"{path}: not a valid network: {error}") from None
