"""`python -m rag_app kb ...` as people type it."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from rag_app.cli import main
from tests.tiny import PASSAGES, save_picture

Run = Callable[..., str]


@pytest.fixture
def kb(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Run:
    """Runs a command under `kb` in a folder of its own; gives what it printed, or with `status=2` its one error."""

    def run(*arguments: str, status: int = 0) -> str:
        assert main(["kb", *arguments, "--var", str(tmp_path / "var")]) == status
        captured = capsys.readouterr()
        if status == 2:
            assert captured.err.count("\n") == 1, captured.err
        return captured.err if status else captured.out

    return run


@pytest.fixture
def places(tmp_path: Path) -> str:
    save_picture(tmp_path / "castle.png")
    rows = "Nr;Name;Look;Age;Photo\n1;Castle;Red walls.;900;castle.png\n2;Bridge;;;\n3;Tower;Tall.;80;gone.png\n"
    (tmp_path / "places.csv").write_text(rows, encoding="utf-8")
    return str(tmp_path / "places.csv")


def test_a_table_with_pictures_comes_in(kb: Run, places: str, tmp_path: Path) -> None:
    columns = ("--column", "text=Look", "--column", "text=Age")
    (tmp_path / "castle.txt").write_text("not named, so not read")
    preview = kb("add", places, str(tmp_path / "castle.png"), "--kb", "p", "--preview", *columns)
    assert "taken as: id = Nr; title = Name; text = Look, Age; picture = Photo" in preview
    assert "[1] Castle [with picture]\n   Look: Red walls. Age: 900" in preview
    assert "p" not in kb("list").split()
    added = kb("add", places, str(tmp_path / "castle.png"), "--kb", "p", *columns)
    assert "added 1 passage; it holds 1" in added
    assert "places.csv, line 3: no text" in added
    assert "places.csv, line 4: there is no picture 'gone.png'" in added
    listed = (tmp_path / "var" / "knowledge_bases" / "p.bad-rows.csv").read_text(encoding="utf-8")
    assert listed.count("\n") == 3
    assert "pictures: 1" in kb("info", "--kb", "p")


def test_single_passages(kb: Run, tmp_path: Path) -> None:
    kb("add", "--kb", "p", "--id", "oak", "--title", "Oak", "--text", "A tree.", "--source", "me")
    assert kb("show", "oak", "--kb", "p") == "[oak] Oak\nsource: me\n\nA tree.\n"
    kb("edit", "oak", "--kb", "p", "--text", "A tall tree.")
    assert "A tall tree." in kb("search", "tall", "--kb", "p")
    assert "is in the knowledge base already" in kb("add", "--kb", "p", "--id", "oak", "--text", "x", status=2)
    assert "passed over" in kb("add", "--kb", "p", "--id", "oak", "--text", "x", "--skip-known")
    assert kb("add", "--kb", "p", "--id", "oak", "--title", "Oak", "--text", "A tall tree.", "--replace") == (
        "p: replaced oak\n"
    )
    assert "check the id" in kb("show", "elm", "--kb", "p", status=2)
    kb("export", str(tmp_path / "out.jsonl"), "--kb", "p")
    (row,) = map(json.loads, (tmp_path / "out.jsonl").read_text(encoding="utf-8").splitlines())
    assert row == {"passage_id": "oak", "title": "Oak", "text": "A tall tree.", "source": ""}
    assert "holds 0" in kb("delete", "oak", "--kb", "p")
    kb("remove", "--kb", "p")
    assert "unknown knowledge base 'p'" in kb("info", "--kb", "p", status=2)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["add", "--kb", "p"], "give files, a data set as --from, or a passage as --text"),
        (["add", "--kb", "p", "--from", "hf:a/b", "--id", "1", "--text", "x"], "both --from and --text were given"),
        (["add", "--kb", "p", "--from", "notes.csv"], "(hf:..., m2kr:..., flmr:...); give files without --from"),
        (["add", "--kb", "p", "hf:a/b"], "hf:a/b is a data set; give it as --from hf:a/b"),
        (["add", "--kb", "p", "--from", "hf:mills"], "names no data set of the hub; write hf:user/name[:config]/split"),
        (["add", "--kb", "p", "--text", "x"], "give one with --id"),
        (["add", "--kb", "p", "--text", "x", "--id", "1", "--preview"], "--preview looks into files"),
        (["add", "FILE", "--kb", "p", "--id", "1"], "belong to one passage"),
        (["add", "gone.csv", "--kb", "p"], "no file or folder at gone.csv"),
        (["add", "FILE", "--kb", "p", "--column", "colour=Look"], "'colour=Look' is not ROLE=NAME"),
        (["add", "FILE", "--kb", "p", "--column", "text=Smell"], "no column 'Smell'; it has Nr, Name, Look"),
        (["add", "FILE", "--kb", "p", "--words", "3"], "give at least 20"),
        (["add", "FILE", "--kb", "p", "--encoding", "klingon"], "unknown encoding: klingon; usual ones are"),
        (["add", "FILE", "--kb", "p"], "no column that looks like the text"),
        (["add", "FILE", "--kb", "world_flags"], "part of this repository"),
        (["build", "FILE"], "give one with --kb NAME"),
        (["build", "FILE", "--kb", "p", "--preset", "nope"], "unknown preset 'nope'"),
        (["build", "--preview"], "--preview looks into files"),
        (["build", "--folder", "x"], "give that, or the folder alone"),
        (["build", "--from", "hf:mills"], "names no data set of the hub; write hf:user/name[:config]/split"),
        (["build", "--from", "hf:a/b", "--folder", "x"], "give a data set's folder alone, as a file"),
        (["build", "FILE", "--from", "hf:a/b"], "both files and --from were given"),
        (["build", "--from", "m2kr:EVQA", "--preview"], "or into --from hf:USER/NAME"),
        (["info", "--kb", "x" * 5000], "unknown knowledge base"),
        (["edit", "x", "--kb", "p"], "nothing was given to change"),
        (["edit", "x", "--kb", "p", "--text", "y"], "no knowledge base 'p' of your own"),
    ],
)
def test_bad_input_is_one_line(kb: Run, places: str, arguments: list[str], message: str) -> None:
    assert message in kb(*[places if argument == "FILE" else argument for argument in arguments], status=2)
    assert "p" not in kb("list").split()


def test_odd_names_and_texts_keep_to_their_lines(kb: Run, tmp_path: Path) -> None:
    (tmp_path / "files").mkdir()
    (tmp_path / "files" / "two\nlines \x1b[31m'\".txt").write_text("Red.")
    (tmp_path / "files" / "latin.txt").write_bytes(b"caf\xe9")
    preview = kb("add", str(tmp_path / "files"), "--kb", "p", "--preview")
    assert "files: latin.txt, two lines \\x1b[31m'\".txt\n" in preview
    assert "[two lines \\x1b[31m'\".txt] two lines \\x1b[31m'\"\n   Red.\nbad: latin.txt: not utf-8" in preview
    assert "added 1 passage" in kb("add", str(tmp_path / "files"), "--kb", "p")
    assert "\x1b" not in kb("search", "red", "--kb", "p")


def test_verify_tells_and_sync_mends(kb: Run, world: Path, tmp_path: Path) -> None:
    rows = "".join(json.dumps(row) + "\n" for row in PASSAGES)
    (tmp_path / "notes.jsonl").write_text(rows, encoding="utf-8")
    preset = ("--preset", str(world / "tiny.toml"))
    assert "6 passages indexed" in kb("build", str(tmp_path / "notes.jsonl"), "--kb", "p", *preset)
    assert "in step" in kb("verify", "--kb", "p")
    kb("delete", "red-money", "--kb", "p")
    assert "behind, 0 passages to encode and 1 entry to delete" in kb("verify", "--kb", "p")
    kb("sync", "--kb", "p", *preset)
    assert "in step" in kb("verify", "--kb", "p")
    (rows_file,) = (tmp_path / "var").rglob("*.f16")
    rows_file.write_bytes(rows_file.read_bytes()[:-2])
    assert "damaged" in kb("verify", "--kb", "p", status=2)
    kb("sync", "--kb", "p", *preset)
    state = json.loads(kb("verify", "--kb", "p", "--json"))
    assert (state["sound"], state["passages"], state["indexes"][0]["in_step"]) == (True, 5, True)
