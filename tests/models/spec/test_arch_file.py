"""Arches as TOML files: contents, and refusals with their messages."""

from __future__ import annotations

from dataclasses import asdict, replace
from pathlib import Path

import pytest

from penstock.models.spec import arch_file
from penstock.models.spec.arch import ARCHES, Arch, get_arch
from penstock.models.spec.arch_file import find_arch, load_arch, to_toml


def write(folder: Path, text: str, name: str = "mine.toml") -> Path:
    path = folder / name
    path.write_text(text, encoding="utf-8")
    return path


def test_a_file_has_all_parameters(tmp_path: Path) -> None:
    wanted = replace(ARCHES["tiny"], name="mine", act_words=512, log_entries=32)
    lines = [f"{key} = {value}" for key, value in asdict(wanted).items() if key != "name"]
    path = write(tmp_path, "\n".join(lines))
    assert load_arch(path) == wanted
    assert find_arch(str(path)) == wanted


def test_a_file_changes_a_base(tmp_path: Path) -> None:
    path = write(tmp_path, 'base = "12x32"\nname = "wide-1.5"\nact_words = 4096\n')
    assert load_arch(path) == replace(get_arch("12x32"), name="wide-1.5", act_words=4096)


def test_what_has_a_default_may_be_left_out(tmp_path: Path) -> None:
    needed = {
        key: value
        for key, value in asdict(ARCHES["lab"]).items()
        if key not in ("name", "bus_bytes", "queue_depth", "log_entries", "count_bits")
    }
    path = write(tmp_path, "\n".join(f"{key} = {value}" for key, value in needed.items()))
    assert load_arch(path).fingerprint == ARCHES["lab"].fingerprint


def test_a_preset_may_be_written_down(tmp_path: Path) -> None:
    assert load_arch(write(tmp_path, 'base = "tiny"', "tiny.toml")) == ARCHES["tiny"]


@pytest.mark.parametrize("name", [*ARCHES, "8x8"])
def test_names_are_what_they_were(name: str) -> None:
    assert find_arch(name) is get_arch(name) or find_arch(name) == get_arch(name)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('base = "lab"\nrows = 100', "rows must be an integer from 2 to 64, not 100"),
        ('base = "lab"\nrows = 8.0', "rows must be an integer, not 8.0"),
        ('base = "lab"\nrows = true', "rows must be an integer, not True"),
        ('base = "lab"\nrows = "8"', "rows must be an integer, not '8'"),
        ('base = "lab"\nact_words = 1000', "act_words must be a power of two of at most 65536"),
        ('base = "lab"\n[rows]\nx = 1', "rows must be an integer, not {'x': 1}"),
        ('base = "lab"\nrow = 8', "row = 8 is no key of an arch, which has base, name, rows"),
        ('base = "big"', "base must be one of tiny, lab, .* not 'big'"),
        ("base = 8", "base must be one of .* not 8"),
        ("rows = 8\ncols = 8", "act_words, psum_words, .*lrn_lanes missing: give them, or a base"),
        ('base = "lab"\nname = "a b"', "name must be up to 40 letters.* not 'a b'"),
        ('base = "lab"\nname = 5', "name must be .* not 5"),
        ('base = "lab"\nname = "tiny"', "name must not be that of a preset .* not 'tiny'"),
        ("rows = \n", r"line 1 is not TOML: a line is a key and its value"),
        ("rows = [", "its last line is not whole"),
    ],
)
def test_what_is_wrong_is_said_in_one_line(tmp_path: Path, text: str, message: str) -> None:
    path = write(tmp_path, text)
    with pytest.raises(ValueError, match=message) as caught:
        load_arch(path)
    assert str(caught.value).startswith(f"{path}: ")
    assert "\n" not in str(caught.value)


def test_bytes_that_are_no_text(tmp_path: Path) -> None:
    path = tmp_path / "mine.toml"
    path.write_bytes(b"\xff\xfe")
    with pytest.raises(ValueError, match="not a text file in UTF-8"):
        load_arch(path)


def test_a_missing_file_is_an_os_error(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        find_arch(str(tmp_path / "none.toml"))


def test_no_name_mentions_files() -> None:
    with pytest.raises(ValueError, match=r"ROWSxCOLS such as 12x32, or a \.toml file, not 'x'"):
        find_arch("x")
    with pytest.raises(ValueError, match=r"rows must be an integer from 2 to 64, not 1$"):
        find_arch("1x8")


def test_a_python_without_a_reader_says_what_helps(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def missing(name: str) -> None:
        raise ModuleNotFoundError(name)

    monkeypatch.setattr(arch_file.importlib, "import_module", missing)
    with pytest.raises(ValueError, match=r"pip install tomli, or use Python 3\.11"):
        load_arch(write(tmp_path, 'base = "lab"'))


def test_every_parameter_can_be_given(tmp_path: Path) -> None:
    """The reader has no separate list of keys that could be incomplete."""
    other = {"rows": 8, "cols": 8, "count_bits": 20, "queue_depth": 4, "log_entries": 16}
    other |= {"act_words": 256, "psum_words": 128, "out_words": 256, "wgt_words": 128}
    other |= {"drain_lanes": 2, "lrn_lanes": 2, "bus_bytes": 8}
    assert set(other) == set(asdict(ARCHES["lab"])) - {"name"}
    text = "\n".join(f"{key} = {value}" for key, value in other.items())
    assert load_arch(write(tmp_path, text)) == Arch(name="mine", **other)


@pytest.mark.parametrize("name", [*ARCHES, "12x32"])
def test_what_is_written_is_read_back(tmp_path: Path, name: str) -> None:
    assert load_arch(write(tmp_path, to_toml(get_arch(name)))) == get_arch(name)
