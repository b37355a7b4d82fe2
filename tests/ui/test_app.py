from __future__ import annotations

import json
import urllib.request
from pathlib import Path

from rag_app.assembly import Application
from ui.app import MAX_WAITING, build_app


def test_events_have_names(application: Application) -> None:
    page = build_app(application)
    named = {fn.api_name: fn for fn in page.fns.values() if fn.api_visibility == "public"}
    assert set(named) == {"ask"}
    assert page._queue.max_size == MAX_WAITING
    assert page.analytics_enabled is False
    assert page.delete_cache is not None


def test_the_page_needs_no_network(address: str) -> None:
    """Nothing that the page loads at once lies on another host (links to follow and previews for others may)."""
    with urllib.request.urlopen(address) as response:
        html = response.read().decode("utf-8")
    with urllib.request.urlopen(f"{address}/config") as response:
        config = json.load(response)
    assert "fonts.googleapis.com" not in html
    assert "cdnjs" not in html
    assert not [sheet for sheet in config.get("stylesheets") or [] if sheet.startswith("http")]


def test_asking_over_http(address: str, tmp_path: Path) -> None:
    from gradio_client import Client, handle_file  # type: ignore[import-untyped]

    from tests.tiny import save_picture

    client = Client(address, verbose=False, download_files=str(tmp_path))
    picture = save_picture(tmp_path / "red.png")
    answer, passages, timings = client.predict(handle_file(str(picture)), "what is the capital?", api_name="/ask")
    assert 'data-state="a' in answer  # answered or abstained
    assert passages.count('class="card passage"') == 3
    assert "in all" in timings
    _, passages, _ = client.predict(None, "what is the capital?", "Find the people", 5, api_name="/ask")
    assert passages.count('class="card passage"') == 5


def test_bad_input_over_http(address: str, tmp_path: Path, broken_picture: Path) -> None:
    from gradio_client import Client, handle_file

    client = Client(address, verbose=False, download_files=str(tmp_path))
    answer, passages, _ = client.predict(handle_file(str(broken_picture)), "what?", api_name="/ask")
    assert "The file is not a picture that can be read" in answer
    assert passages == ""
    answer, _, _ = client.predict(None, "  ", api_name="/ask")
    assert "The question is empty" in answer
    answer, _, _ = client.predict(None, "what?", "find the page " * 20, api_name="/ask")
    assert "nothing of the question is read" in answer
