"""Knowledge bases on the page: looked at, made from files, changed, asked."""

from __future__ import annotations

import json
import zipfile
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import gradio as gr
import pytest
from gradio_client import Client, handle_file  # type: ignore[import-untyped]

from knowledge_bases.importing.items import Columns
from knowledge_bases.importing.previewing import Preview
from knowledge_bases.store import PassageStore
from rag_app.assembly import Application
from rag_app.errors import InputError
from rag_app.importing import ImportReport, Known
from rag_app.kb_use import KnowledgeInUse
from rag_app.knowledge import own_store_path, split_names
from rag_app.serving import public_page
from tests.hub_server import MILLS, Hub, serving_mills
from tests.tiny import PASSAGES, save_picture
from ui.api import kindly
from ui.app import build_app
from ui.asked import problem
from ui.import_actions import import_files, preview_files, read_settings
from ui.knowledge_actions import Counts, browse, show, state_of, stored
from ui.knowledge_import import ROLES
from ui.knowledge_tab import add_knowledge_tab
from ui.knowledge_upkeep import facts_of
from ui.knowledge_view import facts_card, preview_card, refusal, report_card
from ui.stopping import Stopped, Tell

READING = {"kb_list", "kb_info", "kb_search", "kb_show", "kb_export", "kb_bad_rows"}
CHANGING = {"kb_preview", "kb_import", "kb_add", "kb_edit", "kb_delete", "kb_verify", "kb_sync", "kb_use", "kb_remove"}


@pytest.fixture
def mine(application: Application, tmp_path: Path) -> Iterator[Application]:
    """The application with a folder of its own, and its finder as it was afterwards."""
    finder = application.pipeline.finder
    yield replace(application, var=tmp_path / "var")
    application.pipeline.finder = finder


def rows_file(folder: Path) -> str:
    save_picture(folder / "red.png")
    rows: list[dict[str, Any]] = [*PASSAGES, {"passage_id": "bad"}]
    rows[0] = {**rows[0], "image": "red.png"}
    (folder / "rows.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return str(folder / "rows.jsonl")


def quiet(share: float, said: str) -> None:
    pass


def take_in(
    mine: Application, in_use: KnowledgeInUse, files: list[str], tell: Tell = quiet
) -> tuple[ImportReport, bool]:
    settings = read_settings(Columns(), split=False, words=120, overlap=1)
    how: dict[str, Any] = {"known": Known.REPORT, "strict": False}
    return import_files("mine", mine.var, files, settings, in_use=in_use, tell=tell, **how)


def test_from_files_to_answers(mine: Application, tmp_path: Path) -> None:
    in_use, files = KnowledgeInUse(mine), [rows_file(tmp_path), str(tmp_path / "red.png")]
    preview, repeated = preview_files(files, read_settings(Columns(), split=False, words=120, overlap=1))
    assert repeated == ()
    card = preview_card(preview)
    assert "<script>x" not in card
    assert "&lt;b onclick=x&gt;" in card
    assert "rows.jsonl, line 7: no text" in card
    report, _ = take_in(mine, in_use, files)
    assert (report.added, report.bad) == (len(PASSAGES), 1)
    assert "rows.jsonl, line 7" in report_card(report)
    found = browse(stored("mine", mine.var), "", 1)
    assert ([one.passage_id for one in found.passages], found.pages) == ([row["passage_id"] for row in PASSAGES], 1)
    assert [one.passage_id for one in browse(stored("mine", mine.var), "crown", 1).passages] == ["red-money"]
    assert show(stored("mine", mine.var), "red-capital", tmp_path / "cache").picture is not None
    assert show(stored("mine", mine.var), "red-money", tmp_path / "cache").picture is None
    told: list[tuple[int, int]] = []
    assert in_use.use("mine", progress=lambda *numbers: told.append(numbers)) == len(PASSAGES)
    assert told[-1] == (len(PASSAGES), len(PASSAGES))
    state = state_of("mine", mine.var, checked=True)
    assert state.sound
    assert [index.in_step for index in state.indexes] == [True]
    card = facts_card(state, in_use=in_use.names == ("mine",), own=True)
    assert "in step" in card


def test_a_preview_offers_the_columns_and_flags_repeated_ids(mine: Application, tmp_path: Path) -> None:
    rows = [f'{{"key": "<{number % 15}>", "said": "x", "title": "A mill"}}\n' for number in range(30)]
    (tmp_path / "rows.jsonl").write_text("".join(rows), encoding="utf-8")
    with gr.Blocks(analytics_enabled=False) as page:
        add_knowledge_tab(page, mine)
    (button,) = [block._id for block in page.blocks.values() if block.elem_id == "kb-preview"]
    (look,) = [fn for fn in page.fns.values() if (button, "click") in fn.targets]
    assert look.fn is not None
    how = [["said"], None, "key", "", "", False, 120, 1, "utf-8"]
    card, *columns = look.fn([str(tmp_path / "rows.jsonl")], "", *how)
    assert [column["choices"] for column in columns] == [["key", "said", "title"]] * 5
    assert "15 ids given more than once, only the first passage of each goes in: &lt;0&gt;, &lt;1&gt;," in card
    assert "&lt;9&gt; …" in card
    assert [block.elem_id for block in look.outputs[1:]] == [f"kb-column-{role}" for role in ROLES]
    refused, *columns = look.fn([], " ", *how)
    assert "There are no files; upload some, or name a data set of the hub." in refused
    assert columns == [gr.skip()] * 5


@pytest.fixture(scope="module")
def hub(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Hub]:
    with serving_mills(tmp_path_factory.mktemp("hub")) as hub:
        yield hub


def test_a_data_set_of_the_hub_is_looked_at_and_taken_in(mine: Application, hub: Hub) -> None:
    settings = read_settings(Columns(), split=False, words=120, overlap=1)
    seen, _ = preview_files([], settings, data_set=f"{MILLS}:en/train")
    assert seen.columns == ("id", "text", "place", "source", "image")
    assert "hf:ann/mills:en/train, line 4: no text" in preview_card(seen)
    told: list[tuple[float, str]] = []
    in_use, how = KnowledgeInUse(mine), {"known": Known.REPORT, "strict": False}
    report, _ = import_files(
        "mine",
        mine.var,
        [],
        settings,
        in_use=in_use,
        tell=lambda share, said: told.append((share, said)),
        data_set=f"hf:{MILLS}:en/train",
        **how,  # type: ignore[arg-type]
    )
    assert (report.added, report.bad) == (4, 2)
    assert report.bad_rows is not None
    assert "hf:ann/mills:en/train,4,no text" in report.bad_rows.read_text(encoding="utf-8")
    assert told[-1] == (1.0, "4 passages read, 2 bad rows")
    assert show(stored("mine", mine.var), "0", mine.var / "cache").picture is not None
    with pytest.raises(InputError, match="both files and a data set were given"):
        preview_files(["a.csv"], settings, data_set=MILLS)


def test_taking_in_a_data_set_of_the_hub_is_cancelled(
    mine: Application, hub: Hub, monkeypatch: pytest.MonkeyPatch
) -> None:
    told: list[tuple[float, str]] = []

    def stop(share: float, said: str) -> None:
        told.append((share, said))
        raise Stopped

    settings = read_settings(Columns(), split=False, words=120, overlap=1)
    how: dict[str, Any] = {"known": Known.REPORT, "strict": False, "in_use": KnowledgeInUse(mine), "tell": stop}
    monkeypatch.setattr("rag_app.importing._EVERY", 0.0)
    with pytest.raises(Stopped):
        import_files("mine", mine.var, [], settings, data_set="hf:ann/many", **how)
    assert told == [(0.0, "1 passage read")]  # the data set does not say how many there will be
    assert "mine" not in [one.name for one in KnowledgeInUse(mine).choices()]


def test_strangers_can_have_nothing_fetched(application: Application) -> None:
    for settings, offered in ((None, True), (public_page(), False)):
        page = build_app(application, settings)
        assert any(block.elem_id == "kb-data-set" for block in page.blocks.values()) is offered
        named = page.get_api_info()["named_endpoints"]
        taking = [name for name, one in named.items() if "data_set" in str(one["parameters"])]
        assert taking == (["/kb_preview", "/kb_import"] if offered else [])


def test_a_new_name_is_taken_before_the_one_that_is_chosen(mine: Application, tmp_path: Path) -> None:
    (tmp_path / "rows.jsonl").write_text('{"id": "a", "text": "A mill."}', encoding="utf-8")
    with gr.Blocks(analytics_enabled=False) as page:
        add_knowledge_tab(page, mine)
    (button,) = [block._id for block in page.blocks.values() if block.elem_id == "kb-take-in"]
    (begin,) = [fn for fn in page.fns.values() if (button, "click") in fn.targets]
    (take,) = [fn for fn in page.fns.values() if fn.trigger_after == begin._id]
    assert take.fn is not None
    how = ([str(tmp_path / "rows.jsonl")], "", "list it as a bad row", False, 0, 0, SimpleNamespace(session_hash="me"))
    fields: tuple[Any, ...] = (lambda share, desc: None, [], "", "", "", "", False, 120, 1, "utf-8")
    for new, chosen in ((" watermills ", "world_flags"), ("mills", "watermills")):
        _, _, base, left, _ = take.fn(chosen, new, *how, *fields)
        assert (base.value, left) == (new.strip(), "")
    assert sorted(name for name, _ in base.choices) == ["mills", "watermills", "world_flags"]
    said, *_ = take.fn("mills", " ", *how, *fields)
    assert "is in the knowledge base already" in said


def test_a_cancelled_import_leaves_nothing(mine: Application, tmp_path: Path) -> None:
    path = tmp_path / "many.jsonl"
    path.write_text("".join(f'{{"id": "{n}", "text": "x"}}\n' for n in range(20_000)))

    def stop(share: float, said: str) -> None:
        raise Stopped

    with pytest.raises(Stopped):
        take_in(mine, KnowledgeInUse(mine), [str(path)], stop)
    with pytest.raises(InputError, match="unknown knowledge base 'mine'"):
        browse(stored("mine", mine.var), "", 1)


def test_only_names_are_taken_and_no_paths(mine: Application, tmp_path: Path) -> None:
    path = rows_file(tmp_path)
    for action in (lambda: stored(path, mine.var), lambda: state_of(path, mine.var)):
        with pytest.raises(InputError, match="unknown knowledge base"):
            action()


def test_nothing_of_a_problem_is_html() -> None:
    assert "<b>" not in preview_card(Preview(files=("a",), problem="<b>x</b>", columns=("<b>",)))


def test_of_files_only_names_are_told(mine: Application, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GRADIO_TEMP_DIR", str(tmp_path / "uploads"))
    upload = tmp_path / "uploads" / "0123abcd"
    upload.mkdir(parents=True)
    for name in ("broken.zip", "words.png"):
        (upload / name).write_text("no zip, no picture", encoding="utf-8")
        with pytest.raises(InputError) as fault:
            preview_files([str(upload / name)], read_settings(Columns(), split=False, words=120, overlap=1))
        assert str(upload) in str(fault.value)
        assert str(tmp_path) not in refusal(fault.value, mine.var)
        assert name in refusal(fault.value, mine.var)
        with pytest.raises(gr.Error) as told, kindly(folder=mine.var):
            raise fault.value
        assert str(tmp_path) not in told.value.message
    take_in(mine, KnowledgeInUse(mine), [rows_file(tmp_path), str(tmp_path / "red.png")])
    with pytest.raises(InputError) as fault:
        show(stored("mine", mine.var), "gone", tmp_path)
    assert "No passage &#x27;gone&#x27; in mine.sqlite" in refusal(fault.value, mine.var)
    with pytest.raises(InputError, match="no passage is chosen; choose a passage first"):
        show(stored("mine", mine.var), "", tmp_path)


def test_a_name_that_is_new_is_no_fault(mine: Application) -> None:
    in_use, counts = KnowledgeInUse(mine), Counts()
    told = facts_of(mine, in_use, counts, "mine")
    assert "There is no &#x27;mine&#x27; yet; take files in below to make it." in told
    assert "cannot be a name" in facts_of(mine, in_use, counts, "Not a name")


def test_after_removing_one_another_is_chosen(mine: Application, tmp_path: Path) -> None:
    take_in(mine, KnowledgeInUse(mine), [rows_file(tmp_path), str(tmp_path / "red.png")])
    with gr.Blocks(analytics_enabled=False) as page:
        add_knowledge_tab(page, mine)
    (button,) = [block._id for block in page.blocks.values() if block.elem_id == "kb-remove"]
    (remove,) = [fn for fn in page.fns.values() if (button, "click") in fn.targets]
    assert remove.fn is not None
    note, _, base, _ = remove.fn("mine", "mine", 0)
    assert "Removed mine." in note
    assert base.value == "world_flags"
    assert [name for name, _ in base.choices] == ["world_flags"]


def test_endpoints(mine: Application) -> None:
    with gr.Blocks(analytics_enabled=False) as page:
        add_knowledge_tab(page, mine)
    named = {fn.api_name: fn for fn in page.fns.values() if fn.api_visibility == "public"}
    assert set(named) == READING | CHANGING
    assert all("Returns:" in (function.fn.__doc__ or "") for function in named.values() if function.fn)


def test_columns_and_encoding_are_named_over_http(mine: Application, tmp_path: Path) -> None:
    save_picture(tmp_path / "red.png")
    table = "key,said,where,shown\none,Sehr schön.,a book,red.png\n"
    (tmp_path / "table.csv").write_text(table, encoding="cp1252")
    with gr.Blocks(analytics_enabled=False) as page:
        add_knowledge_tab(page, mine)
    _, address, _ = page.launch(prevent_thread_lock=True, quiet=True, _frontend=False)
    try:
        client = Client(address, verbose=False, download_files=str(tmp_path))
        how = {
            "files": [handle_file(str(tmp_path / name)) for name in ("table.csv", "red.png")],
            "text": ["said"],
            "passage_id": "key",
            "source": "where",
            "picture": "shown",
            "encoding": "cp1252",
        }
        (seen,) = client.predict(**how, api_name="/kb_preview")["passages"]
        assert (seen["passage_id"], seen["text"], seen["source"]) == ("one", "Sehr schön.", "a book")
        assert seen["has_picture"] is True
        assert client.predict(name="mine", **how, api_name="/kb_import")["added"] == 1
        (kept,) = stored("mine", mine.var)
        assert (kept.text, kept.source) == ("Sehr schön.", "a book")
    finally:
        page.close()


def test_a_data_set_of_the_hub_over_http(mine: Application, hub: Hub, tmp_path: Path) -> None:
    with gr.Blocks(analytics_enabled=False) as page:
        add_knowledge_tab(page, mine)
    _, address, _ = page.launch(prevent_thread_lock=True, quiet=True, _frontend=False)
    try:
        client = Client(address, verbose=False, download_files=str(tmp_path))
        how = {"data_set": f"hf:{MILLS}:en/train", "text": ["text", "place"]}
        seen = client.predict(**how, api_name="/kb_preview")
        assert seen["passages"][1]["text"] == "text: Mill 1 grinds corn. place: Kent"
        taken = client.predict(name="mine", **how, api_name="/kb_import")
        assert (taken["added"], taken["bad"]) == (5, 1)  # with the place, no row is without a text
        with pytest.raises(Exception, match="Cannot read hf:ann/none/train: there is no such data set"):
            client.predict(data_set="hf:ann/none", api_name="/kb_preview")
    finally:
        page.close()


def test_over_http(mine: Application, tmp_path: Path) -> None:
    with gr.Blocks(analytics_enabled=False) as page:
        add_knowledge_tab(page, mine)
    _, address, _ = page.launch(prevent_thread_lock=True, quiet=True, _frontend=False)
    try:
        client = Client(address, verbose=False, download_files=str(tmp_path))
        how: tuple[Any, ...] = ([], "", "", 0, 1)
        files = [handle_file(rows_file(tmp_path)), handle_file(str(tmp_path / "red.png"))]
        assert client.predict(files, *how, api_name="/kb_preview")["passages"][0]["has_picture"] is True
        taken = client.predict("mine", files, *how, "report", False, api_name="/kb_import")
        assert taken["added"] == len(PASSAGES)
        changes = ("mine", "red-money", "", "They pay with shells.", "", None)
        after = client.predict(*changes, api_name="/kb_edit")
        assert (after["title"], after["text"]) == ("The red land", "They pay with shells.")
        assert client.predict("mine", ["red-money"], api_name="/kb_delete") == {"holds": len(PASSAGES) - 1}
        assert client.predict("mine", "Oslo", 1, api_name="/kb_search")["passages"][0]["passage_id"] == "blue-capital"
        assert client.predict("mine", api_name="/kb_use") == {"in_use": ["mine"], "passages": len(PASSAGES) - 1}
        added = ("mine", "shells", "The red land", "Shells are money there.", "", None)
        assert client.predict(*added, api_name="/kb_add") == {"added": "shells"}
        checked = client.predict("mine", api_name="/kb_verify")
        assert checked["sound"] is True
        assert [index["in_step"] for index in checked["indexes"]] == [True]
        with pytest.raises(Exception, match="use another one first"):
            client.predict("mine", api_name="/kb_remove")
        with zipfile.ZipFile(client.predict("mine", api_name="/kb_export")) as whole:
            assert any(name.endswith(".png") for name in whole.namelist())
        rows = Path(client.predict("mine", "jsonl", api_name="/kb_export")).read_text(encoding="utf-8").splitlines()
        assert len(rows) == len(PASSAGES)
        with pytest.raises(Exception, match="Kind is 'exe'; give jsonl, csv, zip"):
            client.predict("mine", "exe", api_name="/kb_export")
    finally:
        page.close()


def test_bad_rows_are_handed_out_where_nothing_goes_in(mine: Application, tmp_path: Path) -> None:
    (tmp_path / "Good.csv").write_text("id,text\na,A mill.\nb,\nc,\n", encoding="utf-8")
    (tmp_path / "notes.docx").write_text("Notes", encoding="utf-8")
    with gr.Blocks(analytics_enabled=False) as page:
        add_knowledge_tab(page, mine)
    (button,) = [block._id for block in page.blocks.values() if block.elem_id == "kb-take-in"]
    (begin,) = [fn for fn in page.fns.values() if (button, "click") in fn.targets]
    (take,) = [fn for fn in page.fns.values() if fn.trigger_after == begin._id]
    assert take.fn is not None
    paths = [str(tmp_path / "Good.csv"), str(tmp_path / "notes.docx")]
    how = (paths, "", "list it as a bad row", True, 0, 0, SimpleNamespace(session_hash="me"))
    fields: tuple[Any, ...] = (lambda share, desc: None, [], "", "", "", "", False, 120, 1, "utf-8")
    said, bad, *_ = take.fn("world_flags", "mills", *how, *fields)
    assert ">Good.csv, line 3: no text; fill the column" in said
    assert "(3 such rows, listed in mills.bad-rows.csv); nothing was taken in." in said
    assert bad.visible is True
    listed = Path(bad.value["path"]).read_text(encoding="utf-8")
    assert [line.split(",")[0] for line in listed.splitlines()] == ["file", "Good.csv", "Good.csv", "notes.docx"]
    assert list((mine.var / "knowledge_bases").iterdir()) == []  # there is no such knowledge base
    seen, _ = preview_files(paths, read_settings(Columns(), split=False, words=120, overlap=1))
    card = preview_card(seen)
    assert "<p>Read: Good.csv.</p>" in card
    assert "<li>notes.docx: this kind of file is not read; make it one of" in card


def test_bad_rows_over_http(mine: Application, tmp_path: Path) -> None:
    (tmp_path / "good.csv").write_text("id,text\na,A mill.\nb,\nc,\n", encoding="utf-8")
    with gr.Blocks(analytics_enabled=False) as page:
        add_knowledge_tab(page, mine)
    _, address, _ = page.launch(prevent_thread_lock=True, quiet=True, _frontend=False)
    try:
        client = Client(address, verbose=False, download_files=str(tmp_path / "got"))
        given: dict[str, Any] = {"name": "mine", "files": [handle_file(str(tmp_path / "good.csv"))]}
        with pytest.raises(Exception, match=r"^good\.csv, line 3: no text.* \(2 such rows, listed in mine\.bad"):
            client.predict(**given, strict=True, api_name="/kb_import")
        assert "good.csv,4,no text" in Path(client.predict("mine", api_name="/kb_bad_rows")).read_text()
        with pytest.raises(Exception, match="No list of bad rows is kept for 'mine'"):
            client.predict("mine", api_name="/kb_bad_rows")
        assert client.predict(**given, api_name="/kb_import")["bad"] == 2
        client.predict("mine", "b", "", "Another mill.", "", None, api_name="/kb_add")
        for _ in range(2):
            assert "good.csv,4,no text" in Path(client.predict("mine", api_name="/kb_bad_rows")).read_text()
    finally:
        page.close()


def test_a_page_below_the_first_is_the_first(mine: Application) -> None:
    with gr.Blocks(analytics_enabled=False) as page:
        add_knowledge_tab(page, mine)
    (number,) = [block for block in page.blocks.values() if block.elem_id == "kb-page"]
    assert isinstance(number, gr.Number)
    assert [number.preprocess(given) for given in (0, -3, None, 1, 7)] == [1, 1, 1, 1, 7]


def test_an_empty_one_is_told_without_a_command(mine: Application, tmp_path: Path) -> None:
    own = own_store_path("none", mine.var)
    own.parent.mkdir(parents=True)
    PassageStore.open(own, create=True).close()
    with pytest.raises(InputError) as fault:
        KnowledgeInUse(mine).use("none")
    assert problem(fault.value) == "Knowledge base 'none' is empty; add passages to it first."
    with pytest.raises(InputError, match="unknown knowledge base 'nope'"):
        KnowledgeInUse(mine).use(*split_names("world_flags,, nope,"))


def test_sentences_begin_large_and_names_do_not() -> None:
    for said, shown in {
        "good.csv, line 3: no text": "good.csv, line 3: no text.",
        "my file.csv: no text": "my file.csv: no text.",
        "no passage 'x' in a.sqlite; look": "No passage 'x' in a.sqlite; look.",
        "picture: too large": "Picture: too large.",
    }.items():
        assert problem(InputError(said)) == shown
