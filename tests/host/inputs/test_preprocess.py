"""Image files of every kind become codes, or one clear line."""

from __future__ import annotations

import io
import struct
import zlib
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from penstock.host.inputs.preprocess import (
    MAX_PIXELS,
    frame_codes,
    load_codes,
    load_image,
    load_pixels,
)
from penstock.models.data.shipped import PHOTOS
from penstock.models.graph.graph import InputSpec

SPEC = InputSpec(shape=(24, 24, 3), resize=32)


def gradient(height: int = 40, width: int = 60) -> np.ndarray:
    """Red grows to the right, green downwards, blue is constant."""
    image = np.zeros((height, width, 3), np.uint8)
    image[..., 0] = np.linspace(0, 255, width).astype(np.uint8)
    image[..., 1] = np.linspace(0, 255, height).astype(np.uint8)[:, None]
    image[..., 2] = 77
    return image


def test_shipped_photographs() -> None:
    for path in sorted(PHOTOS.glob("*.jpg")):
        pixels = load_pixels(path, InputSpec(shape=(227, 227, 3), resize=256))
        assert pixels.shape == (227, 227, 3)
        assert pixels.dtype == np.uint8
        assert pixels.std() > 20
    assert len(list(PHOTOS.glob("*.jpg"))) >= 2


def test_a_whole_image_is_padded(tmp_path: Path) -> None:
    path = tmp_path / "a.png"
    spec = InputSpec(shape=(24, 24, 3), resize=24, fit="pad")
    for height, width in ((24, 48), (96, 48), (24, 24), (1, 900)):
        Image.fromarray(gradient(height, width)).save(path)
        pixels = load_pixels(path, spec)
        assert pixels.shape == (24, 24, 3)
        shown = max(1, round(24 * height / max(height, width)))
        across = max(1, round(24 * width / max(height, width)))
        top, left = (24 - shown) // 2, (24 - across) // 2
        inside = pixels[top : top + shown, left : left + across]
        assert abs(inside[..., 2].astype(int) - 77).max() <= 1
        outside = np.ones((24, 24), bool)
        outside[top : top + shown, left : left + across] = False
        assert (pixels[outside] == 128).all()
    # Both ends of the wide one are visible.
    Image.fromarray(gradient(24, 48)).save(path)
    row = load_pixels(path, spec)[12, :, 0]
    assert row[0] < 15
    assert row[-1] > 240


def test_centre_crop_and_order(tmp_path: Path) -> None:
    path = tmp_path / "a.png"
    Image.fromarray(gradient(32, 64)).save(path)
    pixels = load_pixels(path, SPEC)
    # No scaling: the shorter side is 32 already.
    np.testing.assert_array_equal(pixels, gradient(32, 64)[4:28, 20:44])
    swapped = load_pixels(path, InputSpec(shape=(24, 24, 3), resize=32, order="BGR"))
    np.testing.assert_array_equal(swapped, pixels[..., ::-1])
    grey = load_pixels(path, InputSpec(shape=(24, 24, 1), resize=32, order="L"))
    assert grey.shape == (24, 24, 1)


def test_codes(tmp_path: Path) -> None:
    path = tmp_path / "a.png"
    Image.fromarray(np.full((32, 32, 3), (10, 100, 250), np.uint8)).save(path)
    spec = InputSpec(
        shape=(8, 8, 3), resize=32, mean=(110.0,) * 3, std=(2.0,) * 3, scale=0.5, zero=128
    )
    codes = load_codes(path, spec)
    assert codes.dtype == np.uint8
    np.testing.assert_array_equal(codes[0, 0], [128 - 100, 128 - 10, 255])


def test_transparency_is_laid_on_white(tmp_path: Path) -> None:
    path = tmp_path / "a.png"
    rgba = np.zeros((8, 8, 4), np.uint8)
    rgba[:4] = (10, 20, 30, 255)
    Image.fromarray(rgba).save(path)
    pixels = np.asarray(load_image(path))
    assert tuple(pixels[0, 0]) == (10, 20, 30)
    assert tuple(pixels[7, 7]) == (255, 255, 255)


def test_sixteen_bits(tmp_path: Path) -> None:
    path = tmp_path / "a.png"
    Image.fromarray(np.arange(0, 65536, 1024, dtype=np.uint16).reshape(8, 8)).save(path)
    pixels = np.asarray(load_image(path))
    np.testing.assert_array_equal(pixels[..., 0].reshape(-1), np.arange(0, 256, 4))


def test_orientation(tmp_path: Path) -> None:
    path = tmp_path / "a.png"
    exif = Image.Exif()
    exif[0x0112] = 6  # to be turned right by 90 degrees
    Image.fromarray(gradient()).save(path, exif=exif)
    np.testing.assert_array_equal(np.asarray(load_image(path)), np.rot90(gradient(), -1))


@pytest.mark.parametrize("mode", ["1", "L", "LA", "P", "RGB", "RGBA", "CMYK", "YCbCr", "I;16"])
def test_modes(tmp_path: Path, mode: str) -> None:
    image = Image.fromarray(gradient())
    image = image.convert("L") if mode == "I;16" else image
    path = tmp_path / ("a.tif" if mode in ("CMYK", "YCbCr") else "a.png")
    # As files of this mode are: Pillows before 13 do not read it uncompressed.
    options = {"compression": "jpeg"} if mode == "YCbCr" else {}
    image.convert(mode).save(path, **options)
    assert load_codes(path, SPEC).shape == SPEC.shape
    jpeg = tmp_path / "a.jpg"
    if mode in ("L", "RGB", "CMYK"):
        image.convert(mode).save(jpeg)
        assert load_codes(jpeg, SPEC).shape == SPEC.shape


def test_palette_with_transparency(tmp_path: Path) -> None:
    path = tmp_path / "a.gif"
    image = Image.fromarray(np.zeros((8, 8), np.uint8), "L").convert("P")
    image.save(path, transparency=0)
    assert np.asarray(load_image(path)).min() == 255


@pytest.mark.parametrize("size", [(1, 1), (1, 5000), (5000, 1), (2, 3)])
def test_odd_sizes(tmp_path: Path, size: tuple[int, int]) -> None:
    path = tmp_path / "a.png"
    Image.new("RGB", size, (1, 2, 3)).save(path)
    codes = load_codes(path, InputSpec(shape=(227, 227, 3), resize=256))
    assert (codes == (1, 2, 3)).all()


def test_large_images(tmp_path: Path) -> None:
    for name in ("a.jpg", "a.png"):
        path = tmp_path / name
        Image.new("L", (12000, 9000), 90).save(path)
        assert (load_codes(path, SPEC) == 90).all()


def test_too_many_pixels(tmp_path: Path) -> None:
    path = tmp_path / "a.png"
    side = int(MAX_PIXELS**0.5) + 1
    Image.new("1", (side, side)).save(path)
    with pytest.raises(ValueError, match=r"a\.png: .*more than 200 million"):
        load_image(path)


@pytest.mark.parametrize("kind", ["png", "jpg", "gif", "tif", "webp", "bmp"])
def test_cut_short(tmp_path: Path, kind: str) -> None:
    whole, cut = tmp_path / f"a.{kind}", tmp_path / f"b.{kind}"
    noise = np.random.default_rng(1).integers(0, 256, (64, 64, 3), np.uint8)
    Image.fromarray(noise).save(whole)
    data = whole.read_bytes()
    for size in (4, 30, len(data) // 2):
        cut.write_bytes(data[:size])
        with pytest.raises(ValueError, match=rf"b\.{kind}: ") as caught:
            load_image(cut)
        assert "\n" not in str(caught.value)


def test_not_an_image(tmp_path: Path) -> None:
    empty, text = tmp_path / "empty.jpg", tmp_path / "text.jpg"
    empty.write_bytes(b"")
    text.write_text("hello")
    for path, message in (
        (empty, "is empty"),
        (text, "not an image"),
        (tmp_path / "missing.jpg", "no such file"),
        (tmp_path, "is a directory"),
        (Path("/dev/null"), "not a regular file"),
    ):
        with pytest.raises(ValueError, match=message) as caught:
            load_image(path)
        assert str(path) in str(caught.value)


def test_wrong_spec(tmp_path: Path) -> None:
    path = tmp_path / "a.png"
    Image.new("RGB", (8, 8)).save(path)
    with pytest.raises(ValueError, match="8 channels"):
        load_pixels(path, InputSpec(shape=(8, 8, 8), resize=8))


def test_frames(tmp_path: Path) -> None:
    path = tmp_path / "a.png"
    Image.fromarray(gradient()).save(path)
    np.testing.assert_array_equal(frame_codes(gradient(), SPEC), load_codes(path, SPEC))
    for frame in (gradient().astype(np.float32), gradient()[..., :2], gradient()[:0]):
        with pytest.raises(ValueError, match=r"frame must be uint8 \(height, width, 3\) or"):
            frame_codes(frame, SPEC)


def _png(path: Path, depth: int, kind: int, hidden: tuple[int, ...], rows: list[bytes]) -> None:
    """Write a PNG whose colour `hidden` is transparent."""

    def chunk(name: bytes, data: bytes) -> bytes:
        return (
            struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))
        )

    width = len(rows[0]) * 8 // depth // len(hidden)
    head = struct.pack(">IIBBBBB", width, len(rows), depth, kind, 0, 0, 0)
    body = zlib.compress(b"".join(b"\0" + row for row in rows))
    path.write_bytes(
        b"\x89PNG\r\n\x1a\n"
        + chunk(b"IHDR", head)
        + chunk(b"tRNS", struct.pack(f">{len(hidden)}H", *hidden))
        + chunk(b"IDAT", body)
        + chunk(b"IEND", b"")
    )


@pytest.mark.parametrize(
    ("kind", "hidden", "other"), [(0, (1000,), (1001,)), (2, (9, 8, 7), (9, 8, 6))]
)
def test_a_transparent_colour_of_16_bits_is_white(
    tmp_path: Path, kind: int, hidden: tuple[int, ...], other: tuple[int, ...]
) -> None:
    path = tmp_path / "wide.png"
    row = np.array([hidden, other], ">u2").tobytes()
    _png(path, 16, kind, hidden, [row, row])
    pixels = np.asarray(load_image(path))
    assert pixels[0, 0].tolist() == [255, 255, 255]
    # All sixteen bits count: this colour has the same upper ones.
    seen = [value >> 8 for value in other]
    assert pixels[1, 1].tolist() == (seen if len(seen) == 3 else seen * 3)


# tag, type, count, data
_ODD_TAGS = [
    (0x128, 2, 2, b"2\0\0\0"),
    (0x11A, 2, 3, b"72\0\0"),
    (0x103, 2, 2, b"6\0\0\0"),
    (0x12D, 7, 4, b"abcd"),
]


@pytest.mark.parametrize("odd", _ODD_TAGS)
def test_odd_metadata_do_not_matter(tmp_path: Path, odd: tuple[int, int, int, bytes]) -> None:
    buffer = io.BytesIO()
    Image.new("RGB", (40, 20), (200, 30, 30)).save(buffer, "JPEG")
    plain = buffer.getvalue()
    turned = (0x112, 3, 1, struct.pack("<HH", 6, 0))
    entries = b"".join(
        struct.pack("<HHI", *entry[:3]) + entry[3] for entry in sorted((turned, odd))
    )
    exif = b"Exif\0\0II" + struct.pack("<HIH", 42, 8, 2) + entries + bytes(4)
    marker = b"\xff\xe1" + struct.pack(">H", len(exif) + 2) + exif
    path = tmp_path / "odd.jpg"
    path.write_bytes(plain[:2] + marker + plain[2:])
    assert load_image(path).size == (20, 40)


def test_large_colour_profiles_do_not_matter(tmp_path: Path) -> None:
    path = tmp_path / "profile.png"
    Image.new("RGB", (4, 4), (1, 2, 3)).save(path, icc_profile=bytes(2_000_000))
    assert np.asarray(load_image(path))[0, 0].tolist() == [1, 2, 3]


def test_a_tiff_of_32_bit_integers_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "wide.tif"
    Image.fromarray(np.full((4, 4), 200, np.int32)).save(path)
    with pytest.raises(ValueError, match=r"wide\.tif: .*32-bit integers"):
        load_image(path)


@pytest.mark.parametrize("fit", ["crop", "pad"])
def test_pixels_are_interpolated_linearly_so_that_edges_do_not_overshoot(
    tmp_path: Path, fit: str
) -> None:
    # A bicubic filter makes values beyond those of the picture.
    picture = np.full((12, 12, 3), 60, np.uint8)
    picture[:, 6:] = 190
    path = tmp_path / "edge.png"
    Image.fromarray(picture).save(path)
    got = load_pixels(path, InputSpec(shape=(48, 48, 3), resize=48, fit=fit))
    assert (got.min(), got.max()) == (60, 190)
    want = Image.fromarray(picture).resize((48, 48), Image.Resampling.BILINEAR)
    np.testing.assert_array_equal(got, np.asarray(want))
