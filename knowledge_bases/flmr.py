"""The data that the original FLMR (arXiv:2309.17133) was published with: OK-VQA with regions, objects and captions.

A question comes with the regions of its picture that a detector found, the detected objects, texts read in the picture,
and a caption. The texts become one description between FLMR's markers, in the order of its published example
(`example_use_flmr.py`): objects, then texts, then the caption.
"""

from __future__ import annotations

from collections.abc import Generator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from knowledge_bases.m2kr import passage_from_m2kr
from knowledge_bases.parquet import Row, answers_of, id_of, ids_of, list_of, optional, required, stream_rows
from knowledge_bases.records import Passage, Region, VqaExample

__all__ = ["FlmrSource", "description_of", "example_from_flmr", "region_of"]

HUB = "BByrneLab"
DATA, PASSAGES = "OKVQA_FLMR_preprocessed_data", "OKVQA_FLMR_preprocessed_GoogleSearch_passages"
SPLITS = ("train", "valid", "test")
_MOST_ATTRIBUTES = 3
_LEAST_SCORE = 0.05  # of an attribute


@dataclass(frozen=True, kw_only=True)
class FlmrSource:
    """OK-VQA as FLMR was trained and measured on it, with passages from Google Search.

    Attributes:
        split: `train`, `valid` or `test`.
        folder: parquet files of a copy on disk, under folders named like the repositories; None asks the hub.
    """

    split: str = "test"
    folder: Path | None = None

    @classmethod
    def parse(cls, text: str, folder: Path | None = None) -> FlmrSource:
        """`flmr:OKVQA` or `flmr:OKVQA/valid`.

        Raises:
            ValueError: it is neither.
        """
        kind, _, rest = text.partition(":")
        name, _, split = rest.partition("/")
        if kind != "flmr" or name.upper().replace("-", "") != "OKVQA":
            raise ValueError(f"{text!r} names no data of FLMR; there is flmr:OKVQA")
        if split and split not in SPLITS:
            raise ValueError(f"flmr:OKVQA has no split {split!r}; there are {', '.join(SPLITS)}")
        return cls(split=split or "test", folder=folder)

    @property
    def slug(self) -> str:
        """A name for a knowledge base made of its passages."""
        return f"flmr-okvqa-{self.split}"

    def passages(self) -> Generator[Row]:
        """The rows of the passages, one at a time; `passage_of` makes one of each. Close it when reading ends early.

        Raises:
            ValueError: the source cannot be read.
        """
        return stream_rows(f"{HUB}/{PASSAGES}", PASSAGES, f"{self.split}_passages", folder=self.folder)

    def passage_of(self, row: Row) -> Passage:
        """The passage in a row; see `passage_from_m2kr`."""
        return replace(passage_from_m2kr(row, self.slug), source="FLMR")

    def questions(self) -> Generator[Row]:
        """The rows of the questions, one at a time; `example_of` makes one of each. Close it when reading ends early.

        Raises:
            ValueError: the source cannot be read.
        """
        return stream_rows(f"{HUB}/{DATA}", DATA, self.split, folder=self.folder)

    def example_of(self, row: Row) -> VqaExample:
        """The question in a row; see `example_from_flmr`."""
        return example_from_flmr(row, self.slug)


def example_from_flmr(row: Row, place: str = "FLMR row") -> VqaExample:
    """A row of the questions: question_id, question, img_path, answers, ROIs, objects, img_ocr, img_caption.

    Raises:
        ValueError: a column is missing or has the wrong type.
    """
    return VqaExample(
        question_id=id_of(row, "question_id", place),
        question=required(row, "question", place),
        image=Path(required(row, "img_path", place)),
        answers=answers_of(row, "answers", place),
        pos_passage_ids=ids_of(row, "pos_item_ids", place),
        question_type=optional(row, "question_type", place),
        regions=tuple(region_of(text, place) for text in list_of(row, "ROIs", place)),
        description=description_of(row, place),
    )


def region_of(text: str, place: str = "FLMR row") -> Region:
    """A region from `{img_path}|||{class}_{xmin}_{ymin}_{xmax}_{ymax}`.

    Raises:
        ValueError: it is written in another way.
    """
    label, *box = text.rpartition("|||")[2].rsplit("_", 4)
    try:
        left, top, right, bottom = map(float, box)
    except ValueError as error:
        raise ValueError(f"{place}: ROIs holds {text!r}, which is no path|||class_xmin_ymin_xmax_ymax") from error
    return Region(label=label, box=(left, top, right, bottom))


def description_of(row: Row, place: str = "FLMR row") -> str:
    """`<BOV> attributes class <SOV> ... texts <EOV> <BOC> caption <EOC>`.

    Up to three attributes of an object count, those with a score over 0.05 in their order; a text counts once.

    Raises:
        ValueError: a column has the wrong type.
    """
    words = [word for thing in _things(row, "objects", place) for word in (*_named(thing, place), "<SOV>")]
    texts = (optional(one, "description", place).strip().replace("\n", " ") for one in _things(row, "img_ocr", place))
    caption = row.get("img_caption")
    if isinstance(caption, Mapping):
        caption = caption.get("caption")
    return " ".join(["<BOV>", *words, *dict.fromkeys(texts), "<EOV>", "<BOC>", str(caption or ""), "<EOC>"])


def _named(thing: Row, place: str) -> list[str]:
    pairs = zip(thing.get("attributes") or (), thing.get("attribute_scores") or (), strict=False)
    attributes = [str(name) for name, score in pairs if score > _LEAST_SCORE]
    return [*attributes[:_MOST_ATTRIBUTES], required(thing, "class", place)]


def _things(row: Row, column: str, place: str) -> list[Mapping[str, Any]]:
    values = row.get(column)
    if values is None:
        return []
    if isinstance(values, list) and all(isinstance(value, Mapping) for value in values):
        return list(values)
    raise ValueError(f"{place}: {column} is not a list of objects; check that this is {DATA}")
