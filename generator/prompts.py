"""The prompts of RA-VQA: one a passage, and one without knowledge.

Source: RA-VQA-v2's generator (`rag_model_blip.py`, lines 605-624 at commit 9b2b656), whose question text may carry
the markers of its text-based vision; they become words or vanish.
"""

from __future__ import annotations

from collections.abc import Sequence

__all__ = ["all_passages", "chat_prompt", "knowledge_prompt", "plain_question"]

# in the reference's order; a marker that is not listed stays as it is
_MARKERS = (
    ("<BOQ>", ""),
    ("<EOQ>", ""),
    ("<EOC>", ""),
    ("<BOC>", "Caption: "),
    ("<BOV>", "Objects: "),
    ("<EOV>", ". "),
    ("<SOV>", ", "),
)


def plain_question(text: str) -> str:
    """The question's text with the markers of RA-VQA's text-based vision spelled out or removed."""
    for marker, words in _MARKERS:
        text = text.replace(marker, words)
    return text.strip()


def all_passages(contents: Sequence[str]) -> str:
    """Passages as one piece of knowledge, numbered, one a line."""
    return "\n".join(f"[{number}] {content}" for number, content in enumerate(contents, start=1))


def knowledge_prompt(question: str, knowledge: str | None) -> str:
    """What the generator is asked, about one passage or about none.

    Args:
        question: the question's text.
        knowledge: the passage's content, or None to ask without knowledge.
    """
    question = plain_question(question)
    if knowledge is None:
        return f"Question: {question} Answer:"
    return f"Question: {question} Knowledge: {knowledge} Answer:"


def chat_prompt(question: str, knowledge: str | None) -> str:
    """The same for chat models, which need to be told to be brief (LLaVA-1.5's words, arXiv:2310.03744)."""
    brief = "Answer the question using a single word or phrase."
    known = "" if knowledge is None else f"Knowledge: {knowledge}\n"
    return f"{known}Question: {plain_question(question)}\n{brief}"
