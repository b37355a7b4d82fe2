"""Rows of M2KR and FLMR, one at a time, from parquet files of the hub or of a folder; and their columns."""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from contextlib import closing
from math import isnan
from pathlib import Path
from textwrap import shorten
from typing import Any

__all__ = ["Row", "answer_of", "answers_of", "id_of", "ids_of", "list_of", "optional", "required", "stream_rows"]

Row = Mapping[str, Any]
_ROWS_AT_ONCE = 256
_MOST_CHARACTERS = 1000  # of an error
_ADVICE = "check the configuration"


def stream_rows(
    repository: str, configuration: str, split: str, *, folder: Path | None, others: Sequence[str] = ()
) -> Generator[Row]:
    """The rows of one split, one at a time. Close it when reading ends early.

    Args:
        repository: hub id of the data set.
        configuration: its part, or the repository's own name where it has no parts.
        split: such as `test` or `test_passages`.
        folder: parquet files of a copy on disk, under a folder named like the configuration (or in its place itself);
            None asks the hub, and keeps its files in the hub's cache. Where several of its folders are, one in a folder
            named like the repository (or like the end of its name, `M2KR_CN`) goes before others, then the nearest.
        others: repositories with parts of the same names. What lies in a folder named like one of them is not read.

    Raises:
        ValueError: the source cannot be read.
    """
    try:
        in_folder = None if folder is None else _parquet_files(folder, repository, configuration, split, others)
        for path in in_folder or _hub_files(repository, configuration, split):
            with closing(_rows_of(path)) as rows:
                yield from rows
    except ImportError as error:
        raise ValueError("M2KR and FLMR are read with datasets; install it with `pip install datasets`") from error
    except (OSError, ValueError, KeyError, ConnectionError) as error:
        reason = " ".join(str(error).split())[:_MOST_CHARACTERS]
        raise ValueError(f"cannot read {configuration} ({split}): {reason}") from error


def _hub_files(repository: str, configuration: str, split: str) -> Iterator[Path]:
    """The parquet files of one configuration and split, each fetched when it is asked for."""
    from datasets import DownloadManager, load_dataset_builder

    name = None if repository.endswith(f"/{configuration}") else configuration
    try:
        files = load_dataset_builder(repository, name).config.data_files
        if split not in files:
            raise ValueError(f"there is no such split; there are {', '.join(map(str, files))}")
        for address in files[split]:
            yield Path(DownloadManager(record_checksums=False).download(address))
    except Exception as error:  # of the hub's libraries, or of whatever HTTP client they use
        raise ValueError((" ".join(str(error).split()) or type(error).__name__)[:200]) from error


def _rows_of(path: Path) -> Generator[Row]:
    """The rows of a file on disk.

    `datasets` would stream them from the hub, but reads ahead through Python's file objects; where the interpreter ends
    meanwhile, it aborts.
    """
    from pyarrow.parquet import ParquetFile

    with ParquetFile(path) as file:
        for batch in file.iter_batches(batch_size=_ROWS_AT_ONCE, use_threads=False):
            yield from batch.to_pylist()


def _parquet_files(folder: Path, repository: str, configuration: str, split: str, others: Sequence[str]) -> list[Path]:
    """The parquet files of one configuration and split, as the hub lays them out or in a folder by themselves."""
    places = [path for path in folder.rglob(configuration) if path.is_dir() and not _is_in(path, folder, others)]
    if folder.name == configuration:
        places.append(folder)
    found: dict[tuple[bool, int], list[tuple[Path, list[Path]]]] = {}
    for place in sorted(places):
        if files := _files_of_split(place, split):
            rank = place != folder and not _is_in(place, folder, [repository]), len(place.relative_to(folder).parts)
            found.setdefault(rank, []).append((place, files))
    if not found:
        copies = ", ".join(name.rpartition("/")[2] for name in others)
        passed_over = f" (folders named {copies} are passed over)" if copies else ""
        raise FileNotFoundError(f"{folder} has no parquet file of {configuration} for the split {split}{passed_over}")
    best = found[min(found)]
    if len(best) > 1:
        places_found = ", ".join(str(place.relative_to(folder)) for place, _ in best)
        raise ValueError(f"{folder} holds it in several places; give one of these folders: {places_found}")
    return best[0][1]


def _is_in(place: Path, folder: Path, repositories: Sequence[str]) -> bool:
    """Whether a place, or a folder above it within `folder`, is called like one of the repositories."""
    names = [name.rpartition("/")[2].lower() for name in repositories]
    parts = [part.lower().replace("-", "_") for part in place.relative_to(folder).parts]
    return any(part.endswith(f"_{name}") or f"_{name}".endswith(f"_{part}") for part in parts for name in names)


def _files_of_split(place: Path, split: str) -> list[Path]:
    files = sorted(place.rglob("*.parquet"))
    chosen = [path for path in files if path.name.startswith(f"{split}-") or path.parent.name == split]
    return chosen or [path for path in files if path.stem == split]


def required(row: Row, column: str, place: str) -> str:
    """A text that must be there.

    Raises:
        ValueError: it is missing, empty or no text.
    """
    text = optional(row, column, place)
    if not text:
        raise ValueError(f"{place}: no {column}; check that this is the right configuration")
    return text


def id_of(row: Row, column: str, place: str) -> str:
    """An id that must be there: a text, or a whole number.

    Raises:
        ValueError: it is missing or something else; the message names what the column holds.
    """
    value = row.get(column)
    if value is None or value == "":
        return required(row, column, place)
    if not _is_id(value):
        raise ValueError(f"{place}: {column} holds {_kind(value)}, not a text or a whole number; {_ADVICE}")
    return str(value)


def optional(row: Row, column: str, place: str) -> str:
    """A text; "" where it is missing.

    Raises:
        ValueError: it is no text; the message names what the column holds.
    """
    value = row.get(column)
    if value is None or isinstance(value, str):
        return value or ""
    raise ValueError(f"{place}: {column} is {type(value).__name__}, not text; {_ADVICE}")


def list_of(row: Row, column: str, place: str) -> tuple[str, ...]:
    """A list of texts; empty where it is missing.

    Raises:
        ValueError: it is something else; the message names what the column holds.
    """
    return tuple(map(str, _items(row, column, place, lambda item: isinstance(item, str), "texts")))


def ids_of(row: Row, column: str, place: str) -> tuple[str, ...]:
    """A list of ids, each a text or a whole number; empty where it is missing.

    Raises:
        ValueError: it is something else; the message names what the column holds.
    """
    return tuple(map(str, _items(row, column, place, _is_id, "texts or whole numbers")))


def answers_of(row: Row, column: str, place: str) -> tuple[str, ...]:
    """A list of texts or numbers, these written as Python does (`1.0`); empty where it is missing.

    Nulls in it, and what is no number (NaN), are passed over.

    Raises:
        ValueError: it is something else; the message names what the column holds.
    """
    items = _items(row, column, place, lambda item: _is_nothing(item) or _is_answer(item), "texts or numbers")
    return tuple(str(item) for item in items if not _is_nothing(item))


def answer_of(row: Row, column: str, place: str) -> str:
    """A text or a number; "" where it is missing.

    Raises:
        ValueError: it is something else; the message names what the column holds.
    """
    value = row.get(column)
    if _is_nothing(value):
        return ""
    if not _is_answer(value):
        raise ValueError(f"{place}: {column} holds {_kind(value)}, not a text or a number; {_ADVICE}")
    return str(value)


def _items(row: Row, column: str, place: str, is_good: Callable[[Any], bool], wanted: str) -> Sequence[Any]:
    value = row.get(column)
    if value is None:
        return ()
    if isinstance(value, (list, tuple)) and all(map(is_good, value)):
        return value
    raise ValueError(f"{place}: {column} is not a list of {wanted} but {_kind(value)}; {_ADVICE}")


def _is_id(value: object) -> bool:
    return isinstance(value, (str, int)) and not isinstance(value, bool)


def _is_answer(value: object) -> bool:
    return isinstance(value, (str, int, float)) and not isinstance(value, bool)


def _is_nothing(value: object) -> bool:
    """Whether it is null, or NaN, which some tables have in its place."""
    return value is None or (isinstance(value, float) and isnan(value))


def _kind(value: object) -> str:
    """What a value is, for people: `a list of float and null`."""
    if isinstance(value, (list, tuple)):
        kinds = dict.fromkeys("null" if item is None else type(item).__name__ for item in value)
        return f"a list of {' and '.join(kinds)}" if kinds else "an empty list"
    return "null" if value is None else f"{type(value).__name__} ({shorten(str(value), 40)})"
