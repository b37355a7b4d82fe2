"""Knowledge bases and preset chosen on the page: what the handlers say and do."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import gradio as gr
import pytest
from gradio.block_function import BlockFunction

from rag_app import assembly
from rag_app.assembly import Application, open_application
from rag_app.cli import main
from rag_app.config import DEFAULT_PRESET, Preset, preset_names
from rag_app.errors import InputError
from rag_app.kb_use import KnowledgeInUse
from rag_app.knowledge import find_knowledge
from rag_app.preset_use import PresetChoice, PresetInUse
from rag_app.serving import public_page
from tests.tiny import save_passages, save_reader, tiny_preset
from ui.answering import answered
from ui.app import build_app
from ui.closer import explained
from ui.deep_links import knowledge_of
from ui.fixed_line import fixed_line
from ui.stopping import Stopped, Stops
from ui.what_answers import cannot_run_list, followed, linked, unlike_shown, use_knowledge, use_preset

HOSTILE = "<b>mine</b>"
PARTS = ("_load_generator", "load_encoder", "open_finder")  # of an application, in the order they are opened


@pytest.fixture
def opened(tmp_path: Path) -> Application:
    """An application of its own, with a knowledge base `notes` to choose."""
    preset = tiny_preset(save_reader(tmp_path / "reader"), save_passages(tmp_path / "passages.jsonl"))
    (tmp_path / "notes.jsonl").write_text(json.dumps({"passage_id": "n", "title": "Note", "text": "A mill of 1850."}))
    var = tmp_path / "var"
    assert main(["kb", "add", str(tmp_path / "notes.jsonl"), "--kb", "notes", "--var", str(var)]) == 0
    return open_application(preset, find_knowledge(preset.knowledge_base, var), var=var)


@pytest.fixture
def other(opened: Application, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Preset:
    """Another preset than the one that was opened, in place of the default one."""
    other = replace(opened.preset, name=DEFAULT_PRESET, generator=str(save_reader(tmp_path / "other-reader")), k=2)

    def load(name: str) -> Preset:
        named = replace(other, name=name, download_gb=3.0)
        cannot = replace(named, generator="reader-mini", mode="long_context")
        return named if name == DEFAULT_PRESET else cannot

    monkeypatch.setattr("rag_app.preset_use.load_preset", load)
    return other


def quiet(done: int, total: int) -> None:
    pass


def test_knowledge_bases_are_chosen(opened: Application) -> None:
    in_use = KnowledgeInUse(opened)
    assert [one.name for one in in_use.choices()] == ["world_flags", "notes", "passages"]
    before, notes = opened.snapshot(), use_knowledge(in_use, ["passages", "notes"], quiet)
    assert 'data-state="loading"' in next(notes)
    assert opened.knowledge_base == "passages"  # they answer until the others are open
    (said,) = notes
    assert "answered from passages and notes now: 7 passages" in said
    *_, parts = answered(opened, None, "what is the capital?", "", 7)
    assert parts[2].count('<span class="passage-base">') == 7
    assert parts[2].count(">notes</span>") == 1
    assert parts[4] is not None
    assert (parts[4].knowledge_base, parts[4].preset) == ("passages,notes", "tiny")
    assert before.knowledge_base == "passages"
    assert list(use_knowledge(in_use, ["notes", "passages"], quiet)) == []  # those that answer already
    (said,) = use_knowledge(in_use, [], quiet)
    assert "Choose at least one. Questions are answered from passages and notes." in said
    *_, said = use_knowledge(in_use, ["notes", HOSTILE], quiet)
    assert 'role="alert"' in said
    assert "Unknown knowledge base &#x27;&lt;b&gt;" in said
    assert opened.knowledge_base == "passages,notes"


def test_an_answer_is_explained_from_the_passages_that_it_came_from(opened: Application) -> None:
    *_, (_, _, _, _, asked) = answered(opened, None, "what is the capital?", "", 3)
    assert "data-sum" in explained(opened, asked, 1)
    in_use = KnowledgeInUse(opened)
    list(use_knowledge(in_use, ["notes"], quiet))
    assert "an answer from passages." in explained(opened, asked, 1)
    list(use_knowledge(in_use, ["passages"], quiet))
    assert "data-sum" in explained(opened, asked, 1)


def test_another_preset_takes_over(opened: Application, other: Preset) -> None:
    in_use = PresetInUse(opened)
    assert [(one.preset.name, bool(one.cannot)) for one in in_use.choices()] == [
        ("tiny", False),
        *((name, name != DEFAULT_PRESET) for name in preset_names()),
    ]
    *_, (_, _, _, _, asked) = answered(opened, None, "what is the capital?", "", 3)
    notes = use_preset(in_use, DEFAULT_PRESET, quiet)
    assert "Until it is ready tiny answers." in next(notes)
    assert opened.preset.name == "tiny"
    assert "embedded answers now." in next(notes)
    assert (opened.preset.name, opened.pipeline.k, opened.knowledge_base) == (DEFAULT_PRESET, 2, "passages")
    assert "an answer of the preset tiny" in explained(opened, asked, 1)
    *_, parts = answered(opened, None, "what is the capital?", "", 2)
    assert parts[4] is not None
    assert parts[4].preset == DEFAULT_PRESET
    assert list(use_preset(in_use, DEFAULT_PRESET, quiet)) == []
    _, last = use_preset(in_use, "tiny", quiet)
    assert "tiny answers now." in last
    assert opened.preset is in_use.choices()[0].preset


def test_a_preset_that_cannot_run_changes_nothing(opened: Application, other: Preset, tmp_path: Path) -> None:
    in_use = PresetInUse(opened)
    for name, told in (("remote", "reads single passages"), (HOSTILE, "choose one of embedded")):
        with pytest.raises(InputError, match=told):
            in_use.use(name)
    (tmp_path / "other-reader" / "config.json").unlink()
    *_, said = use_preset(in_use, DEFAULT_PRESET, quiet)
    assert 'data-state="error"' in said
    assert said.endswith("tiny answers.</div>")
    assert opened.preset.name == "tiny"
    assert answered(opened, None, "what?", "", 3)


def test_want_of_memory_is_said(opened: Application, other: Preset, monkeypatch: pytest.MonkeyPatch) -> None:
    def large(*_: object, **__: object) -> Application:
        raise MemoryError

    monkeypatch.setattr("rag_app.preset_use.open_application", large)
    *_, said = use_preset(PresetInUse(opened), DEFAULT_PRESET, quiet)
    assert "There is no memory for preset embedded beside tiny" in said
    assert opened.preset.name == "tiny"


def test_presets_that_cannot_run_are_listed_with_the_reason(opened: Application) -> None:
    choices = [
        PresetChoice(preset=replace(opened.preset, name=HOSTILE), cannot="it needs <a GPU>"),
        PresetChoice(preset=opened.preset, cannot=""),
    ]
    shown = cannot_run_list(choices)
    assert "1 preset cannot run here" in shown
    assert "it needs &lt;a GPU&gt;" in shown
    assert "<b>" not in shown
    assert cannot_run_list(choices[1:]) == ""


def labels(page: gr.Blocks) -> set[str]:
    return {str(block.label) for block in page.blocks.values() if isinstance(block, gr.Dropdown) and block.visible}


def test_strangers_choose_neither(opened: Application) -> None:
    assert {"Knowledge bases", "Preset"} <= labels(build_app(opened))
    page = build_app(opened, public_page())
    assert labels(page) == set()
    assert not [event for event in page.fns.values() if event.concurrency_id == "loading"]
    (line,) = [block for block in page.blocks.values() if block.elem_id == "what-answers"]
    assert isinstance(line, gr.HTML)
    assert "Answers come from passages, with the preset tiny." in line.value
    told = fixed_line(opened, ["notes", HOSTILE])
    assert "The link asks for notes, &lt;b&gt;mine&lt;/b&gt;: that cannot be chosen on this page." in told
    assert fixed_line(opened, ["passages"]) == line.value


def test_links_name_knowledge_bases(opened: Application) -> None:
    assert knowledge_of({"kb": "notes, world_flags,,notes"}) == ["notes", "world_flags"]
    assert knowledge_of({}) == []
    in_use = KnowledgeInUse(opened)
    note, proposed = linked(in_use, ["notes"])
    assert "The link asks for notes. Questions are answered from passages" in note
    assert proposed == ["notes"]
    assert opened.knowledge_base == "passages"  # until somebody says so
    assert linked(in_use, ["passages"]) == linked(in_use, []) == ("", [])
    note, proposed = linked(in_use, [HOSTILE])
    assert proposed == []
    assert "&lt;b&gt;" in note


def test_a_page_follows_what_was_chosen_elsewhere(opened: Application, other: Preset) -> None:
    in_use, preset_in_use = KnowledgeInUse(opened), PresetInUse(opened)
    before = (in_use.names, preset_in_use.name)
    bases, preset, *told, cannot, note = followed(in_use, preset_in_use, before, before)
    assert "value" not in bases
    assert [preset, *told, cannot, note] == [gr.skip()] * 5
    in_use.use("notes")
    preset_in_use.use(DEFAULT_PRESET)
    bases, preset, *told, cannot, note = followed(in_use, preset_in_use, before, before)
    assert (bases["value"], preset["value"]) == (["notes"], DEFAULT_PRESET)
    assert told == [("notes",), DEFAULT_PRESET]
    assert "Questions are answered from notes now. embedded answers now." in note
    assert "cannot run here" in cannot
    choosing = (["passages", "world_flags"], "remote")  # and not taken in yet
    bases, preset, *told, _, note = followed(in_use, preset_in_use, choosing, before)
    assert "value" not in bases
    assert [preset, *told, note] == [gr.skip()] * 4


def test_an_answer_names_what_gave_it_where_the_page_showed_something_else(opened: Application) -> None:
    *_, (_, _, _, _, asked) = answered(opened, None, "what is the capital?", "", 3)
    assert unlike_shown(asked, ["passages"], "tiny") == ""
    assert "Answered from passages; this page showed notes." in unlike_shown(asked, ["notes"], "tiny")
    assert "Answered by tiny; this page showed &lt;b&gt;." in unlike_shown(asked, ["passages"], "<b>")
    assert unlike_shown(None, ["notes"], "tiny") == ""


def events_of(page: gr.Blocks, elem_id: str, event: str) -> list[BlockFunction]:
    (number,) = [block._id for block in page.blocks.values() if block.elem_id == elem_id]
    return [fn for fn in page.fns.values() if (number, event) in fn.targets]


def test_the_field_of_knowledge_bases_is_never_empty(opened: Application) -> None:
    (cleared,) = events_of(build_app(opened), "ask-kb", "change")
    assert cleared.fn is not None
    field, note = cleared.fn([])
    assert field["value"] == ["passages"]
    assert "Choose at least one. Questions are answered from passages." in note
    assert cleared.fn(["notes"]) == [gr.skip(), gr.skip()]


def test_opening_knowledge_bases_can_be_cancelled(opened: Application) -> None:
    def stop(done: int, total: int) -> None:
        raise Stopped

    *_, said = use_knowledge(KnowledgeInUse(opened), ["notes"], stop)
    assert "Cancelled. Questions are answered from passages." in said
    assert opened.knowledge_base == "passages"


def test_loading_a_preset_can_be_cancelled_between_its_models(
    opened: Application, other: Preset, monkeypatch: pytest.MonkeyPatch
) -> None:
    loaded: list[str] = []
    for part in PARTS:
        load = getattr(assembly, part)

        def noted(*given: object, part: str = part, load: Any = load, **named: object) -> object:  # noqa: ANN401
            loaded.append(part)
            return load(*given, **named)

        monkeypatch.setattr(assembly, part, noted)
    in_use, stops = PresetInUse(opened), Stops()
    for asked_after in ([], ["_load_generator"], ["_load_generator", "load_encoder"], [*PARTS]):
        loaded.clear()
        begun = stops.begin("me")

        def check(begun: int = begun, asked_after: list[str] = asked_after) -> None:
            if loaded[: len(asked_after)] == asked_after:
                stops.ask("me")
            stops.check("me", begun)

        *_, said = use_preset(in_use, DEFAULT_PRESET, quiet, check)
        assert "Cancelled. tiny answers." in said
        assert loaded == asked_after
        assert opened.preset.name == "tiny"
        assert answered(opened, None, "what?", "", 3)
    *_, said = use_preset(in_use, DEFAULT_PRESET, quiet)
    assert "embedded answers now." in said


def test_the_button_that_cancels_is_there_while_a_preset_is_loaded(opened: Application, other: Preset) -> None:
    page = build_app(opened)
    (begin,) = events_of(page, "ask-preset", "input")
    (choose,) = [fn for fn in page.fns.values() if fn.trigger_after == begin._id]
    (stop,) = events_of(page, "ask-cancel", "click")
    assert begin.fn is not None
    assert choose.fn is not None
    assert stop.fn is not None
    request = SimpleNamespace(session_hash="me")
    shown = [values[3] for values in choose.fn(DEFAULT_PRESET, begin.fn(request), request)]
    assert [button.visible for button in shown[:2]] == [True, False]
    assert (shown[0].value, shown[2]) == ("Cancel", gr.skip())
    assert opened.preset.name == DEFAULT_PRESET
    since = begin.fn(request)
    steps = choose.fn("tiny", since, request)
    next(steps)
    assert stop.fn(request).interactive is False
    assert "Cancelled. embedded answers." in next(steps)[0]
    assert next(steps)[1]["value"] == DEFAULT_PRESET
    again = choose.fn("tiny", since, request)  # what was said once more, before the click
    next(again)
    assert "Cancelled. embedded answers." in next(again)[0]


@pytest.fixture
def gradual(opened: Application, monkeypatch: pytest.MonkeyPatch) -> Iterator[list[str]]:
    """What is answered while another preset is loaded."""
    seen: list[str] = []

    def slow(*given: object, **named: object) -> Application:
        *_, parts = answered(opened, None, "what is the capital?", "", 3)
        assert parts[4] is not None
        seen.append(parts[4].preset)
        return open_application(*given, **named)  # type: ignore[arg-type]

    monkeypatch.setattr("rag_app.preset_use.open_application", slow)
    yield seen
    assert seen == ["tiny"]


def test_questions_are_answered_while_a_preset_is_loaded(
    opened: Application, other: Preset, gradual: list[str]
) -> None:
    PresetInUse(opened).use(DEFAULT_PRESET)
    assert opened.preset.name == DEFAULT_PRESET
