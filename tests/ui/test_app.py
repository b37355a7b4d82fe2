from __future__ import annotations

import json
import urllib.request

from rag_app.assembly import Application
from rag_app.serving import PageSettings
from ui.app import build_app


def test_events_have_names(application: Application) -> None:
    page = build_app(application)
    named = {fn.api_name: fn for fn in page.fns.values() if fn.api_visibility == "public"}
    assert set(named) == {"ask", "explain", "feedback"}
    assert page._queue.max_size == PageSettings().max_waiting
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
