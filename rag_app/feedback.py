"""What people thought of answers, kept in SQLite, and written out as a dataset that `evaluate` asks."""

from __future__ import annotations

import io
import json
import secrets
import shutil
import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import astuple, dataclass, fields
from datetime import datetime, timezone
from pathlib import Path

from PIL import Image

from rag_app.atomic import write_text
from rag_app.errors import InputError, reported_as_input

__all__ = ["MOST_TEXT", "Feedback", "FeedbackStore", "export", "feedback_path", "packed", "picture_bytes"]

MOST_TEXT = 2_000  # characters of a reason or an answer
_LONGEST_SIDE = 1024  # pixels of a picture that is kept
_ANNOTATORS = 10  # VQA accuracy leaves one answer out and needs three that agree: one person's counts as all ten


@dataclass(frozen=True, kw_only=True)
class Feedback:
    """One person's word on one answer.

    Attributes:
        feedback_id: of the answer; another word on the same answer takes the place of the first.
        given: when, in UTC (ISO 8601).
        right: whether the answer was right.
        question: what was asked.
        instruction: of the retrieval; "" is the default.
        answer: what was answered.
        reason: in the person's words; may be empty.
        right_answer: what would have been right; may be empty.
        passage_id: of the passage that the answer was read from; may be empty.
        knowledge_base: that was asked.
        preset: that answered.
        picture: a JPEG; empty for a question in words alone.
    """

    feedback_id: str
    given: str
    right: bool
    question: str
    instruction: str = ""
    answer: str = ""
    reason: str = ""
    right_answer: str = ""
    passage_id: str = ""
    knowledge_base: str = ""
    preset: str = ""
    picture: bytes = b""

    def __post_init__(self) -> None:
        for name in ("reason", "right_answer", "answer"):
            if len(getattr(self, name)) > MOST_TEXT:
                raise InputError(f"the {name.replace('_', ' ')} is longer than {MOST_TEXT:,} characters; shorten it")

    @staticmethod
    def new_id() -> str:
        """An id for the feedback on an answer that has none."""
        return secrets.token_hex(8)

    @staticmethod
    def now() -> str:
        """The value of `given` for something said now."""
        return datetime.now(timezone.utc).isoformat(timespec="seconds")


_COLUMNS = tuple(field.name for field in fields(Feedback))


class FeedbackStore:
    """A file of feedback. Any thread and any process may use it: each call has a connection of its own."""

    def __init__(self, path: Path) -> None:
        """Names the file; it is made when something is first kept."""
        self.path = path

    def keep(self, feedback: Feedback) -> None:
        """Adds or replaces one person's word, and has it on disk before it returns.

        Raises:
            InputError: the file cannot be written.
        """
        with reported_as_input(f"feedback {self.path}", kinds=(OSError,)):
            self.path.parent.mkdir(parents=True, exist_ok=True)
        places = ", ".join("?" * len(_COLUMNS))
        with self._connected() as connection, connection:
            connection.execute(f"INSERT OR REPLACE INTO feedback VALUES ({places})", astuple(feedback))

    def __iter__(self) -> Iterator[Feedback]:
        """Everything that was said, the earliest first.

        Raises:
            InputError: the file is damaged.
        """
        if not self.path.exists():
            return
        with self._connected() as connection:
            rows = connection.execute(f"SELECT {', '.join(_COLUMNS)} FROM feedback ORDER BY given, rowid").fetchall()
        for row in rows:
            values = dict(zip(_COLUMNS, row, strict=True))
            yield Feedback(**{**values, "right": bool(values["right"])})

    @contextmanager
    def _connected(self) -> Iterator[sqlite3.Connection]:
        with (
            reported_as_input(f"feedback {self.path}", kinds=(sqlite3.Error,)),
            closing(sqlite3.connect(self.path, timeout=10)) as connection,
        ):
            connection.execute("PRAGMA journal_mode = WAL")
            connection.execute(
                f"CREATE TABLE IF NOT EXISTS feedback ({', '.join(_COLUMNS)}, PRIMARY KEY ({_COLUMNS[0]}))"
            )
            yield connection


def feedback_path(var: Path) -> Path:
    """Where the feedback lies."""
    return var / "feedback.sqlite"


def picture_bytes(image: Image.Image | None) -> bytes:
    """A picture as it is kept: a JPEG of at most 1,024 pixels a side; empty for none."""
    if image is None:
        return b""
    small = image.copy()
    small.thumbnail((_LONGEST_SIDE, _LONGEST_SIDE))
    stream = io.BytesIO()
    small.save(stream, "JPEG", quality=90)
    return stream.getvalue()


def export(store: FeedbackStore, output: Path) -> Path:
    """Writes `questions.jsonl` and `pictures/`, which `evaluate --dataset ... --images ...` reads.

    An answer that was called right is the expected answer, and its passage a right one; of an answer that was called
    wrong, what the person gave instead. Where they gave nothing the row has no answers: it is asked and not scored.

    Args:
        store: of the feedback.
        output: a folder; made where it is missing.

    Returns:
        The questions' file.

    Raises:
        InputError: there is no feedback, or the folder cannot be written.
    """
    everything = list(store)
    if not everything:
        raise InputError(f"there is no feedback in {store.path} yet; it is given with the thumbs on the page")
    questions = output / "questions.jsonl"
    with reported_as_input(f"output folder {output}", kinds=(OSError,)):
        (output / "pictures").mkdir(parents=True, exist_ok=True)
        for number, one in enumerate(everything):
            if one.picture:
                (output / "pictures" / _picture_name(number)).write_bytes(one.picture)
        lines = [json.dumps(_row(number, one), ensure_ascii=False) + "\n" for number, one in enumerate(everything)]
        write_text(questions, "".join(lines))
    return questions


def packed(store: FeedbackStore, folder: Path) -> Path:
    """A zip archive, in a new folder, of what `export` writes.

    Raises:
        InputError: there is no feedback, or the folder cannot be written.
    """
    output = folder / "feedback"
    export(store, output)
    with reported_as_input(f"output folder {folder}", kinds=(OSError,)):
        archive = shutil.make_archive(str(output), "zip", folder, output.name)
        shutil.rmtree(output)
    return Path(archive)


def _picture_name(number: int) -> str:
    return f"{number:05}.jpg"


def _row(number: int, one: Feedback) -> dict[str, object]:
    expected = one.answer if one.right else one.right_answer
    row: dict[str, object] = {
        "question_id": one.feedback_id,
        "image": _picture_name(number) if one.picture else None,
        "question": one.question,
        "answers": [expected] * _ANNOTATORS if expected else [],
        "pos_passage_ids": [one.passage_id] if one.right and one.passage_id else [],
        "question_type": "called right" if one.right else "called wrong",
        "given_answer": one.answer,
        "reason": one.reason,
        "given": one.given,
        "knowledge_base": one.knowledge_base,
        "preset": one.preset,
    }
    return row | ({"instruction": one.instruction} if one.instruction else {})
