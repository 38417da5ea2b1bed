"""The training pictures for screening: numbered, labelled, and no source in two splits."""

from __future__ import annotations

from itertools import combinations
from pathlib import Path

import numpy as np
import pytest

from scripts.screening.dataset import kind_of, picture
from scripts.screening.decoys import DECOYS, decoy
from scripts.screening.evaluate import Answers, figures, kinds
from scripts.screening.page import page
from scripts.screening.pool import CHUNK
from scripts.screening.scene import SIZE
from scripts.screening.sources import SPLITS, load_photo, sources
from scripts.screening.textures import TEXTURES, texture
from scripts.screening.thresholds import (
    LOST,
    PASSED_ON,
    WRONG,
    coarse_threshold,
    fine_threshold,
)


def test_a_number_is_a_picture() -> None:
    first, again = picture("test", 12), picture("test", 12)
    assert (first.pixels == again.pixels).all()
    assert first.pixels.shape == (SIZE, SIZE, 3)
    assert (first.pixels != picture("test", 14).pixels).any()
    assert (first.pixels != picture("train", 12).pixels).any()


def test_labels_and_boxes() -> None:
    for index in range(8):
        scene = picture("validation", index)
        assert scene.label == (index % 2 == 0) == (scene.kind == "code")
        left, top, right, bottom = scene.box
        assert (right > left and bottom > top) == bool(scene.label)
        assert 0 <= min(scene.box) <= max(scene.box) <= SIZE


def test_a_third_of_the_negatives_is_hard() -> None:
    kinds = [kind_of("test", index) for index in range(1, 1200, 2)]
    hard = [kind for kind in kinds if kind != "plain"]
    assert len(hard) > len(kinds) / 3
    assert set(hard) == set(DECOYS)


def test_no_source_is_in_two_splits() -> None:
    for first, second in combinations(SPLITS, 2):
        a, b = sources(first), sources(second)
        for name in ("photos", "pages", "fonts", "textures"):
            assert not set(getattr(a, name)) & set(getattr(b, name))
    families = [family for split in SPLITS for family in sources(split).textures]
    assert sorted(families) == sorted(TEXTURES)
    for split in SPLITS:
        for name in (*sources(split).photos, *sources(split).pages):
            assert load_photo(name).shape[2] == 3


def test_every_decoy_can_be_drawn() -> None:
    rng = np.random.default_rng(3)
    for kind in DECOYS:
        for split in SPLITS:
            assert decoy(rng, kind, sources(split)).mode == "RGBA"


def test_bad_arguments() -> None:
    with pytest.raises(ValueError, match="split must be one of"):
        picture("exam", 1)
    with pytest.raises(ValueError, match="index must not be negative"):
        picture("train", -1)
    with pytest.raises(ValueError, match="kind must be one of"):
        decoy(np.random.default_rng(0), "toast", sources("train"))
    with pytest.raises(ValueError, match="family must be one of"):
        texture(np.random.default_rng(0), "toast", 64)


def test_a_pool_is_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from scripts.screening import pool

    monkeypatch.setattr(pool, "CHUNK", 2)
    assert CHUNK > 2
    pool.extend(tmp_path, "test", 2)
    first = list(pool.chunks(tmp_path, "test"))
    assert [len(chunk) for chunk in first] == [2, 2]
    scene = picture("test", 2)
    assert (first[1]["pixels"][0] == scene.pixels).all()
    assert (int(first[1]["label"][0]), first[1]["kind"][0].decode()) == (1, "code")
    stamps = {path: path.stat().st_mtime_ns for path in tmp_path.iterdir()}
    pool.extend(tmp_path, "test", 3)
    assert all(path.stat().st_mtime_ns == stamp for path, stamp in stamps.items())
    assert len(list(pool.chunks(tmp_path, "test"))) == 3


def test_thresholds() -> None:
    labels = np.array([1] * 1000 + [0] * 1000, np.uint8)
    scores = np.concatenate([np.linspace(0.3, 1, 1000), np.linspace(0, 0.5, 1000)])
    first = coarse_threshold(scores, labels)
    # Four in a thousand may be lost, and no fewer are.
    assert (scores[:1000] < first).sum() == LOST * 1000
    second = fine_threshold(scores, labels)
    confirmed = scores >= second
    assert (labels[confirmed] == 0).mean() <= WRONG
    lower = scores >= second - 0.002
    assert (labels[lower] == 0).mean() > WRONG
    # The two overlap: the lowest threshold that is good enough, and so one that loses codes.
    assert (scores[:1000] < second).sum() > LOST * 1000
    # Codes that stand far above the others: it is lowered until others begin to be passed on.
    clear = np.concatenate([np.linspace(0.9, 1, 1000), np.linspace(0, 0.5, 1000)])
    first = coarse_threshold(clear, labels)
    assert (clear[1000:] >= first).sum() == PASSED_ON * 1000
    # Nothing in the way: still a threshold between the two.
    apart = np.concatenate([np.full(1000, 0.9), np.full(1000, 0.1)])
    assert 0.4 < fine_threshold(apart, labels) < 0.8
    assert 0 < coarse_threshold(apart, labels) <= 0.9
    with pytest.raises(ValueError, match="cannot tell codes"):
        fine_threshold(1 - apart, labels)


def test_figures_of_an_evaluation() -> None:
    labels = np.array([1, 1, 1, 1, 0, 0, 0, 0], np.uint8)
    kind = np.array([b"code"] * 4 + [b"plain", b"text", b"text", b"text"])
    answers = Answers(
        "int8",
        coarse=np.array([0.9, 0.9, 0.9, 0.1, 0.1, 0.6, 0.6, 0.1]),
        fine=np.array([0.9, 0.9, 0.2, 0.9, 0.9, 0.9, 0.1, 0.9]),
    )
    assert figures(answers, labels, (0.5, 0.5)) == {
        "pictures": 8,
        "coarse recall": 0.75,
        "passed on": 0.5,
        "precision": pytest.approx(2 / 3),
        "recall": 0.5,
        "right": pytest.approx(5 / 8),
    }
    assert kinds(answers, kind, (0.5, 0.5)) == {
        "code": (4, 3, 2),
        "plain": (1, 0, 0),
        "text": (3, 2, 1),
    }


def test_the_page_of_figures() -> None:
    row = {"pictures": 8, "coarse recall": 0.75, "passed on": 0.5}
    row |= {"precision": 0.25, "recall": 0.5, "right": 0.625}
    text = page({"float": row}, {"text": (3, 2, 1)}, (0.1, 0.75), ("a", "b"), "plot.png")
    assert "| float | 8 | 75.00% | 50.00% | 25.00% | 50.00% | 62.50% |" in text
    assert "| text | 3 | 2 | 1 |" in text
    assert "coarse: a; flags from 0.1 on" in text
    assert "](plot.png)" in text


def test_variants_keep_the_code() -> None:
    # A white box on black: however it is cut and turned, as much of it stays as is there.
    torch = pytest.importorskip("torch", reason="training wants PyTorch: penstock[train]")
    from scripts.screening.augment import augment

    rng = np.random.default_rng(5)
    box = (150, 20, 210, 90)
    pixels = torch.zeros((50, 3, SIZE, SIZE), dtype=torch.uint8)
    pixels[:, :, box[1] : box[3], box[0] : box[2]] = 255
    made = augment(rng, pixels, np.tile(np.array(box, np.int16), (50, 1)), 128, 0.5)
    assert made.shape == (50, 3, 128, 128)
    for variant in made.numpy().min(1):
        bright = (variant > int(variant.min()) + 40).sum()
        assert bright > 60 * 70 * (128 / SIZE) ** 2 * 0.9
