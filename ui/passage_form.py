"""What the form of one passage does: its passage is saved or deleted only where it was read from."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

from knowledge_bases.records import Passage
from rag_app import own_knowledge
from rag_app.errors import InputError

__all__ = ["Opened", "add", "checked", "delete", "save"]


@dataclass(frozen=True, kw_only=True)
class Opened:
    """The passage that is in the form.

    Attributes:
        base: name of the knowledge base that it was read from.
        passage_id: its id there.
        picture: the file's name, or its whole path, that the picture's field has while nobody changes it; "" for none.
    """

    base: str
    passage_id: str
    picture: str = ""


def checked(opened: Opened | None, base: str, passage_id: str) -> Opened:
    """The passage in the form, if it is one of the knowledge base that is chosen now.

    Args:
        opened: what was read into the form.
        base: the knowledge base that is chosen now.
        passage_id: the id that is in the form now.

    Raises:
        InputError: no passage was chosen, it is of another knowledge base, or its id was changed.
    """
    if opened is None:
        raise InputError("no passage is chosen; choose a passage first")
    if opened.base != base:
        raise InputError(f"this passage is from {opened.base} and {base} is chosen now; choose a passage first")
    if opened.passage_id != passage_id:
        raise InputError(f"the id was {opened.passage_id!r}; write that again, or add this as a new passage")
    return opened


def save(var: Path, opened: Opened, passage: Passage, picture: str | None) -> Opened:
    """Saves what is in the form; the stored picture stays unless its field was changed.

    Args:
        var: folder of derived data.
        opened: what was read into the form; see `checked`.
        passage: as it is in the form now.
        picture: the path in the picture's field.

    Raises:
        InputError: it is gone, its text is empty, or the picture cannot be used.
    """
    same = picture is not None and opened.picture in (picture, Path(picture).name)
    own_knowledge.edit_passage(
        opened.base,
        var,
        opened.passage_id,
        title=passage.title,
        text=passage.text,
        source=passage.source,
        picture=Path(picture) if picture and not same else None,
        remove_picture=picture is None,
    )
    return replace(opened, picture=picture or "")


def add(var: Path, base: str, passage: Passage, picture: str | None) -> Opened:
    """Adds what is in the form as a new passage.

    Raises:
        InputError: its id is there already or empty, its text is empty, or the picture cannot be used.
    """
    if not passage.passage_id.strip():
        raise InputError("a new passage needs an id; write one")
    own_knowledge.add_passage(base, var, passage, Path(picture) if picture else None)
    return Opened(base=base, passage_id=passage.passage_id, picture=picture or "")


def delete(var: Path, opened: Opened, in_use: tuple[str, ...]) -> int:
    """Deletes the passage in the form. Returns how many are left.

    Raises:
        InputError: it is gone, or it is the last one that questions are answered from.
    """
    if opened.base in in_use and own_knowledge.count_passages(opened.base, var) == 1:
        raise InputError("this is the last passage of the knowledge base in use; use another one first")
    return own_knowledge.delete_passages(opened.base, var, [opened.passage_id])
