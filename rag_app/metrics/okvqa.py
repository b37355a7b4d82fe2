"""OK-VQA's score: VQA accuracy against the stemmed answers of its annotations.

A prediction is not stemmed by itself, so both numbers are reported: of the prediction as it is, and of the prediction
stemmed like the annotations. Where the scorer normalises, the words are stemmed as normalising leaves them: "Horses."
is "horse". Where it does not, since all annotators agree, punctuation counts, as it does in VQA accuracy.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from rag_app.metrics.stemming import stem_answer
from rag_app.metrics.vqa import annotators_differ, normalise_answer, vqa_accuracy_of_annotations

__all__ = ["STEMMED", "UNSTEMMED", "okvqa_accuracies", "published_stems"]

STEMMED, UNSTEMMED = "OK-VQA accuracy (stemmed)", "OK-VQA accuracy (unstemmed)"


def published_stems(annotations: Iterable[Mapping[str, object]]) -> dict[str, str]:
    """What OK-VQA's own stemmer made of each answer: `raw_answer` to `answer`, where annotations carry both."""
    return {
        raw.lower().strip(): stemmed
        for annotation in annotations
        if isinstance(raw := annotation.get("raw_answer"), str) and isinstance(stemmed := annotation.get("answer"), str)
    }


def okvqa_accuracies(
    prediction: str, annotations: Sequence[Mapping[str, object]], *, stems: Mapping[str, str] | None = None
) -> dict[str, float]:
    """VQA accuracy of the prediction stemmed and as it is.

    Args:
        prediction: the answer to score.
        annotations: ten of them, with the stemmed `answer`.
        stems: stems known for whole answers, see `published_stems`; other answers are stemmed by rule.

    Raises:
        ValueError: there is no annotation.
        TypeError: one has no text as `answer`.
    """
    words = normalise_answer(prediction) if annotators_differ(annotations) else prediction
    known = stems or {}
    stemmed = known.get(prediction.lower().strip()) or known.get(words.lower().strip()) or stem_answer(words)
    return {
        STEMMED: vqa_accuracy_of_annotations(stemmed, annotations),
        UNSTEMMED: vqa_accuracy_of_annotations(prediction, annotations),
    }
