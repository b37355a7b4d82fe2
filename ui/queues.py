"""The queues of the page's events, and how many events of each run at a time.

Gradio takes the lowest limit that any event of an id gives, so both stand here alone.
"""

from __future__ import annotations

from typing import Any

__all__ = ["CHANGING", "FEEDBACK", "LOADING", "MODELS", "READING"]

MODELS: dict[str, Any] = {"concurrency_id": "models", "concurrency_limit": 1}  # they make the models work
READING: dict[str, Any] = {"concurrency_id": "reading", "concurrency_limit": 4}  # they look at what is there
CHANGING: dict[str, Any] = {"concurrency_id": "knowledge", "concurrency_limit": 1}  # they change a knowledge base
LOADING: dict[str, Any] = {"concurrency_id": "loading", "concurrency_limit": 1}  # they change what answers
FEEDBACK: dict[str, Any] = {"concurrency_id": "feedback", "concurrency_limit": 1}
