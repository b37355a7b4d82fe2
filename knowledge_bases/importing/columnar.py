"""Rows of parquet and Arrow files, as Hugging Face datasets are kept in."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, BinaryIO

from knowledge_bases.importing.items import Row

__all__ = ["arrow_rows", "parquet_rows"]

_ROWS_AT_ONCE = 1024
RowsDone = Callable[[int, int], None]


def parquet_rows(stream: BinaryIO, done: RowsDone) -> Iterator[Row]:
    """Rows of a parquet file.

    Args:
        stream: the file.
        done: told (rows read, rows in all).

    Raises:
        ValueError: it is no parquet file, or pyarrow is not installed.
    """
    pyarrow = _pyarrow()
    import pyarrow.parquet as parquet

    try:
        table = parquet.ParquetFile(stream)
        yield from _rows(table.iter_batches(batch_size=_ROWS_AT_ONCE), table.metadata.num_rows, done)
    except (pyarrow.ArrowException, OSError) as error:
        raise ValueError(f"not a parquet file that can be read ({_short(error)}); fetch it again") from error


def arrow_rows(stream: BinaryIO, done: RowsDone) -> Iterator[Row]:
    """Rows of an Arrow file, as `datasets` writes with `save_to_disk`; otherwise as `parquet_rows`.

    Raises:
        ValueError: it is no Arrow file, or pyarrow is not installed.
    """
    pyarrow = _pyarrow()
    try:
        batches = pyarrow.ipc.open_stream(stream)
    except pyarrow.ArrowInvalid:
        stream.seek(0)
        try:
            opened = pyarrow.ipc.open_file(stream)
        except pyarrow.ArrowException as error:
            raise ValueError(
                f"not an Arrow file that can be read ({_short(error)}); save the data set again"
            ) from error
        batches = (opened.get_batch(number) for number in range(opened.num_record_batches))
    try:
        yield from _rows(batches, 0, done)
    except (pyarrow.ArrowException, OSError) as error:
        raise ValueError(f"the file is damaged ({_short(error)}); fetch it again") from error


def _rows(batches: Iterator[Any], total: int, done: RowsDone) -> Iterator[Row]:
    line = 0
    for batch in batches:
        for values in batch.to_pylist():
            line += 1
            yield Row(line=line, values=values)
        done(line, total)


def _pyarrow() -> Any:  # noqa: ANN401 - a module
    try:
        import pyarrow
        import pyarrow.ipc
    except ImportError as error:
        raise ValueError(
            "parquet and Arrow files are read with pyarrow; install it with `pip install pyarrow`"
        ) from error
    return pyarrow


def _short(error: Exception) -> str:
    return " ".join(str(error).split())[:200]
