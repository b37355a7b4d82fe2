from __future__ import annotations

from dataclasses import FrozenInstanceError
from pathlib import Path

import pytest

from rag_app.config import CHECKOUT, DEFAULT_PRESET, PRESETS, Preset, checkpoint_location, load_preset, var_folder
from rag_app.errors import InputError


def write(tmp_path: Path, text: str) -> str:
    path = tmp_path / "mine.toml"
    path.write_text(text, encoding="utf-8")
    return str(path)


def test_presets_by_name() -> None:
    assert load_preset(DEFAULT_PRESET).knowledge_base == "world_flags"
    assert {preset.name for preset in PRESETS.values()} == set(PRESETS)


def test_presets_are_frozen() -> None:
    with pytest.raises(FrozenInstanceError):
        PRESETS[DEFAULT_PRESET].k = 3  # type: ignore[misc]


def test_unknown_name_lists_the_names() -> None:
    with pytest.raises(InputError, match=r"unknown preset 'huge'; choose one of embedded, full"):
        load_preset("huge")


def test_a_file_may_start_from_a_preset(tmp_path: Path) -> None:
    preset = load_preset(write(tmp_path, 'base = "embedded"\nk = 9\n'))
    assert preset.name == "mine"
    assert preset.k == 9
    assert preset.retriever == PRESETS["embedded"].retriever


def test_a_file_may_stand_alone(tmp_path: Path) -> None:
    preset = load_preset(write(tmp_path, 'retriever = "a/b"\ngenerator = "c/d"\nname = "own"\n'))
    assert preset == Preset(name="own", retriever="a/b", generator="c/d")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('base = "embedded"\nkk = 3\n', r"unknown key 'kk'; the keys are base, name,"),
        ('base = "embedded"\nk = "3"\n', r"k must be a whole number, not '3'"),
        ('base = "embedded"\nk = true\n', r"k must be a whole number, not True"),
        ('base = "embedded"\nretriever = 3\n', r"retriever must be a text, not 3"),
        ('base = "embedded"\nk = 0\n', r"k must be at least 1, not 0"),
        ('base = "nothing"\n', r"unknown base 'nothing'; choose one of embedded"),
        ("k = 3\n", r"missing retriever and generator; add them, or start from a preset"),
        ("k = \n", r"mine\.toml"),
    ],
)
def test_faulty_files(tmp_path: Path, text: str, message: str) -> None:
    with pytest.raises(InputError, match=message):
        load_preset(write(tmp_path, text))


def test_missing_file(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"no preset file .*check the path"):
        load_preset(str(tmp_path / "none.toml"))


def test_folders_come_before_hub_ids(tmp_path: Path) -> None:
    assert checkpoint_location("generator/checkpoints") == str(CHECKOUT / "generator" / "checkpoints")
    assert checkpoint_location(str(tmp_path)) == str(tmp_path)
    assert checkpoint_location("someone/some-model") == "someone/some-model"


def test_var_folder(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("RAG_APP_VAR", raising=False)
    assert var_folder() == CHECKOUT / "var"
    monkeypatch.setenv("RAG_APP_VAR", "/elsewhere")
    assert var_folder() == Path("/elsewhere")
    assert var_folder("/given") == Path("/given")
