"""Data sets by their names on the hub, read from one that this machine serves."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from knowledge_bases.importing.hub import HubName, HubSource
from knowledge_bases.importing.items import BadRow, Columns, Entry, ReadSettings
from knowledge_bases.store import PassageStore
from rag_app.errors import InputError
from rag_app.importing import take_in
from tests.hub_server import MANY, MILLS, Hub, png, serving_mills

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="module")
def hub(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Hub]:
    with serving_mills(tmp_path_factory.mktemp("hub")) as hub:
        yield hub


def opened(text: str) -> HubSource:
    return HubSource(HubName.parse(text))


def read(text: str, columns: Columns | None = None) -> tuple[list[Entry], list[BadRow]]:
    with opened(text) as source:
        items = list(source.items(ReadSettings(columns=columns or Columns())))
        assert source.done == len(items)
    return [item for item in items if isinstance(item, Entry)], [item for item in items if isinstance(item, BadRow)]


@pytest.mark.parametrize(
    ("text", "repository", "configuration", "split", "slug"),
    [
        ("hf:ann/Mills", "ann/Mills", "", "train", "mills-train"),
        ("hf:ann/mills/test", "ann/mills", "", "test", "mills-test"),
        (" hf:ann/mills:en.old/test ", "ann/mills", "en.old", "test", "mills-en-old-test"),
        ("ann-b/m_1:2024/a", "ann-b/m_1", "2024", "a", "m-1-2024-a"),
    ],
)
def test_names(text: str, repository: str, configuration: str, split: str, slug: str) -> None:
    name = HubName.parse(text)
    assert name == HubName(repository=repository, configuration=configuration, split=split)
    assert name.slug == slug
    assert HubName.parse(str(name)) == name


@pytest.mark.parametrize(
    "text", ["hf:", "hf:mills", "hf:../x", "hf:a/..", "hf:/etc/passwd", "hf:a/b/c/d", "http://a/b"]
)
def test_other_names_are_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"names no data set of the hub; write hf:user/name\[:config\]/split"):
        HubName.parse(text)


def test_a_split_is_read_with_its_pictures_and_bad_rows(hub: Hub) -> None:
    entries, bad = read(f"hf:{MILLS}:en/train")
    assert [entry.passage.passage_id for entry in entries] == ["0", "1", "2", "4"]
    assert entries[1].passage.text == "Mill 1 grinds corn."
    assert entries[1].passage.source == "a book"
    assert (entries[0].picture, entries[1].picture) == (png(), None)
    assert [(row.line, row.file) for row in bad] == [(4, f"hf:{MILLS}:en/train"), (6, f"hf:{MILLS}:en/train")]
    assert [row.problem.partition(";")[0] for row in bad] == [
        "no text",
        "the picture is not a picture that can be read",
    ]
    assert [entry.passage.text for entry in read(f"hf:{MILLS}:en/test")[0]] == ["A mill for testing."]


def test_a_preview_shows_the_columns_and_how_many_rows_there_are(hub: Hub) -> None:
    with opened(f"hf:{MILLS}:en/train") as source:
        preview = source.preview(ReadSettings(columns=Columns(text=("text", "place"))), limit=2)
        assert (source.total, preview.files) == (6, (f"hf:{MILLS}:en/train",))
    assert preview.columns == ("id", "text", "place", "source", "image")
    assert (preview.chosen.passage_id, preview.chosen.picture) == ("id", "image")
    assert [entry.passage.text for entry in preview.entries] == [
        f"text: Mill {number} grinds corn. place: Kent" for number in (0, 1)
    ]
    with opened(f"hf:{MILLS}:en/train") as source:
        problem = source.preview(ReadSettings(columns=Columns(title="Name"))).problem
    assert "has no column 'Name'; it has id, text" in problem


def test_pictures_among_the_files_are_read_and_none_elsewhere(hub: Hub) -> None:
    entries, bad = read("hf:ann/photos")
    assert [(entry.passage.text, entry.picture) for entry in entries] == [("A red one.", png())]
    assert bad == []
    before = len(hub.requests)
    entries, bad = read("hf:ann/elsewhere", Columns(picture="image"))
    assert entries == []
    assert len(bad) == 2
    assert {row.problem.partition(";")[0] for row in bad} == {"the picture does not lie in the data set"}
    assert not [one for one in hub.requests[before:] if "photos" in one or "secret" in one]
    entries, bad = read("hf:ann/elsewhere")  # addresses are no pictures unless somebody says so
    assert ([entry.picture for entry in entries], bad) == ([None, None], [])


def test_where_reading_fails_on_the_way_nothing_is_taken_in(hub: Hub, tmp_path: Path) -> None:
    with opened("hf:ann/damaged") as source, pytest.raises(InputError, match="cannot read hf:ann/damaged/train: "):
        take_in(source.items(ReadSettings()), "damaged", tmp_path)
    assert 0 < source.done < MANY
    assert not list((tmp_path / "knowledge_bases").glob("*.sqlite"))


def test_reading_may_end_early(hub: Hub) -> None:
    with opened("hf:ann/many") as source, closing(source.items(ReadSettings())) as items:
        first = next(items)
        assert isinstance(first, Entry)
        assert first.passage.passage_id == "many-train-1"
        assert source.done < MANY / 2


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("hf:ann/none", "cannot read hf:ann/none/train: there is no such data set, or you may not read it; check"),
        (f"hf:{MILLS}:de/train", r"BuilderConfig 'de' not found\. Available: \['en'\]"),
        (f"hf:{MILLS}:en/dev", r"Bad split: dev\. Available splits: \['train', 'test'\]"),
        ("hf:ann/escaping", "Data files don't belong to ann/escaping"),
    ],
)
def test_what_is_not_there_is_one_line(hub: Hub, text: str, message: str) -> None:
    with pytest.raises(ValueError, match=message) as fault:
        opened(text)
    assert "\n" not in str(fault.value)


def test_a_folder_of_that_name_is_not_read_instead(hub: Hub, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / MILLS).mkdir(parents=True)
    with pytest.raises(ValueError, match="is a folder here as well; give it as a file"):
        opened(f"hf:{MILLS}/train")


def run(*arguments: str, hub: str, folder: Path, **more: str) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "HF_ENDPOINT": hub, "HF_HOME": str(folder / "hf"), **more}
    command = [sys.executable, "-m", "rag_app", "kb", *arguments, "--var", str(folder / "var")]
    return subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=300)


def test_on_the_command_line(hub: Hub, tmp_path: Path) -> None:
    source = ("build", "--from", f"hf:{MILLS}:en/train")
    seen = run(*source, "--preview", hub=hub.address, folder=tmp_path)
    assert (seen.returncode, seen.stderr) == (0, "")
    assert "taken as: id = id; text = text; source = source; picture = image" in seen.stdout
    assert "bad: hf:ann/mills:en/train, line 4: no text" in seen.stdout
    assert not (tmp_path / "var").exists()
    code = "import sys; import rag_app.kb_import_commands as c; c._build_index = lambda *_: 0; "
    code += "from rag_app.cli import main; sys.exit(main(sys.argv[1:]))"
    environment = {**os.environ, "HF_ENDPOINT": hub.address, "HF_HOME": str(tmp_path / "hf")}
    command = [sys.executable, "-c", code, "kb", *source, "--var", str(tmp_path / "var")]
    taken = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=300)
    assert taken.returncode == 0, taken.stderr
    assert "mills-en-train: added 4 passages; it holds 4\n2 rows could not be taken in; " in taken.stdout
    added = run("add", "--kb", "mine", *source[1:], hub=hub.address, folder=tmp_path)
    assert added.returncode == 0, added.stderr
    assert "mine: added 4 passages; it holds 4\n2 rows could not be taken in; " in added.stdout
    with PassageStore.open(tmp_path / "var" / "knowledge_bases" / "mills-en-train.sqlite") as store:
        assert store.picture("0") == png()


@pytest.mark.parametrize("more", [{}, {"HF_HUB_OFFLINE": "1"}])
def test_offline_is_one_line(tmp_path: Path, more: dict[str, str]) -> None:
    nowhere = "http://127.0.0.1:1"
    failed = run("build", "--from", f"hf:{MILLS}:en/train", hub=nowhere, folder=tmp_path, **more)
    assert failed.returncode == 2
    (line,) = failed.stderr.splitlines()
    assert line.startswith(f"error: cannot read hf:{MILLS}:en/train: the hub is out of reach (")
    assert line.endswith("; check the connection, or fetch the data set elsewhere and give its folder")
    assert not (tmp_path / "var" / "knowledge_bases" / "mills-en-train.sqlite").exists()


def test_what_was_loaded_before_is_read_offline(hub: Hub, tmp_path: Path) -> None:
    load = f"from datasets import load_dataset; load_dataset({MILLS!r}, 'en')"
    environment = {**os.environ, "HF_ENDPOINT": hub.address, "HF_HOME": str(tmp_path / "hf")}
    subprocess.run([sys.executable, "-c", load], env=environment, check=True, capture_output=True, timeout=300)
    more = {"HF_HUB_OFFLINE": "1"}
    seen = run(
        "build", "--from", f"hf:{MILLS}:en/train", "--preview", hub="http://127.0.0.1:1", folder=tmp_path, **more
    )
    assert seen.returncode == 0, seen.stderr
    assert "[1]" in seen.stdout
    assert json.dumps("Mill 1 grinds corn.")[1:-1] in seen.stdout
