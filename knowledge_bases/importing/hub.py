"""Data sets of the Hugging Face hub by their names, streamed: nothing of them is kept but what is taken in."""

from __future__ import annotations

import re
from collections.abc import Generator, Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from types import TracebackType
from typing import Any

from knowledge_bases.importing.items import BadRow, Columns, Entry, ReadSettings, Row, RowError
from knowledge_bases.importing.mapping import resolve_columns
from knowledge_bases.importing.pictures import MOST_BYTES, check_picture
from knowledge_bases.importing.previewing import Preview, previewed
from knowledge_bases.importing.table_entries import TableReader

__all__ = ["HUB_PREFIX", "HubName", "HubSource"]

HUB_PREFIX = "hf:"
_NAME = re.compile(r"([\w-][\w.-]*/[\w-][\w.-]*)(?::([\w-][\w.-]*))?(?:/([\w-][\w.-]*))?")
_PATIENCE = 10  # seconds until the hub counts as out of reach


@dataclass(frozen=True, kw_only=True)
class HubName:
    """What is read of which data set.

    Attributes:
        repository: `user/name`.
        configuration: one of its configurations; empty where it has one alone.
        split: such as `train`.
    """

    repository: str
    configuration: str = ""
    split: str = "train"

    @classmethod
    def parse(cls, text: str) -> HubName:
        """`hf:user/name`, `hf:user/name/test`, `hf:user/name:config/test`; the split is `train` where none is named.

        Raises:
            ValueError: it is none of these.
        """
        found = _NAME.fullmatch(text.strip().removeprefix(HUB_PREFIX))
        if found is None:
            raise ValueError(f"{text!r} names no data set of the hub; write hf:user/name[:config]/split")
        return cls(repository=found[1], configuration=found[2] or "", split=found[3] or "train")

    def __str__(self) -> str:
        configuration = f":{self.configuration}" if self.configuration else ""
        return f"{HUB_PREFIX}{self.repository}{configuration}/{self.split}"

    @property
    def slug(self) -> str:
        """A name for a knowledge base made of it, such as `mills-en-train`."""
        parts = (self.repository.partition("/")[2], self.configuration, self.split)
        return "-".join(filter(None, (re.sub(r"[^a-z0-9]+", "-", part.lower()).strip("-") for part in parts)))


class HubSource:
    """A split of a data set to read passages from, row by row. Use it as a context manager.

    Attributes:
        done: rows read so far.
        total: rows in all; 0 where the data set does not say.
    """

    def __init__(self, name: HubName) -> None:
        """Asks the hub what there is.

        Raises:
            ValueError: the hub cannot be reached, or has no such data set, configuration or split; or it may not be
                read.
        """
        self._name = name
        with _reported(name):
            self._rows_of, self.total = _opened(name)
        self._features: dict[str, Any] = self._rows_of.features or {}
        self._tables = TableReader(self._resolved)
        self.done = 0

    def __enter__(self) -> HubSource:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Nothing stays open but what `items` reads, which closes that itself."""

    @property
    def files(self) -> tuple[str, ...]:
        """What is read."""
        return (str(self._name),)

    def items(self, settings: ReadSettings) -> Generator[Entry | BadRow]:
        """Entries and bad rows in the split's order. Close it when reading ends early.

        Raises:
            ColumnsError: the columns asked for do not fit.
            ValueError: the hub was lost on the way.
        """
        self.done = 0
        with closing(self._rows()) as rows:
            yield from self._tables.entries(
                rows, settings, file=str(self._name), stem=self._name.slug, picture_of=self._picture
            )

    def preview(self, settings: ReadSettings, limit: int = 5) -> Preview:
        """The first entries, and what the columns are taken for.

        Raises:
            ValueError: the hub was lost on the way.
        """
        with closing(self.items(settings)) as items:
            return previewed(items, self._tables, settings, files=self.files, limit=limit)

    def _rows(self) -> Generator[Row]:
        with closing(iter(self._rows_of)) as rows:
            while True:
                with _reported(self._name):
                    values = next(rows, None)
                if values is None:
                    return
                self.done += 1
                yield Row(line=self.done, values=values)

    def _resolved(self, wanted: Columns, names: Sequence[str], file: str) -> Columns:
        """As usual, but a column of texts is no picture unless somebody says so: it mostly holds addresses."""
        found = resolve_columns(wanted, names, file)
        pictured = getattr(self._features.get(found.picture), "dtype", "string") not in ("string", "large_string")
        return found if wanted.picture or pictured else replace(found, picture="")

    def _picture(self, cell: object) -> bytes:
        """What a cell holds, or names among the files of the data set: nothing is fetched from elsewhere."""
        content = cell.get("bytes") if isinstance(cell, dict) else cell
        if isinstance(content, bytes):
            return check_picture(content)
        path = cell.get("path") if isinstance(cell, dict) else cell
        if not isinstance(path, str) or not path.startswith(_inside(self._name)):
            raise RowError("the picture does not lie in the data set; choose another picture column, or none")
        return check_picture(self._read(path), path.rpartition("/")[2])

    def _read(self, path: str) -> bytes:
        from huggingface_hub import HfFileSystem

        with _reported(self._name):
            try:
                with HfFileSystem().open(path, "rb") as file:
                    content: bytes = file.read(MOST_BYTES + 1)
                    return content
            except FileNotFoundError:
                pass
        raise RowError(f"there is no {path.rpartition('/')[2]!r} in the data set; leave the picture column out")


def _opened(name: HubName) -> tuple[Any, int]:
    """The rows, and how many there are; 0 where that is not known."""
    from datasets import load_dataset_builder

    if Path(name.repository).exists():  # datasets would read that instead
        raise ValueError(f"{name.repository} is a folder here as well; give it as a file, or run this elsewhere")
    _check_reachable(name)
    builder = load_dataset_builder(name.repository, name.configuration or None)
    rows = builder.as_streaming_dataset(split=name.split).decode(False)
    split = (builder.info.splits or {}).get(name.split)
    return rows, split.num_examples if split is not None else 0


def _check_reachable(name: HubName) -> None:
    """Asks once, where `datasets` would try for half a minute. Offline, it reads what it keeps of earlier times."""
    from huggingface_hub import HfApi, constants
    from huggingface_hub.errors import HfHubHTTPError

    if constants.HF_HUB_OFFLINE:
        return
    try:
        HfApi().dataset_info(name.repository, timeout=_PATIENCE)
    except HfHubHTTPError:
        raise
    except Exception as error:  # of one HTTP client or another
        raise ConnectionError(_short(error)) from error


def _inside(name: HubName) -> str:
    """How the addresses of its files begin."""
    return f"hf://datasets/{name.repository}@"


@contextmanager
def _reported(name: HubName) -> Iterator[None]:
    """Makes one line of what goes wrong between here and the hub.

    Raises:
        ValueError: something did.
    """
    try:
        yield
    except ImportError as error:
        raise ValueError("the hub is read with datasets; install it with `pip install datasets`") from error
    except Exception as error:  # HTTP, the hub's client, datasets and pyarrow raise errors of many kinds
        raise ValueError(f"cannot read {name}: {_reason(error)}") from error


def _reason(error: Exception) -> str:
    from huggingface_hub.errors import GatedRepoError, RepositoryNotFoundError

    if isinstance(error, GatedRepoError):
        return "its owners want to be asked first; do so on its page, and then `hf auth login`"
    if isinstance(error, RepositoryNotFoundError):
        return "there is no such data set, or you may not read it; check the name, or `hf auth login`"
    if isinstance(error, ConnectionError):
        reason = f"the hub is out of reach ({_short(error)})"
        return f"{reason}; check the connection, or fetch the data set elsewhere and give its folder"
    return _short(error)


def _short(error: Exception) -> str:
    return " ".join(str(error).split())[:200] or type(error).__name__
