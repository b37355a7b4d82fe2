"""Scores that compare answers as they are, without any normalisation: both settings of A-OKVQA, and GQA."""

from __future__ import annotations

from collections.abc import Sequence

__all__ = ["aokvqa_accuracy", "aokvqa_choice", "gqa_exact_match"]


def aokvqa_accuracy(prediction: str, direct_answers: Sequence[str]) -> float:
    """A-OKVQA's direct-answer accuracy (allenai/aokvqa, eval_predictions.py): min(1, equal answers / 3).

    Unlike VQA accuracy it normalises nothing and sets no annotator aside. The official scorer leaves out questions
    marked `difficult_direct_answer`; that is the caller's to do.

    Raises:
        ValueError: there is no answer to compare with.
    """
    if not direct_answers:
        raise ValueError("there are no answers to score against")
    return min(1.0, sum(prediction == answer for answer in direct_answers) / 3)


def aokvqa_choice(prediction: str, choices: Sequence[str], correct: int) -> float:
    """A-OKVQA's multiple choice (same file): 1 when the prediction is the right choice, letter by letter, else 0.

    Difficult questions count here. A prediction that is none of the choices is wrong, as for the scorer's command line.

    Args:
        prediction: the choice that was made, in words.
        choices: what there was to choose from.
        correct: which of them is right, counted from 0.

    Raises:
        ValueError: there is no choice of that number.
    """
    if not 0 <= correct < len(choices):
        raise ValueError(f"choice {correct} is right, but there are {len(choices)} choices, counted from 0")
    return float(prediction == choices[correct])


def gqa_exact_match(prediction: str, answer: str) -> float:
    """GQA's accuracy (its eval.py): 1 when the prediction is the answer, letter by letter, else 0."""
    return float(prediction == answer)
