"""A small graph of layers: float networks and their quantised form.

A network is a list of layers in an order in which every input is computed before its use.  A layer
refers to its inputs by the names of the layers that compute them; the network's own input is called
`INPUT`.  Feature maps are ``(height, width, channels)``.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from html import escape

from penstock.models.graph.import_check import ImportCheck
from penstock.models.graph.layers import (
    INPUT,
    Add,
    AveragePool,
    Concat,
    Conv,
    ConvGeometry,
    Fc,
    GlobalAveragePool,
    Layer,
    Lrn,
    MaxPool,
    QAdd,
    QAveragePool,
    QConv,
    QFc,
    QGlobalAveragePool,
    QLrn,
    Shape,
    ceil_pad,
)

__all__ = [
    "Add",
    "AveragePool",
    "Concat",
    "Conv",
    "ConvGeometry",
    "Fc",
    "GlobalAveragePool",
    "INPUT",
    "InputSpec",
    "Layer",
    "Lrn",
    "MaxPool",
    "Network",
    "QAdd",
    "QAveragePool",
    "QConv",
    "QFc",
    "QGlobalAveragePool",
    "QLrn",
    "Shape",
    "ceil_pad",
    "infer_shapes",
    "macs",
    "on_cpu",
    "out_shape",
]


@dataclass(frozen=True, kw_only=True)
class InputSpec:
    """Preprocessing of an image, and the encoding of pixels as codes.

    ``code = clip(rint((pixel - mean) / std / scale) + zero, 0, 255)`` for each channel.

    Parameters
    ----------
    shape : (int, int, int)
        Height, width, channels.
    resize : int
        The shorter side is scaled to this before the centre crop to `shape`.
    fit : str
        ``"cut"``: scale to `resize`, then crop.  ``"pad"``: scale the whole image to fit into
        `shape` and fill the rest with grey; `resize` is ignored.
    order : str
        ``"RGB"`` or ``"BGR"``: channel order (``"L"`` for one channel).
    mean, std : tuple of float
        One for each channel, in pixel units (0 to 255).
    scale : float
        Quantisation step of the input; 1.0 until quantised.
    zero : int
        Code of the value 0.
    """

    shape: Shape
    resize: int
    fit: str = "cut"
    order: str = "RGB"
    mean: tuple[float, ...] = (0.0, 0.0, 0.0)
    std: tuple[float, ...] = (1.0, 1.0, 1.0)
    scale: float = 1.0
    zero: int = 0


@dataclass(frozen=True, kw_only=True, repr=False)
class Network:
    """A network: float if it holds `Conv`, quantised if it holds `QConv`.

    Parameters
    ----------
    scales : dict
        Quantised networks: activation scale of each feature map by layer name; a power of two if
        `models.quant.quantize` chose it.
    zeros : dict
        Code of the value 0 in the feature maps where it is not 0, by layer name.
    trained : bool
        False when the weights are random and the labels therefore meaningless.
    labels : tuple of str
        One for each output of the last layer.
    source : str
        Origin of the weights, as text.
    check : ImportCheck or None
        Imported networks: how this one was compared with its file.
    """

    name: str
    input: InputSpec
    layers: tuple[Layer, ...]
    labels: tuple[str, ...] = ()
    trained: bool = False
    source: str = ""
    scales: dict[str, float] = field(default_factory=dict)
    zeros: dict[str, int] = field(default_factory=dict)
    check: ImportCheck | None = None

    def layer(self, name: str) -> Layer:
        """Return the layer called `name`.

        Raises
        ------
        ValueError
            If there is none; the message lists those there are.
        """
        for layer in self.layers:
            if layer.name == name:
                return layer
        known = ", ".join(layer.name for layer in self.layers)
        raise ValueError(f"{self.name} has no layer {name!r}; it has {known}")

    @property
    def is_float(self) -> bool:
        """Whether any layer must be quantised before the network is compiled."""
        return any(isinstance(layer, Conv | Fc) for layer in self.layers)

    def __repr__(self) -> str:
        kind = "float" if self.is_float else "quantised"
        size = "x".join(map(str, self.input.shape))
        return f"<Network {self.name}: {kind}, {len(self.layers)} layers, input {size}>"

    def _repr_html_(self) -> str:
        from penstock.models.graph.summary import network_table

        return f"<p>{escape(repr(self)[1:-1])}</p>{network_table(self)._repr_html_()}"


def _weight_channels(layer: Layer) -> tuple[int, int]:
    """(out_ch, in_ch per group) of a convolution."""
    if isinstance(layer, QConv):
        return layer.weight.shape[0], layer.weight.shape[3]
    assert isinstance(layer, Conv)
    return layer.weight.shape[0], layer.weight.shape[1]


def out_shape(layer: Layer, sources: Sequence[Shape]) -> Shape:
    """Return the shape of a layer's map from those of its inputs.

    Raises
    ------
    ValueError
        If the layer does not fit its inputs.
    """
    if len(sources) != 1 and not (sources and isinstance(layer, Concat | Add | QAdd)):
        raise ValueError(f"a {type(layer).__name__} has one input, not {len(sources)}")
    height, width, channels = sources[0]
    if isinstance(layer, Conv | QConv):
        out_ch, per_group = _weight_channels(layer)
        groups = layer.geometry.groups
        if per_group * groups != channels or out_ch % groups:
            raise ValueError(
                f"weights for {per_group * groups} input and {out_ch} output channels in {groups} "
                f"groups do not fit an input of {channels} channels"
            )
        return (*layer.geometry.out_size(height, width), out_ch)
    if isinstance(layer, MaxPool | AveragePool):
        return (*layer.geometry.out_size(height, width), channels)
    if isinstance(layer, Concat):
        if any(source[:2] != (height, width) for source in sources):
            sizes = ", ".join(f"{source[0]}x{source[1]}" for source in sources)
            raise ValueError(f"maps of different sizes cannot be joined: {sizes}")
        return height, width, sum(source[2] for source in sources)
    if isinstance(layer, Add | QAdd):
        if len(sources) != 2 or sources[0] != sources[1]:
            shown = ", ".join("x".join(map(str, source)) for source in sources)
            raise ValueError(f"only two maps of one shape can be added, not {shown}")
        return sources[0]
    if isinstance(layer, GlobalAveragePool):
        return (1, 1, channels)
    if isinstance(layer, Fc | QFc):
        if layer.weight.shape[1] != height * width * channels:
            raise ValueError(
                f"weights for {layer.weight.shape[1]} inputs do not fit {height}x{width}x{channels}"
            )
        return (1, 1, layer.weight.shape[0])
    return height, width, channels


def infer_shapes(network: Network) -> dict[str, Shape]:
    """Return the shape of every feature map by layer name, `INPUT` included.

    Raises
    ------
    ValueError
        If a layer does not fit its input; the message names the layer.
    """
    shapes: dict[str, Shape] = {INPUT: network.input.shape}
    for layer in network.layers:
        if layer.name in shapes:
            raise ValueError(f"layer {layer.name}: there are two of this name")
        try:
            shapes[layer.name] = out_shape(layer, [shapes[name] for name in layer.inputs])
        except KeyError as error:
            raise ValueError(f"layer {layer.name}: no layer called {error.args[0]!r}") from None
        except ValueError as error:
            raise ValueError(f"layer {layer.name}: {error}") from None
    return shapes


def macs(network: Network) -> dict[str, int]:
    """Return the multiply-accumulates of each convolution and fully connected layer by name."""
    shapes = infer_shapes(network)
    counts: dict[str, int] = {}
    for layer in network.layers:
        if isinstance(layer, Conv | QConv | Fc | QFc):
            height, width, _ = shapes[layer.name]
            counts[layer.name] = height * width * layer.weight.size
    return counts


def on_cpu(layer: Layer) -> bool:
    """Whether layers of this kind always run on the CPU."""
    return isinstance(layer, QFc | QGlobalAveragePool)
