"""Texts are cut to a budget at the ends of sentences, in any script."""

from __future__ import annotations

import pytest

from generator.fitting import shorten, shorten_at_sentence
from tests.generator.tiny import language_tokenizer

TOKENIZER = language_tokenizer()  # a token a byte


def count(text: str) -> int:
    return len(TOKENIZER(text, add_special_tokens=False)["input_ids"])


@pytest.mark.parametrize("budget", [2, 30, 31, 32, 89, 90, 91])
def test_a_budget_counts_tokens_and_not_characters(budget: int) -> None:
    cut = shorten(TOKENIZER, "東" * 30, budget)
    assert cut == "東" * min(30, budget // 3)
    assert count(cut) <= budget


def test_a_text_within_the_budget_stays_as_it_is() -> None:
    for text in ("", "a", "a" * 30, "東" * 10):
        assert shorten(TOKENIZER, text, 30) == text


@pytest.mark.parametrize("end", ["。", "！", "？", "。」", "？）"])
def test_chinese_is_cut_at_the_end_of_a_sentence(end: str) -> None:
    sentence = f"日本の首都は東京です{end}"
    cut = shorten_at_sentence(TOKENIZER, sentence * 5, 2 * count(sentence) + 9)
    assert cut == sentence * 2


def test_a_point_within_a_number_ends_no_sentence() -> None:
    assert shorten_at_sentence(TOKENIZER, "It is old. It has 3.5 million people.", 22) == "It is old."
