from __future__ import annotations

import json
import urllib.request

import gradio as gr
import pytest

from rag_app.assembly import Application
from rag_app.config import DEFAULT_PRESET, Preset, preset_names
from rag_app.serving import PageSettings
from ui.about_tab import preset_table
from ui.app import build_app
from ui.queues import CHANGING, FEEDBACK, LOADING, MODELS, READING


def test_events_have_names(application: Application) -> None:
    page = build_app(application)
    named = {fn.api_name: fn for fn in page.fns.values() if fn.api_visibility == "public"}
    own = {name for name in named if not str(name).startswith("kb_")}
    asking = {"ask", "explain", "entities", "correct", "answer_without_passages", "feedback", "feedback_export"}
    evaluating = {"evaluate", "evaluations", "compare_evaluations", "delete_evaluation"}
    assert own == asking | evaluating | {"presets", "use_preset"}
    assert page._queue.max_size == PageSettings().max_waiting
    assert page.analytics_enabled is False
    assert page.delete_cache is not None


def test_what_only_looks_does_not_wait_for_what_else_looks(application: Application) -> None:
    events = build_app(application).fns.values()
    for queue in (MODELS, READING, CHANGING, LOADING, FEEDBACK):  # gradio takes the lowest limit of a queue's events
        limits = {fn.concurrency_limit for fn in events if fn.concurrency_id == queue["concurrency_id"]}
        assert limits == {queue["concurrency_limit"]}
    assert READING["concurrency_limit"] > 1


def test_the_page_needs_no_network(address: str) -> None:
    """Nothing that the page loads at once lies on another host (links to follow and previews for others may)."""
    with urllib.request.urlopen(address) as response:
        html = response.read().decode("utf-8")
    with urllib.request.urlopen(f"{address}/config") as response:
        config = json.load(response)
    assert "fonts.googleapis.com" not in html
    assert "cdnjs" not in html
    assert not [sheet for sheet in config.get("stylesheets") or [] if sheet.startswith("http")]


def test_presets_are_listed_with_what_keeps_them_from_running(monkeypatch: pytest.MonkeyPatch) -> None:
    def none_but_the_default(preset: Preset) -> str:
        return "" if preset.name == DEFAULT_PRESET else "it needs <a GPU>"

    monkeypatch.setattr("ui.about_tab.cannot_run", none_but_the_default)
    table = preset_table(DEFAULT_PRESET)
    assert table.count("<tr") == 1 + len(preset_names())
    assert table.count("runs now") == 1
    assert table.count("cannot run: it needs &lt;a GPU&gt;") == len(preset_names()) - 1
    assert "can run<" in preset_table("mine")
    assert "at the top of Ask" in table


def test_text_fields_of_the_page_start_empty_and_not_as_nothing(application: Application) -> None:
    """Gradio hands None over for a field without a value that nobody touched; the question alone must be given."""
    fields = [block for block in build_app(application).blocks.values() if isinstance(block, gr.Textbox)]
    unset = {field.label for field in fields if field.visible and field.value is None}
    assert unset <= {"Question"}
