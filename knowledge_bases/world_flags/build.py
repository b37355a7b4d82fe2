"""Rebuilds the committed files of World Flags: `python -m knowledge_bases.world_flags.build [--check]`."""

from __future__ import annotations

import argparse
import dataclasses
import json
import sys
from collections.abc import Iterable, Mapping
from pathlib import Path

from knowledge_bases.records import Passage
from knowledge_bases.world_flags.country import CountryFacts
from knowledge_bases.world_flags.passages import write_passages
from knowledge_bases.world_flags.questions import build_own_words, build_split

__all__ = ["build_files", "main"]

HERE = Path(__file__).parent


def build_files() -> dict[str, str]:
    """The text of every committed file that is built, by its path below this folder."""
    from knowledge_bases.world_flags.facts import assemble_all  # build-time libraries

    countries = assemble_all()
    by_code = {country.code: country for country in countries}
    return {
        "facts.jsonl": "".join(country.to_json() + "\n" for country in countries),
        "passages.jsonl": passage_lines(countries),
        **{f"questions/{split}.jsonl": row_lines(build_split(by_code, split)) for split in ("validation", "test")},
        "questions/own_words.jsonl": row_lines(build_own_words(by_code)),
    }


def row_lines(rows: Iterable[Mapping[str, object]]) -> str:
    """The rows of a dataset as JSON lines."""
    return "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows)


def passage_lines(countries: Iterable[CountryFacts]) -> str:
    """The passages of some countries as JSON lines."""
    return "".join(_passage_line(passage) for country in countries for passage in write_passages(country))


def _passage_line(passage: Passage) -> str:
    return json.dumps(dataclasses.asdict(passage), ensure_ascii=False) + "\n"


def main(arguments: list[str] | None = None) -> int:
    """Writes the files, or with --check compares them. Returns 0, or 1 if a file differs."""
    parser = argparse.ArgumentParser(description="Rebuild the committed files of World Flags.")
    parser.add_argument("--check", action="store_true", help="compare with what is committed, write nothing")
    check = parser.parse_args(arguments).check
    differing = []
    for name, text in build_files().items():
        path = HERE / name
        if check and (not path.exists() or path.read_bytes() != text.encode("utf-8")):
            differing.append(name)
        elif not check:
            path.parent.mkdir(exist_ok=True)
            path.write_bytes(text.encode("utf-8"))
    if differing:
        sys.stderr.write(f"built differently: {', '.join(differing)}; run without --check to write them anew\n")
    return 1 if differing else 0


if __name__ == "__main__":
    raise SystemExit(main())
