"""Rows of M2KR and FLMR, one at a time, from parquet files of the hub or of a folder; and their columns."""

from __future__ import annotations

from collections.abc import Generator, Iterator, Mapping
from contextlib import closing
from pathlib import Path
from typing import Any

__all__ = ["Row", "id_of", "list_of", "optional", "required", "stream_rows"]

Row = Mapping[str, Any]
_ROWS_AT_ONCE = 256


def stream_rows(repository: str, configuration: str, split: str, *, folder: Path | None) -> Generator[Row]:
    """The rows of one split, one at a time. Close it when reading ends early.

    Args:
        repository: hub id of the data set.
        configuration: its part, or the repository's own name where it has no parts.
        split: such as `test` or `test_passages`.
        folder: parquet files of a copy on disk, under a folder named like the configuration (or in its place itself);
            None asks the hub, and keeps its files in the hub's cache.

    Raises:
        ValueError: the source cannot be read.
    """
    try:
        in_folder = None if folder is None else _parquet_files(folder, configuration, split)
        for path in in_folder or _hub_files(repository, configuration, split):
            with closing(_rows_of(path)) as rows:
                yield from rows
    except ImportError as error:
        raise ValueError("M2KR and FLMR are read with datasets; install it with `pip install datasets`") from error
    except (OSError, ValueError, KeyError, ConnectionError) as error:
        reason = " ".join(str(error).split())[:200]
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
        raise ValueError(str(error) or type(error).__name__) from error


def _rows_of(path: Path) -> Generator[Row]:
    """The rows of a file on disk.

    `datasets` would stream them from the hub, but reads ahead through Python's file objects; where the interpreter ends
    meanwhile, it aborts.
    """
    from pyarrow.parquet import ParquetFile

    with ParquetFile(path) as file:
        for batch in file.iter_batches(batch_size=_ROWS_AT_ONCE, use_threads=False):
            yield from batch.to_pylist()


def _parquet_files(folder: Path, configuration: str, split: str) -> list[Path]:
    """The parquet files of one configuration and split, as the hub lays them out or in a folder by themselves."""
    places = sorted(path for path in folder.rglob(configuration) if path.is_dir())
    if folder.name == configuration:
        places.insert(0, folder)
    for place in places:
        files = sorted(place.rglob("*.parquet"))
        chosen = [path for path in files if path.name.startswith(f"{split}-") or path.parent.name == split]
        chosen = chosen or [path for path in files if path.stem == split]
        if chosen:
            return chosen
    raise FileNotFoundError(f"{folder} has no parquet file of {configuration} for the split {split}")


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
        ValueError: it is missing or something else.
    """
    value = row.get(column)
    return str(value) if isinstance(value, int) and not isinstance(value, bool) else required(row, column, place)


def optional(row: Row, column: str, place: str) -> str:
    """A text; "" where it is missing.

    Raises:
        ValueError: it is no text.
    """
    value = row.get(column)
    if value is None or isinstance(value, str):
        return value or ""
    raise ValueError(f"{place}: {column} is {type(value).__name__}, not text; check the configuration")


def list_of(row: Row, column: str, place: str) -> tuple[str, ...]:
    """A list of texts; empty where it is missing.

    Raises:
        ValueError: it is something else.
    """
    value = row.get(column)
    if value is None:
        return ()
    if isinstance(value, (list, tuple)) and all(isinstance(item, str) for item in value):
        return tuple(value)
    raise ValueError(f"{place}: {column} is not a list of texts; check the configuration")
