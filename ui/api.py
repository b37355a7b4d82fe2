"""What programs can ask over HTTP, and agents as tools: the page's own fields, answered in JSON.

Each endpoint hangs on a button that nobody sees. So the page's events stay private, and may change with the page.

Gradio lets a caller leave out an argument whose component has a value, and one whose default here is None: files.
The other defaults are never taken; Python asks for them after the first.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import gradio as gr

from knowledge_bases.records import Passage
from knowledge_bases.store import NoSuchPassageError, StoreError
from rag_app.answers import Answer
from rag_app.assembly import Application
from rag_app.entities import entities_found, recognised
from rag_app.errors import InputError, one_line
from rag_app.feedback import MOST_TEXT, Feedback, FeedbackStore, picture_bytes
from rag_app.finder import Explanation
from rag_app.stores import Passages
from ui.answering import answered_about, checked_k
from ui.asked import problem, visual_question
from ui.feedback_form import export_feedback
from ui.queues import FEEDBACK, MODELS

__all__ = ["add_ask_api", "add_endpoint", "answer_json", "explanation_json", "kindly", "texts"]

Json = dict[str, Any]


def add_endpoint(
    name: str,
    function: Callable[..., Json | str],
    inputs: Sequence[gr.components.Component],
    *,
    queue: Mapping[str, Any] = MODELS,
    output: gr.components.Component | None = None,
) -> None:
    """Adds an endpoint to the page under construction.

    Args:
        name: of the endpoint.
        function: takes the values of the inputs; its docstring is the endpoint's description.
        inputs: components of the page, or hidden ones; their values are the defaults.
        queue: of `ui.queues`.
        output: component that takes what the function returns; a hidden one for JSON when not given.
    """
    output = output or gr.JSON(visible=False, label=name)
    gr.Button(visible=False).click(function, list(inputs), output, api_name=name, **queue)


def texts(*labels: str) -> list[gr.components.Component]:
    """Hidden text fields, empty ones, as inputs of an endpoint."""
    return [gr.Textbox("", label=label, visible=False) for label in labels]


@contextmanager
def kindly(picture: str | None = None, *, folder: Path | None = None) -> Iterator[None]:
    """Hands what the user can mend on to the client, without a path of the server.

    Args:
        picture: path of an upload.
        folder: of derived data, of whose files only the names are told.
    """
    try:
        yield
    except InputError as error:
        told = problem(error, picture, folders=[] if folder is None else [folder])
        raise gr.Error(told, print_exception=False) from error


def answer_json(application: Application, answer: Answer) -> Json:
    """An answer as `ask --json` prints it, with what was recognised."""
    return {
        **answer.as_json(),
        "recognised": recognised(answer, application.knowledge_base),
        "preset": application.preset.name,
        "knowledge_base": application.knowledge_base,
    }


def explanation_json(explanation: Explanation, question: str, content: str) -> Json:
    """Every row of the question with the passage's token that it was paired with; the cosines add up to the score."""
    texts = [content[slice(*token.span)] if token.span else token.token for token in explanation.tokens]
    return {
        "score": explanation.score,
        "rows": [
            {
                "kind": row.kind.value,
                "text": question[slice(*row.span)] if row.span else row.token,
                "patch": row.place,
                "passage_text": texts[row.best],
                "cosine": row.cosine,
            }
            for row in explanation.rows
        ],
    }


def _passage(store: Passages, passage_id: str) -> Passage:
    """One that a client names.

    Raises:
        InputError: there is no such passage, or the store is damaged.
    """
    try:
        return store.get([passage_id])[0]
    except NoSuchPassageError as error:
        raise InputError(f"there is no passage {passage_id!r}; take one that ask gave") from error
    except StoreError as error:
        raise InputError(one_line(error)) from error


def add_ask_api(
    application: Application,
    fields: Sequence[gr.components.Component],
    feedback: FeedbackStore | None,
) -> None:
    """Adds `ask`, `explain`, `entities`, `correct`, `answer_without_passages` and, where it can be kept, `feedback` and
    `feedback_export`.

    Args:
        application: what answers.
        fields: of the form: picture, question, instruction, k.
        feedback: where it is kept; None offers no such endpoint.
    """

    def ask(picture: str | None = None, question: str = "", instruction: str = "", k: int = 5) -> Json:
        """Answers a question about a picture from the knowledge base, with the passages the answer comes from.

        Args:
            picture: path or address of the picture, or nothing for a question in words alone.
            question: what to find out.
            instruction: what kind of passage to look for; empty takes the default.
            k: passages to find and read, from 1 to 20.

        Returns:
            answer (empty where the application is not sure), confidence in [0, 1], passages, candidates, timings_ms,
            recognised, preset and knowledge_base.
        """
        with kindly(picture, folder=application.var):
            asked = visual_question(picture, question, instruction)
            now = application.snapshot()
            return answer_json(now, now.pipeline.taking(checked_k(k, now)).invoke(asked))

    def explain(picture: str | None = None, question: str = "", instruction: str = "", passage_id: str = "") -> Json:
        """Tells why a passage was found: which word or patch of the question matched which word of the passage.

        Args:
            picture: as for ask.
            question: as for ask.
            instruction: as for ask.
            passage_id: of the passage, as ask gives it.

        Returns:
            score, and rows of kind, text, patch, passage_text and cosine; the cosines add up to the score.
        """
        with kindly(picture, folder=application.var):
            asked, now = visual_question(picture, question, instruction), application.snapshot()
            if now.store is None:
                raise InputError("nothing is retrieved here, so there is no score to explain")
            passage = _passage(now.store, passage_id)
            explanation = now.pipeline.explain(asked, passage)
            return {"passage_id": passage_id, **explanation_json(explanation, asked.text, passage.content)}

    def answer_without_passages(picture: str | None = None, question: str = "") -> Json:
        """Answers from the picture and the question alone, to compare; refused by presets that only read passages.

        Args:
            picture: path or address of the picture, or nothing.
            question: what to find out.

        Returns:
            As ask, without passages.
        """
        with kindly(picture, folder=application.var):
            asked, now = visual_question(picture, question, ""), application.snapshot()
            if now.pipeline.needs_passages:
                raise InputError(f"the reader of {now.preset.name} takes its answers from passages; ask for some")
            return answer_json(now, now.pipeline.without_retrieval().invoke(asked))

    def entities(picture: str | None = None, question: str = "", instruction: str = "") -> Json:
        """Names what the picture could show, the likeliest first: what the passages that are found are about.

        Args:
            picture: as for ask.
            question: as for ask.
            instruction: as for ask.

        Returns:
            entities, names for correct.
        """
        with kindly(picture, folder=application.var):
            asked, now = visual_question(picture, question, instruction), application.snapshot()
            return {"entities": list(entities_found(now.pipeline, asked, now.knowledge_base))}

    def correct(
        picture: str | None = None, question: str = "", instruction: str = "", k: int = 5, entity: str = ""
    ) -> Json:
        """Answers anew where something else was recognised: only from passages about what the picture really shows.

        Args:
            picture: as for ask.
            question: as for ask.
            instruction: as for ask.
            k: as for ask.
            entity: what it is, as entities names it.

        Returns:
            As ask; recognised is the entity.
        """
        with kindly(picture, folder=application.var):
            asked, now = visual_question(picture, question, instruction), application.snapshot()
            return answer_json(now, answered_about(now, asked, entity, checked_k(k, now)))

    passage_id = gr.Textbox(label="Passage id", visible=False)
    entity = gr.Textbox(label="Entity", visible=False)
    add_endpoint("ask", ask, fields)
    add_endpoint("entities", entities, fields[:3])
    add_endpoint("correct", correct, [*fields, entity])
    add_endpoint("explain", explain, [*fields[:3], passage_id])
    add_endpoint("answer_without_passages", answer_without_passages, fields[:2])
    if feedback is not None:
        _add_feedback_api(application, fields, feedback)


def _add_feedback_api(
    application: Application, fields: Sequence[gr.components.Component], store: FeedbackStore
) -> None:
    def feedback(
        picture: str | None = None,
        question: str = "",
        answer: str = "",
        right: bool = False,
        reason: str = "",
        right_answer: str = "",
    ) -> Json:
        """Keeps what a person thought of an answer.

        Args:
            picture: path or address of the picture, or nothing.
            question: what was asked.
            answer: what was answered.
            right: whether that was right.
            reason: what was wrong, or why it is right, in the person's words.
            right_answer: what would have been right.

        Returns:
            feedback_id.
        """
        with kindly(picture, folder=application.var):
            asked = visual_question(picture, question, "")
            said = Feedback(
                feedback_id=Feedback.new_id(),
                given=Feedback.now(),
                right=right,
                question=asked.text,
                answer=answer,
                reason=reason,
                right_answer=right_answer,
                knowledge_base=application.knowledge_base,
                preset=application.preset.name,
                picture=picture_bytes(asked.image),
            )
            store.keep(said)
            return {"feedback_id": said.feedback_id}

    def feedback_export() -> str:
        """Gives all feedback as a dataset that evaluate asks: a zip of questions.jsonl and pictures.

        Returns:
            the file.
        """
        with kindly(folder=application.var):
            return str(export_feedback(store, Path(exported.GRADIO_CACHE)))

    exported = gr.File(label="Feedback", visible=False)
    answer = gr.Textbox(label="Answer", visible=False, max_length=MOST_TEXT)
    right = gr.Checkbox(label="Right", visible=False)
    reason = gr.Textbox("", label="Reason", visible=False, max_length=MOST_TEXT)
    right_answer = gr.Textbox("", label="The right answer", visible=False, max_length=MOST_TEXT)
    inputs = [*fields[:2], answer, right, reason, right_answer]
    add_endpoint("feedback", feedback, inputs, queue=FEEDBACK)
    add_endpoint("feedback_export", feedback_export, [], queue=FEEDBACK, output=exported)
