"""Texts made fit for a prompt: short enough, and without anything that a tokenizer would take for more than words."""

from __future__ import annotations

import re
from itertools import takewhile
from typing import Any

from generator.prompts import knowledge_lines, passage_line, plain_question

__all__ = [
    "fit_characters",
    "fit_knowledge",
    "fit_prompt",
    "harmless",
    "shorten",
    "shorten_at_sentence",
    "spelled_apart",
    "within_positions",
]

# Full stops of scripts with spaces between words (Arabic, Urdu, Hindi, Armenian, Amharic, Burmese, Khmer), and without.
_SENTENCE_END = re.compile(r"[.!?؟۔।॥։።။។][\"'”’»)\]]*(?=\s|$)|[。！？][\"'”’)\]」』）】》]*")
_ABBREVIATION = re.compile(  # "J.", "U.S.", "e.g.", and words that are hardly ever the last of a sentence
    r"(?<![\w.])(?:(?:[^\W\d_]\.)+|(?i:mrs?|ms|dr|prof|st|mt|vs|cf|ca|fig|vol|pp|approx|gen|col|lt|capt|sgt|rev|gov|sen"
    r"|jan|feb|aug|sept?|oct|nov|dec)\.|(?i:no)\.(?=\s+\d))"
)
_NEXT = re.compile(r"\s*(\S?)")
_TURN_IN_WORDS = re.compile(r"\[(?=/?[A-Z_]{3,40}\])|<(?=</?SYS>>)")  # "[/INST]", which no tokenizer knows as special
_MARKER = re.compile(r"<(?=\S)|\[(?=/?[A-Za-z_]{3,40}\])")  # begins "<image>", "<<SYS>>", "[/INST]"


def harmless(tokenizer: Any, text: str) -> str:  # noqa: ANN401  (transformers has no public base type)
    """The text without special tokens, and with a space in what begins or ends a turn in chat templates of words only:
    a passage that spells "</s>", "<image>" or "[/INST]" must stay a passage.
    """
    special = {token for token in tokenizer.get_added_vocab() if token.strip()} | set(tokenizer.all_special_tokens)
    pattern = "|".join(re.escape(token) for token in sorted(special, key=len, reverse=True))
    while special and (cleaned := re.sub(pattern, " ", text)) != text:  # what is left may spell another
        text = cleaned
    return _TURN_IN_WORDS.sub(r"\g<0> ", text)


def spelled_apart(text: str) -> str:
    """The text with a space in what may be a special token, such as "<|im_end|>": where the tokenizer is unknown."""
    return _MARKER.sub(r"\g<0> ", text)


def shorten(tokenizer: Any, text: str, n_tokens: int) -> str:  # noqa: ANN401
    """The text, cut after `n_tokens` tokens if it has more."""
    if len(text.encode("utf-8", "surrogatepass")) < n_tokens:  # a token has a byte at least; one may mark the beginning
        return text
    encoded = tokenizer(text, add_special_tokens=False, return_offsets_mapping=True, verbose=False)
    offsets = encoded["offset_mapping"]
    if len(offsets) <= n_tokens:
        return text
    return text[: min(offsets[n_tokens - 1][1], offsets[n_tokens][0])]  # a character of several tokens stays whole


def shorten_at_sentence(tokenizer: Any, text: str, n_tokens: int) -> str:  # noqa: ANN401
    """The text, cut to whole sentences of `n_tokens` tokens at most; within the first one if that is too long."""
    cut = shorten(tokenizer, text, n_tokens)
    if len(cut) == len(text):
        return text
    return cut[: _last_end(text, len(cut)) or len(cut)]


def _last_end(text: str, length: int) -> int:
    """Where the last sentence ends that is whole within the first `length` characters; 0 where none is."""
    found = takewhile(lambda match: match.end() <= length, _SENTENCE_END.finditer(text))
    return max((match.end() for match in found if not _within_sentence(text, match)), default=0)


def _within_sentence(text: str, stop: re.Match[str]) -> bool:
    """Whether a full stop ends no sentence: it is of an abbreviation, or a small letter follows."""
    if not stop.group().startswith("."):
        return False
    follows, end = _NEXT.match(text, stop.end()), stop.start() + 1
    short = _ABBREVIATION.finditer(text, max(0, end - 12), end + 3)
    return (follows is not None and follows[1].islower()) or any(match.end() == end for match in short)


def within_positions(n_tokens: int, text_config: Any, *, taken: int) -> int:  # noqa: ANN401
    """The budget of a prompt's text, lowered to what a language model was trained for: beyond, a learned table of
    positions ends, and others give nonsense.

    Args:
        n_tokens: the budget.
        text_config: of the language model; without `max_position_embeddings` nothing is lowered.
        taken: positions that something other than the text takes: the picture, the answer.
    """
    positions: int | None = getattr(text_config, "max_position_embeddings", None)
    return n_tokens if positions is None else max(1, min(n_tokens, positions - taken))


def fit_prompt(
    tokenizer: Any,  # noqa: ANN401
    question: str,
    knowledge: str | None,
    *,
    n_tokens: int,
    template: Any,  # noqa: ANN401  (question, knowledge) -> prompt
    single: bool = False,
) -> str:
    """A prompt of at most `n_tokens` tokens: the question keeps up to half of them, knowledge gets what is left.

    Args:
        tokenizer: a fast tokenizer of transformers.
        question: the question's text.
        knowledge: the passage's content, or None for a prompt without.
        n_tokens: the budget.
        template: makes the prompt of a question and knowledge, such as `generator.prompts.knowledge_prompt`.
        single: whether the knowledge is one passage, in which numbers at the start of lines mean nothing.
    """
    fitting = fit_knowledge(tokenizer, question, knowledge, n_tokens=n_tokens, template=template, single=single)
    return str(template(*fitting))


def fit_knowledge(
    tokenizer: Any,  # noqa: ANN401
    question: str,
    knowledge: str | None,
    *,
    n_tokens: int,
    template: Any,  # noqa: ANN401
    single: bool = False,
) -> tuple[str, str | None]:
    """Question and knowledge of `fit_prompt`, before the template joins them."""
    question = shorten(tokenizer, harmless(tokenizer, question), n_tokens // 2)
    if knowledge is None:
        return question, None
    text = (passage_line if single else knowledge_lines)(harmless(tokenizer, knowledge))
    room = n_tokens - _n_tokens(tokenizer, template(question, ""))
    fitting = shorten_at_sentence(tokenizer, text, max(1, room))
    while room > 1 and (over := _n_tokens(tokenizer, template(question, fitting)) - n_tokens) > 0:
        room -= over  # parts that are joined may have more tokens than apart
        fitting = shorten_at_sentence(tokenizer, text, max(1, room))
    return question, fitting


def _n_tokens(tokenizer: Any, prompt: str) -> int:  # noqa: ANN401
    """Of a prompt, special ones with it."""
    return len(tokenizer(prompt, verbose=False)["input_ids"])


def fit_characters(
    question: str, knowledge: str | None, *, n_characters: int, single: bool = False
) -> tuple[str, str | None]:
    """Question and knowledge for a model whose tokenizer is unknown.

    Args:
        question: the question's text.
        knowledge: the passage's content, or None.
        n_characters: the longest knowledge; longer is cut at the end of a sentence, or of a word within the first.
        single: see `fit_prompt`.
    """
    question = spelled_apart(plain_question(question))
    if knowledge is None:
        return question, None
    text = (passage_line if single else knowledge_lines)(spelled_apart(knowledge))
    if len(text) <= n_characters:
        return question, text
    word = re.match(r".*\S(?=\s)", text[: n_characters + 1], re.DOTALL)
    end = _last_end(text, n_characters) or (word.end() if word else n_characters)
    return question, text[:end]
