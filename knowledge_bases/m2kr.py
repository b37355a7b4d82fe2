"""The M2KR benchmark (PreFLMR, arXiv 2402.08327) as records, streamed from the hub or a folder of parquet files."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from knowledge_bases.records import Passage, VqaExample

__all__ = ["M2KR_NAMES", "M2krSource", "example_from_m2kr", "passage_from_m2kr"]

M2KR_NAMES = ("WIT", "IGLUE", "KVQA", "CC", "MSMARCO", "OVEN", "LLaVA", "OKVQA", "Infoseek", "EVQA")
M2KR_CN_NAMES = (*M2KR_NAMES, "mMARCO", "mMARCO_ZH")
M2KR_HUB = "BByrneLab/multi_task_multi_modal_knowledge_retrieval_benchmark_M2KR"
SPLITS = ("train", "valid", "test")
_OTHER_NAMES = {"CC3M": "CC", "INFOSEEK": "Infoseek", "E-VQA": "EVQA", "OK-VQA": "OKVQA", "LLAVA": "LLaVA"}


@dataclass(frozen=True, kw_only=True)
class M2krSource:
    """One dataset of M2KR.

    Attributes:
        name: as the hub writes it, such as `EVQA`.
        split: `train`, `valid` or `test`. Not every dataset has every one.
        chinese: whether it is taken from the Chinese edition.
        folder: parquet files of a copy on disk, under folders named `EVQA_data` and `EVQA_passages` (or in those
            folders' place themselves); None asks the hub.
    """

    name: str
    split: str = "test"
    chinese: bool = False
    folder: Path | None = None

    @classmethod
    def parse(cls, text: str, folder: Path | None = None) -> M2krSource:
        """`m2kr:EVQA`, `m2kr:EVQA_CN`, `m2kr:EVQA/valid`; capitals and the names used in papers (`CC3M`) are forgiven.

        Raises:
            ValueError: it is none of these.
        """
        kind, _, rest = text.partition(":")
        name, _, split = rest.partition("/")
        chinese = name.upper().endswith("_CN")
        name = name[:-3] if chinese else name
        name = _OTHER_NAMES.get(name.upper(), name)
        known = M2KR_CN_NAMES if chinese else M2KR_NAMES
        found = [one for one in known if one.upper() == name.upper()]
        if kind != "m2kr" or not found:
            raise ValueError(f"{text!r} names no dataset; write m2kr:NAME with one of {', '.join(known)}")
        if split and split not in SPLITS:
            raise ValueError(f"M2KR has no split {split!r}; there are {', '.join(SPLITS)}")
        return cls(name=found[0], split=split or "test", chinese=chinese, folder=folder)

    @property
    def slug(self) -> str:
        """A name for a knowledge base made of its passages, such as `m2kr-evqa-test`."""
        return f"m2kr-{self.name}{'-cn' if self.chinese else ''}-{self.split}".lower()

    def passages(self) -> Iterator[Passage]:
        """The passages, one at a time.

        Raises:
            ValueError: the source cannot be read, or a row has other columns; the message has its number.
        """
        rows = self._rows("passages", f"{self.split}_passages")
        return (passage_from_m2kr(row, f"{self.slug}: row {number}") for number, row in enumerate(rows, start=1))

    def examples(self) -> Iterator[VqaExample]:
        """The questions, one at a time.

        Raises:
            ValueError: the source cannot be read, or a row has other columns; the message has its number.
        """
        rows = self._rows("data", self.split)
        return (example_from_m2kr(row, f"{self.slug}: row {number}") for number, row in enumerate(rows, start=1))

    def _rows(self, part: str, split: str) -> Iterator[Mapping[str, Any]]:
        try:
            from datasets import load_dataset
        except ImportError as error:
            raise ValueError("M2KR is read with datasets; install it with `pip install datasets`") from error

        configuration = f"{self.name}_{part}"
        if self.folder is None:
            repository = M2KR_HUB + ("_CN" if self.chinese else "")
            arguments: dict[str, Any] = {"path": repository, "name": configuration, "split": split}
        else:
            files = _parquet_files(self.folder, configuration, split)
            arguments = {"path": "parquet", "data_files": [str(path) for path in files], "split": "train"}
        try:
            yield from load_dataset(streaming=True, **arguments)
        except (OSError, ValueError, KeyError, ConnectionError) as error:
            reason = " ".join(str(error).split())[:200]
            raise ValueError(f"cannot read {configuration} ({split}): {reason}") from error


def _parquet_files(folder: Path, configuration: str, split: str) -> list[Path]:
    """The parquet files of one configuration and split, as the hub lays them out or in a folder by themselves."""
    places = sorted(path for path in folder.rglob(configuration) if path.is_dir())
    if folder.name == configuration:
        places.insert(0, folder)
    for place in places:
        files = sorted(place.rglob("*.parquet"))
        chosen = [path for path in files if path.name.startswith(split) or path.parent.name == split]
        if chosen:
            return chosen
    raise ValueError(f"{folder} has no parquet file of {configuration} for the split {split}")


def passage_from_m2kr(row: Mapping[str, object], place: str = "M2KR row") -> Passage:
    """A row of a `_passages` configuration: passage_id, passage_content. It is indexed as stored, so it has no title.

    Raises:
        ValueError: a column is missing or not text.
    """
    content = _required(row, "passage_content", place)
    return Passage(passage_id=_required(row, "passage_id", place), text=content, source="M2KR")


def example_from_m2kr(row: Mapping[str, object], place: str = "M2KR row") -> VqaExample:
    """A row of a `_data` configuration: question_id, question, instruction, img_path, pos_item_ids, answers.

    The question of an image-captioning row is null, and so is the picture of a text-only row; gold_answer stands in
    for answers where those are missing.

    Raises:
        ValueError: question_id is missing, or a column has the wrong type.
    """
    answers = _list(row, "answers", place)
    gold = _optional(row, "gold_answer", place)
    image = _optional(row, "img_path", place)
    return VqaExample(
        question_id=_required(row, "question_id", place),
        question=_optional(row, "question", place),
        image=Path(image) if image else None,
        answers=answers or ((gold,) if gold else ()),
        pos_passage_ids=_list(row, "pos_item_ids", place),
        question_type=_optional(row, "question_type", place),
        instruction=_optional(row, "instruction", place) or None,
    )


def _required(row: Mapping[str, object], column: str, place: str) -> str:
    text = _optional(row, column, place)
    if not text:
        raise ValueError(f"{place}: no {column}; check that this is the right M2KR configuration")
    return text


def _optional(row: Mapping[str, object], column: str, place: str) -> str:
    value = row.get(column)
    if value is None or isinstance(value, str):
        return value or ""
    raise ValueError(f"{place}: {column} is {type(value).__name__}, not text; check the M2KR configuration")


def _list(row: Mapping[str, object], column: str, place: str) -> tuple[str, ...]:
    value = row.get(column)
    if value is None:
        return ()
    if isinstance(value, (list, tuple)) and all(isinstance(item, str) for item in value):
        return tuple(value)
    raise ValueError(f"{place}: {column} is not a list of texts; check the M2KR configuration")
