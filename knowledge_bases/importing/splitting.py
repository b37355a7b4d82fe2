"""Splits long texts into passages at the ends of sentences."""

from __future__ import annotations

import re
from collections.abc import Iterator

__all__ = ["sentences", "split"]

# A full stop, of any script, ends a sentence before a space and something that can begin one; CJK stops need no space.
_END = re.compile(r"(?:(?<=[.!?…؟۔।॥։።။។])[\"'”’»)\]]*\s+(?=[\"'“‘«(\[]?[^\Wa-z_])|(?<=[。！？])|\n{2,})")
_NO_END = re.compile(
    r"(?:\b(?:[A-Z]|[Mm]rs?|[Mm]s|[Dd]r|[Pp]rof|[Ss]t|vs|[Ff]ig|[Nn]o|[Vv]ol|ca|cf|al|[Jj]r|[Ss]r|[Ii]nc|[Ll]td|[Cc]o|"
    r"e\.g|i\.e|[Aa]pprox|[Ss]ept?|[Jj]an|[Ff]eb|[Mm]ar|[Aa]pr|[Aa]ug|[Oo]ct|[Nn]ov|[Dd]ec)\.)\s*$"
)
_WIDE = re.compile(r"[\u3040-\u30ff\u3400-\u9fff\uac00-\ud7af]")
_Counted = tuple[str, int]  # a sentence and its words
_WIDE_A_WORD = 2  # characters of a script without spaces that count as one word


def sentences(text: str) -> list[str]:
    """The sentences of a text, without the space between them. An empty line ends a sentence too."""
    found: list[str] = []
    start = 0
    for match in _END.finditer(text):
        piece = text[start : match.end()]
        if "\n\n" not in match.group() and _NO_END.search(piece):
            continue
        found.append(piece.strip())
        start = match.end()
    found.append(text[start:].strip())
    return [sentence for sentence in found if sentence]


def split(text: str, *, words: int, overlap: int = 0) -> list[str]:
    """Passages of at most so many words, cut between sentences.

    A sentence that is longer by itself is cut between words. Two Chinese, Japanese or Korean characters count as a
    word.

    Args:
        text: any text.
        words: most words a passage; 0 gives the whole text.
        overlap: sentences that each passage repeats from the end of the one before; fewer where they would fill more
            than half of it.

    Returns:
        the passages in their order; none for a blank text.
    """
    text = text.strip()
    if words < 1 or _length(text) <= words:
        return [text] if text else []
    passages: list[str] = []
    current: list[_Counted] = []
    fresh = False  # whether `current` holds more than what it repeats
    for sentence in _short_sentences(text, words):
        if fresh and _total(current) + sentence[1] > words:
            passages.append(_joined(current))
            current = _repeated(current, overlap, words // 2)
            while current and _total(current) + sentence[1] > words:
                current = current[1:]
        current, fresh = [*current, sentence], True
    return [*passages, _joined(current)]


def _short_sentences(text: str, words: int) -> Iterator[_Counted]:
    for sentence in sentences(text):
        length = _length(sentence)
        if length <= words:
            yield " ".join(sentence.split()), length
        else:
            yield from ((piece, _length(piece)) for piece in _cut(sentence, words))


def _cut(sentence: str, words: int) -> list[str]:
    """Pieces of at most so many words of a sentence that is longer than that."""
    step = words * _WIDE_A_WORD
    parts: list[str] = []
    for part in sentence.split():
        parts += [part] if _length(part) <= words else [part[at : at + step] for at in range(0, len(part), step)]
    pieces: list[str] = []
    current: list[str] = []
    length = 0
    for part in parts:
        if current and length + _length(part) > words:
            pieces.append(" ".join(current))
            current, length = [], 0
        current.append(part)
        length += _length(part)
    return [*pieces, " ".join(current)]


def _repeated(before: list[_Counted], overlap: int, most: int) -> list[_Counted]:
    kept = before[max(0, len(before) - overlap) :] if overlap else []
    while kept and _total(kept) > most:
        kept = kept[1:]
    return kept


def _total(counted: list[_Counted]) -> int:
    return sum(length for _, length in counted)


def _joined(counted: list[_Counted]) -> str:
    return " ".join(sentence for sentence, _ in counted)


def _length(text: str) -> int:
    """Words; rounded up, so that a text is never longer than its parts together."""
    if text.isascii():
        return len(text.split())
    wide = len(_WIDE.findall(text))
    return len(_WIDE.sub(" ", text).split()) - (-wide // _WIDE_A_WORD) if wide else len(text.split())
