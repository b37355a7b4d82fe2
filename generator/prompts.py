"""The prompts of RA-VQA: one a passage, and one without knowledge.

Source: RA-VQA-v2's generator (`rag_model_blip.py`, lines 605-624 at commit 9b2b656), whose question text may carry
the markers of its text-based vision; they become words or vanish.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

__all__ = ["all_passages", "chat_prompt", "knowledge_lines", "knowledge_prompt", "passage_line", "plain_question"]

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
# who speaks in chat templates, and what stands before the parts of the prompts below
_ROLES = ("user", "assistant", "system", "human", "instruction", "response", "question", "knowledge", "answer")
_ANY_CASE = "|".join(_ROLES)
_CAPITALISED = "|".join(form for role in _ROLES for form in (role.upper(), role.capitalize()))
_TURN = re.compile(rf"((?<!\w)(?:{_CAPITALISED})|^\W*(?i:{_ANY_CASE}))(?:\s*[:：])+\s*")


def plain_question(text: str) -> str:
    """The question's text with the markers of RA-VQA's text-based vision spelled out or removed."""
    for marker, words in _MARKERS:
        text = text.replace(marker, words)
    return text.strip()


def passage_line(content: str) -> str:
    """A passage as one line that cannot pass for another part of a prompt.

    Line breaks become single spaces, and what looks like the beginning of a turn or of a part of the prompt ("USER:",
    "Question:") loses its colon: such words with a capital anywhere, at the start of a line in any case.
    """
    lines = (_TURN.sub(r"\1 ", line.strip()).strip() for line in content.splitlines())
    return " ".join(line for line in lines if line)


def knowledge_lines(knowledge: str) -> str:
    """What `all_passages` made, or one passage, with no line breaks but those before the passages' numbers."""
    passages: list[list[str]] = [[]]
    for line in knowledge.splitlines():
        if knowledge.startswith("[1] ") and f"{line} ".startswith(f"[{len(passages) + 1}] "):
            passages.append([])
        passages[-1].append(line)
    return "\n".join(passage_line("\n".join(lines)) for lines in passages)


def all_passages(contents: Sequence[str]) -> str:
    """Passages as one piece of knowledge, numbered, one a line."""
    return "\n".join(f"[{number}] {passage_line(content)}" for number, content in enumerate(contents, start=1))


def knowledge_prompt(question: str, knowledge: str | None) -> str:
    """What the generator is asked, about one passage or about none.

    Args:
        question: the question's text.
        knowledge: the passage's content or what `all_passages` made, or None to ask without knowledge.
    """
    question = plain_question(question)
    if knowledge is None:
        return f"Question: {question} Answer:"
    return f"Question: {question} Knowledge: {knowledge_lines(knowledge)} Answer:"


def chat_prompt(question: str, knowledge: str | None) -> str:
    """The same for chat models, which need to be told to be brief (LLaVA-1.5's words, arXiv:2310.03744)."""
    brief = "Answer the question using a single word or phrase."
    known = "" if knowledge is None else f"Knowledge: {knowledge_lines(knowledge)}\n"
    return f"{known}Question: {plain_question(question)}\n{brief}"
