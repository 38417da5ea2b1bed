"""From an image file to the input codes of a network.

Whatever Pillow opens becomes RGB: the EXIF orientation is applied, grey and palette images are
expanded, 16-bit greys keep their upper eight bits, CMYK is converted, and transparent pixels are
laid on white.  `load_pixels` then scales the shorter side and cuts out the centre in one
resampling, so an image of any size or shape costs no more memory than its own pixels; or it scales
and pads the whole image, where the network wants that.
"""

from __future__ import annotations

import os
import stat
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from penstock.models.golden.ops import input_codes
from penstock.models.graph.graph import InputSpec

if TYPE_CHECKING:
    from PIL.Image import Image

__all__ = [
    "MAX_PIXELS",
    "Picture",
    "check_file",
    "frame_codes",
    "frame_pixels",
    "load_codes",
    "load_image",
    "load_pixels",
    "picture_codes",
    "picture_pixels",
]

# Allows 12000 x 9000; beyond this limit a small file can exhaust the machine's memory.
MAX_PIXELS = 200_000_000

# Colour profiles of printers have some megabytes; Pillow stops at one.
_MAX_CHUNK = 64 << 20

# What the EXIF tag says of a photograph, as the `PIL.Image.Transpose` that makes it upright.
_ORIENTATION = 0x112
_UPRIGHT = {2: 0, 3: 3, 4: 1, 5: 5, 6: 4, 7: 6, 8: 2}

# PIL.Image.BILINEAR up to version 9.0, PIL.Image.Resampling.BILINEAR from 9.1 on.
_BILINEAR = 2

# Around an image that is padded.
_GREY = 128

Pixels = NDArray[np.uint8]

# An image file, or a picture in memory as `frame_pixels` takes it.
Picture = str | os.PathLike[str] | Pixels


@contextmanager
def _own_limits() -> Iterator[None]:
    """Apply our limits instead of Pillow's, and suppress warnings about odd metadata."""
    from PIL import Image, PngImagePlugin

    limit, chunk = Image.MAX_IMAGE_PIXELS, PngImagePlugin.MAX_TEXT_CHUNK
    Image.MAX_IMAGE_PIXELS, PngImagePlugin.MAX_TEXT_CHUNK = None, _MAX_CHUNK
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        Image.MAX_IMAGE_PIXELS, PngImagePlugin.MAX_TEXT_CHUNK = limit, chunk


def check_file(path: str | os.PathLike[str]) -> None:
    """Refuse a path that is not a regular, non-empty file.

    Raises
    ------
    ValueError
        The message names the file.
    """
    try:
        status = os.stat(path)
    except OSError as error:
        raise ValueError(f"{path}: {_reason(error)}") from None
    if stat.S_ISDIR(status.st_mode):
        raise ValueError(f"{path}: is a directory, not an image")
    if not stat.S_ISREG(status.st_mode):
        raise ValueError(f"{path}: is not a regular file")
    if status.st_size == 0:
        raise ValueError(f"{path}: is empty (0 bytes)")


def _reason(error: OSError) -> str:
    if isinstance(error, FileNotFoundError):
        return "no such file"
    return (error.strerror or str(error)).lower()


def _to_rgb(image: Image) -> Image:
    """Return an 8-bit RGB image.

    Raises
    ------
    ValueError
        If the mode has no meaning as a photograph.
    """
    from PIL import Image as pil

    if image.mode == "I" and image.format == "TIFF":
        raise ValueError("images of 32-bit integers are not supported: which one is white?")
    if image.mode.startswith("I"):  # I;16 and its byte orders; 16-bit PNGs are I in old Pillows
        wide = np.clip(np.asarray(image), 0, 65535)
        grey = wide >> 8
        if isinstance(hidden := image.info.get("transparency"), int):
            grey = np.where(wide == hidden, 255, grey)
        return pil.fromarray(grey.astype(np.uint8)).convert("RGB")
    if image.mode == "F":
        raise ValueError("images of floating-point values are not supported")
    transparent = image.mode in ("LA", "La", "PA", "RGBA", "RGBa") or "transparency" in image.info
    if not transparent:
        return image.convert("RGB")
    layer = image.convert("RGBA")
    white = pil.new("RGB", layer.size, (255, 255, 255))
    white.paste(layer, mask=layer.getchannel("A"))
    return white


def _transparent_colour(path: str | os.PathLike[str], image: Image) -> NDArray[np.bool_] | None:
    """Where a 48-bit PNG has the colour that it calls transparent; None for all other images.

    Pillow keeps the upper eight bits of each channel; the colour is given in all sixteen.
    """
    from PIL import Image as pil

    colour = image.info.get("transparency")
    tiles: Any = getattr(image, "tile", [])
    wide = bool(tiles) and tiles[0][3] == "RGB;16B"
    if image.format != "PNG" or not wide or not isinstance(colour, tuple):
        return None
    halves = []
    for order in ("RGB;16B", "RGB;16L"):
        half: Any
        with pil.open(path) as half:
            # Read in the other byte order, the lower eight bits are kept.
            half.tile = [(*half.tile[0][:3], order)]
            halves.append(np.asarray(half).astype(np.uint16))
    same = (halves[0] << 8 | halves[1]) == np.array(colour, np.uint16)
    return np.asarray(same.all(axis=2), np.bool_)


def _on_white(image: Image, hidden: NDArray[np.bool_]) -> Image:
    """An RGB image with white where it is transparent."""
    from PIL import Image as pil

    pixels = np.where(hidden[..., None], 255, np.asarray(image)[..., :3])
    return pil.fromarray(pixels.astype(np.uint8))


def _turn(image: Image) -> Any:
    """How a photograph is turned upright as its EXIF data says, if they can be read."""
    try:
        orientation = image.getexif().get(_ORIENTATION)
    except Exception:  # damaged metadata make the reader raise nearly anything
        return None
    return _UPRIGHT.get(orientation) if isinstance(orientation, int) else None


def load_image(path: str | os.PathLike[str], *, shorter: int | None = None) -> Image:
    """Return the image in a file as an upright 8-bit RGB `PIL.Image.Image`.

    Parameters
    ----------
    path
    shorter : int, optional
        If given, a JPEG whose shorter side is at least four times this is decoded at a half, a
        quarter or an eighth of its size, but never below twice this: much faster.

    Raises
    ------
    ValueError
        If the file is missing, empty, cut short, not an image, or of more than `MAX_PIXELS`.
    """
    from PIL import Image, UnidentifiedImageError

    check_file(path)
    with _own_limits():
        try:
            with Image.open(path) as image:
                width, height = image.size
                if width * height > MAX_PIXELS:
                    raise ValueError(
                        f"{width}x{height} pixels are more than {MAX_PIXELS // 1_000_000} million"
                    )
                if shorter is not None:
                    scale = 2 * shorter / min(width, height)
                    # Formats without reduced decoding ignore this.
                    image.draft(None, (int(width * scale) + 1, int(height * scale) + 1))
                # The orientation is read before anything is decoded: TIFFs close their file then.
                hidden = _transparent_colour(path, image)
                turn = _turn(image)
                made = _to_rgb(image) if hidden is None else _on_white(image, hidden)
                return made if turn is None else made.transpose(turn)
        except UnidentifiedImageError:
            raise ValueError(f"{path}: not an image of a known format") from None
        except MemoryError:
            raise ValueError(f"{path}: not enough memory for this image") from None
        except Exception as error:
            # Decoders raise almost any exception on damaged files.
            text = str(error).splitlines() or [type(error).__name__]
            raise ValueError(f"{path}: cannot read the image: {text[0]}") from None


def _cut(image: Image, height: int, width: int, resize: int) -> Image:
    """Scale the shorter side to `resize` and cut out the centre, in one resampling."""
    scale = max(resize / min(image.size), width / image.width, height / image.height)
    span_x, span_y = min(width / scale, image.width), min(height / scale, image.height)
    left, top = (image.width - span_x) / 2, (image.height - span_y) / 2
    box = (left, top, left + span_x, top + span_y)
    return image.resize((width, height), _BILINEAR, box=box, reducing_gap=3.0)


def _padded(image: Image, height: int, width: int) -> Image:
    """Scale the image to fit, and centre it on grey."""
    from PIL import Image as pil

    scale = min(width / image.width, height / image.height)
    size = max(1, round(image.width * scale)), max(1, round(image.height * scale))
    scaled = image.resize(size, _BILINEAR, reducing_gap=3.0)
    if size == (width, height):
        return scaled
    sheet = pil.new("RGB", (width, height), (_GREY,) * 3)
    sheet.paste(scaled, ((width - size[0]) // 2, (height - size[1]) // 2))
    return sheet


def load_pixels(path: str | os.PathLike[str], spec: InputSpec) -> Pixels:
    """Return the input pixels of a network from an image file.

    Parameters
    ----------
    path
    spec : InputSpec

    Returns
    -------
    uint8 array (height, width, channels), in the network's channel order

    Raises
    ------
    ValueError
        As `load_image`, or if the network's input is not an image of 1 or 3 channels.
    """
    _check_spec(spec)
    image = load_image(path, shorter=max(spec.resize, *spec.shape[:2]))
    return _pixels(image, spec)


def _check_spec(spec: InputSpec) -> None:
    channels = spec.shape[2]
    if channels != {"L": 1, "RGB": 3, "BGR": 3}.get(spec.order):
        raise ValueError(
            f"the network's input has {channels} channels in the order {spec.order}: "
            "an image cannot be turned into that"
        )


def _pixels(whole: Image, spec: InputSpec) -> Pixels:
    """Return the input pixels of a network from an upright RGB image."""
    height, width, _ = spec.shape
    if spec.fit == "pad":
        image = _padded(whole, height, width)
    else:
        image = _cut(whole, height, width, spec.resize)
    if spec.order == "L":
        return np.asarray(image.convert("L"))[..., None]
    pixels = np.asarray(image)
    return np.ascontiguousarray(pixels[..., ::-1]) if spec.order == "BGR" else pixels


def load_codes(path: str | os.PathLike[str], spec: InputSpec) -> NDArray[np.uint8]:
    """Return the input codes, uint8 (height, width, channels), of an image file.

    Raises
    ------
    ValueError
        As `load_pixels`.
    """
    return input_codes(spec, load_pixels(path, spec))


def frame_pixels(frame: Pixels, spec: InputSpec) -> Pixels:
    """Return the input pixels of a network from a picture in memory.

    Parameters
    ----------
    frame : uint8 array (height, width, 3) or (height, width)
        RGB or grey, of any size.
    spec : InputSpec

    Returns
    -------
    uint8 array (height, width, channels), in the network's channel order

    Raises
    ------
    ValueError
        If the frame is not such an array, or the network's input no image.
    """
    from PIL import Image

    _check_spec(spec)
    shaped = frame.ndim >= 2 and frame.shape[2:] in ((), (3,))
    if frame.dtype != np.uint8 or not shaped or not frame.size:
        raise ValueError(
            "frame must be uint8 (height, width, 3) or (height, width), "
            f"not {frame.dtype} {frame.shape}"
        )
    if frame.ndim == 2:
        frame = np.repeat(frame[..., None], 3, axis=2)
    return _pixels(Image.fromarray(frame), spec)


def frame_codes(frame: Pixels, spec: InputSpec) -> NDArray[np.uint8]:
    """Return the input codes, uint8 (height, width, channels), of a picture in memory.

    Raises
    ------
    ValueError
        As `frame_pixels`.
    """
    return input_codes(spec, frame_pixels(frame, spec))


def picture_pixels(picture: Picture, spec: InputSpec) -> Pixels:
    """Return the input pixels from a file (`load_pixels`) or an array (`frame_pixels`).

    Raises
    ------
    ValueError
        As those.
    """
    if isinstance(picture, str | os.PathLike):
        return load_pixels(picture, spec)
    return frame_pixels(np.asarray(picture), spec)


def picture_codes(picture: Picture, spec: InputSpec) -> NDArray[np.uint8]:
    """Return the input codes, uint8 (height, width, channels), of a file or an array.

    Raises
    ------
    ValueError
        As `picture_pixels`.
    """
    return input_codes(spec, picture_pixels(picture, spec))
