"""Which country a passage of World Flags is about."""

from __future__ import annotations

from functools import cache

from knowledge_bases.world_flags.country import load_countries

__all__ = ["country_of"]


def country_of(passage_id: str) -> str:
    """The country's name; empty where the id is not one of World Flags, `wf-<code>-<side>`."""
    mark, _, rest = passage_id.partition("-")
    return _names().get(rest.rpartition("-")[0], "") if mark == "wf" else ""


@cache
def _names() -> dict[str, str]:
    return {code: country.name for code, country in load_countries().items()}
