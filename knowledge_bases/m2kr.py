"""The M2KR benchmark (PreFLMR, arXiv 2402.08327) as records, from the hub or a folder of parquet files."""

from __future__ import annotations

from collections.abc import Generator
from dataclasses import dataclass
from pathlib import Path

from knowledge_bases.parquet import Row, answer_of, answers_of, id_of, ids_of, optional, required, stream_rows
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
            folders' place themselves); None asks the hub. Where it holds both editions, that in a folder named like
            the hub's repository, `M2KR` or `M2KR_CN`, is read.
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

    def passages(self) -> Generator[Row]:
        """The rows of the passages, one at a time; `passage_of` makes one of each. Close it when reading ends early.

        Raises:
            ValueError: the source cannot be read.
        """
        return self._rows("passages", f"{self.split}_passages")

    def passage_of(self, row: Row) -> Passage:
        """The passage in a row; see `passage_from_m2kr`."""
        return passage_from_m2kr(row, self.slug)

    def questions(self) -> Generator[Row]:
        """The rows of the questions, one at a time; `example_of` makes one of each. Close it when reading ends early.

        Raises:
            ValueError: the source cannot be read.
        """
        return self._rows("data", self.split)

    def example_of(self, row: Row) -> VqaExample:
        """The question in a row; see `example_from_m2kr`."""
        return example_from_m2kr(row, self.slug)

    def _rows(self, part: str, split: str) -> Generator[Row]:
        editions = M2KR_HUB, f"{M2KR_HUB}_CN"
        asked, other = reversed(editions) if self.chinese else editions
        return stream_rows(asked, f"{self.name}_{part}", split, folder=self.folder, others=[other])


def passage_from_m2kr(row: Row, place: str = "M2KR row") -> Passage:
    """A row of a `_passages` configuration: passage_id, passage_content. It is indexed as stored, so it has no title.

    Raises:
        ValueError: a column is missing or not text (passage_id: nor a whole number).
    """
    content = required(row, "passage_content", place)
    return Passage(passage_id=id_of(row, "passage_id", place), text=content, source="M2KR")


def example_from_m2kr(row: Row, place: str = "M2KR row") -> VqaExample:
    """A row of a `_data` configuration: question_id, question, instruction, img_path, pos_item_ids, answers.

    The question of an image-captioning row is null, and so is the picture of a text-only row; gold_answer stands in
    for answers where those are missing. Ids may be whole numbers and answers numbers, which are taken as texts; a null
    among the answers is passed over.

    Raises:
        ValueError: question_id is missing, or a column has the wrong type.
    """
    answers = answers_of(row, "answers", place)
    gold = answer_of(row, "gold_answer", place)
    image = optional(row, "img_path", place)
    return VqaExample(
        question_id=id_of(row, "question_id", place),
        question=optional(row, "question", place),
        image=Path(image) if image else None,
        answers=answers or ((gold,) if gold else ()),
        pos_passage_ids=ids_of(row, "pos_item_ids", place),
        question_type=optional(row, "question_type", place),
        instruction=optional(row, "instruction", place) or None,
    )
