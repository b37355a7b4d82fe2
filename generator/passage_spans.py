"""Answers that are pieces of a passage, spelled token by token.

A generating model that may only say what stands in the passage chooses, at every step, among the tokens with which
some piece of it goes on. Its probabilities, normalised over these, are a distribution over the passage's pieces.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

__all__ = ["PassageSpans"]


@dataclass(frozen=True, kw_only=True)
class PassageSpans:
    """The pieces of one passage that can be answers: whole words, at most `width` tokens.

    Attributes:
        ids: the passage's tokens.
        begins: whether each opens a word.
        finishes: whether each ends one.
        offsets: first character of each, and one past its last.
        width: the most tokens of an answer.
        end: the token that ends an answer.
    """

    ids: tuple[int, ...]
    begins: tuple[bool, ...]
    finishes: tuple[bool, ...]
    offsets: tuple[tuple[int, int], ...]
    width: int
    end: int

    @classmethod
    def of(cls, tokenizer: Any, passages: Sequence[str], *, width: int) -> list[PassageSpans]:  # noqa: ANN401
        """Of each passage, with a fast tokenizer that has an end token."""
        if not passages:
            return []
        encoded = tokenizer(list(passages), add_special_tokens=False, return_offsets_mapping=True, verbose=False)
        found = []
        for encoding in encoded.encodings:
            words = encoding.word_ids
            found.append(
                cls(
                    ids=tuple(encoding.ids),
                    begins=tuple(word != before for word, before in zip(words, [None, *words], strict=False)),
                    finishes=tuple(word != after for word, after in zip(words, [*words[1:], None], strict=False)),
                    offsets=tuple(encoding.offsets),
                    width=width,
                    end=int(tokenizer.eos_token_id),
                )
            )
        return found

    def _places(self, prefix: Sequence[int]) -> list[int]:
        """Where pieces stand that open with the prefix."""
        wanted, length = tuple(prefix), len(prefix)
        return [at for at, opens in enumerate(self.begins) if opens and self.ids[at : at + length] == wanted]

    def allowed(self, prefix: Sequence[int]) -> list[int]:
        """The tokens that may follow; the end token alone where nothing else can."""
        tokens: set[int] = set()
        for at in self._places(prefix):
            after = at + len(prefix)
            if prefix and (self.finishes[after - 1] or len(prefix) == self.width):
                tokens.add(self.end)
            if after < len(self.ids) and len(prefix) < self.width:
                tokens.add(self.ids[after])
        return sorted(tokens) or [self.end]

    def place(self, answer: Sequence[int]) -> tuple[int, int] | None:
        """Characters of the answer's first place; None where it stands nowhere."""
        places = self._places(answer) if answer else []
        return (self.offsets[places[0]][0], self.offsets[places[0] + len(answer) - 1][1]) if places else None

    def tokens(self, start: int, end: int) -> tuple[int, ...] | None:
        """The tokens of the characters from `start` to `end`; None if they are no answer of allowed length."""
        first = [at for at, (opening, _) in enumerate(self.offsets) if opening == start and self.begins[at]]
        last = [at for at, (_, closing) in enumerate(self.offsets) if closing == end and self.finishes[at]]
        if not first or not last or not 0 < last[0] + 1 - first[0] <= self.width:
            return None
        return self.ids[first[0] : last[0] + 1]
