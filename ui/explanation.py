"""Why a passage was found, as HTML: heat map, question and passage with their contributions. All text is escaped."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from html import escape

from PIL import Image

from rag_app.finder import Explanation, QueryRow, RowKind
from rag_app.thumbnails import data_uri

__all__ = ["LINK_PAIRS", "explanation_card", "no_explanation"]

_PICTURE_SIDE = 480  # pixels of the picture shown under the heat map
_PAIRS_SHOWN = 6  # in the note of one passage token
_FRAME = {"[CLS]": "start", "[SEP]": "end", "[MASK]": "fill-in", "[picture]": "picture"}

# What the pointer rests on, and all that it is paired with, stand out.
LINK_PAIRS = """
function light(event) {
  const one = event.target.closest('[data-pair]');
  element.querySelectorAll('.lit').forEach(other => other.classList.remove('lit'));
  if (!one) return;
  const pair = CSS.escape(one.dataset.pair);
  element.querySelectorAll(`[data-pair="${pair}"]`).forEach(other => other.classList.add('lit'));
}
element.addEventListener('mouseover', light);
element.addEventListener('click', light);
element.addEventListener('mouseleave', light);
"""


def no_explanation(text: str) -> str:
    """What stands in place of an explanation."""
    return f'<div class="card muted" data-state="empty">{escape(text)}</div>'


def explanation_card(
    explanation: Explanation, *, question: str, content: str, score: float, image: Image.Image | None
) -> str:
    """Everything that made the score of one passage.

    Args:
        explanation: of the passage.
        question: text of the question.
        content: what was encoded of the passage.
        score: the index's score.
        image: the picture of the question.
    """
    name = _Names(explanation, question, content)
    heat = _heat_map(explanation, image, name) if image is not None else ""
    return (
        f'<div class="card why" data-state="explained">{_sum_line(explanation, score)}'
        f'<div class="why-parts">{heat}<div class="why-texts">'
        f"<h3>Question</h3>{_question(explanation, question, name)}"
        f"<h3>Passage</h3>{_passage(explanation, content, name)}"
        '<p class="muted">The stronger the colour, the more it contributes. Point at a word or a patch to see what it '
        f"was paired with.</p></div></div>{_pair_table(explanation, name)}</div>"
    )


def _sum_line(explanation: Explanation, score: float) -> str:
    """The score as the sum of its parts, rounded so that the numbers shown add up too."""
    parts = {"text": explanation.part(RowKind.TEXT, RowKind.FRAME)}
    kinds = {row.kind for row in explanation.rows}
    for kind, title in ((RowKind.PICTURE, "picture as a whole"), (RowKind.PATCH, "patches")):
        if kind in kinds:
            parts[title] = explanation.part(kind)
    shown, before, total = [], 0.0, 0.0
    for title, part in parts.items():
        total += part
        shown.append(f"{title} {round(total, 2) - before:.2f}")
        before = round(total, 2)
    kept = ""
    if abs(score - explanation.score) >= 0.005:
        kept = f" The index keeps rounded vectors, with which it is {score:.2f}."
    return (
        f'<p class="why-sum"><span data-sum>{" + ".join(shown)} = <b>{explanation.score:.2f}</b></span><br>'
        f'<span class="muted">The contributions of all {len(explanation.rows)} vectors of the question add up to the '
        f"score; nothing is estimated. Of the text, the words give {explanation.part(RowKind.TEXT):.2f} and the marks "
        f"around them {explanation.part(RowKind.FRAME):.2f}.{kept}</span></p>"
    )


class _Names:
    """What people call the rows of a query and the tokens of a passage."""

    def __init__(self, explanation: Explanation, question: str, content: str) -> None:
        self._tokens = [
            f"“{content[slice(*token.span)]}”" if token.span else f"the passage's {_frame(token.token)} mark"
            for token in explanation.tokens
        ]
        self._question = question

    def row(self, row: QueryRow) -> str:
        if row.place is not None:
            return f"patch in row {row.place[0] + 1}, column {row.place[1] + 1}"
        if row.kind is RowKind.PICTURE:
            return "picture as a whole"
        return f"“{self._question[slice(*row.span)]}”" if row.span else f"the question's {_frame(row.token)} mark"

    def token(self, number: int) -> str:
        return self._tokens[number]

    def pair(self, row: QueryRow) -> str:
        return f"{self.row(row)} ↔ {self.token(row.best)}: {row.cosine:+.3f}"


def _frame(token: str) -> str:
    return _FRAME.get(token, "kind")


def _heat_map(explanation: Explanation, image: Image.Image, name: _Names) -> str:
    """The picture under a grid of its patches; where there are none, the picture alone."""
    overlay = ""
    patches = [row for row in explanation.rows if row.kind is RowKind.PATCH]
    scale = _scale([row.cosine for row in patches])
    if patches and explanation.grid is not None and explanation.seen is not None:
        left, top, right, bottom = explanation.seen
        place = (
            f"left:{100 * left / image.width:.3f}%;top:{100 * top / image.height:.3f}%;"
            f"width:{100 * (right - left) / image.width:.3f}%;height:{100 * (bottom - top) / image.height:.3f}%;"
            f"grid-template-columns:repeat({explanation.grid[1]},1fr);"
            f"grid-template-rows:repeat({explanation.grid[0]},1fr)"
        )
        cells = "".join(
            f'<span class="patch" style="--heat:{scale(row.cosine):.3f}" data-pair="{row.best}" '
            f'title="{escape(name.pair(row))}"></span>'
            for row in patches
        )
        overlay = f'<div class="patches" style="{place}">{cells}</div>'
    whole = [row for row in explanation.rows if row.kind is RowKind.PICTURE]
    chips = "".join(_chip(row, str(number), name) for number, row in enumerate(whole, start=1))
    legend = (
        f"<figcaption class='muted'>{len(patches)} patches, {min(row.cosine for row in patches):.2f} (clear) to "
        f"{max(row.cosine for row in patches):.2f} (strong){_looked_at(explanation.seen, image)}</figcaption>"
        if patches
        else ""
    )
    whole_line = f'<p class="chips">Picture as a whole: {chips}</p>' if chips else ""
    shown = f'<img src="{data_uri(image, _PICTURE_SIDE)}" alt="The picture of the question">'
    return f'<figure class="why-picture"><div class="heat">{shown}{overlay}</div>{legend}{whole_line}</figure>'


def _looked_at(seen: tuple[float, float, float, float] | None, image: Image.Image) -> str:
    """Says so where only a part of the picture was encoded."""
    if seen is None or (seen[2] - seen[0] >= image.width and seen[3] - seen[1] >= image.height):
        return ""
    return "; only the part under the grid was looked at"


def _question(explanation: Explanation, question: str, name: _Names) -> str:
    rows = [row for row in explanation.rows if row.kind is RowKind.TEXT]
    scale = _scale([row.cosine for row in rows])
    marks = [
        (row.span, _mark(question[slice(*row.span)], scale(row.cosine), row.best, name.pair(row)))
        for row in rows
        if row.span is not None
    ]
    frame = [row for row in explanation.rows if row.kind is RowKind.FRAME]
    chips = "".join(_chip(row, _frame(row.token), name) for row in frame)
    return f'<p class="tokens">{_marked(question, marks)}</p><p class="chips">Marks around it: {chips}</p>'


def _passage(explanation: Explanation, content: str, name: _Names) -> str:
    totals = [sum(row.cosine for row in explanation.rows_of(number)) for number in range(len(explanation.tokens))]
    highest = max(totals)
    marks, chips = [], ""
    for number, (token, total) in enumerate(zip(explanation.tokens, totals, strict=True)):
        rows = explanation.rows_of(number)
        pairs = [f"{name.row(row)} {row.cosine:+.3f}" for row in rows[:_PAIRS_SHOWN]]
        more = f" and {len(rows) - _PAIRS_SHOWN} more" if len(rows) > _PAIRS_SHOWN else ""
        note = f"{name.token(number)} ↔ {', '.join(pairs)}{more}: {total:+.3f}" if rows else "best match of no vector"
        heat = max(0.0, total / highest) if highest > 0 else 0.0
        if token.span is not None:
            marks.append((token.span, _mark(content[slice(*token.span)], heat, number, note)))
        elif rows:
            chips += _mark(_frame(token.token), heat, number, note, kind="chip")
    line = f'<p class="chips">Marks around it: {chips}</p>' if chips else ""
    return f'<p class="tokens">{_marked(content, marks)}</p>{line}'


def _pair_table(explanation: Explanation, name: _Names) -> str:
    """The same without a pointer: every vector of the question, the strongest first."""
    lines = "".join(
        f"<tr><td>{escape(name.row(row))}</td><td>{escape(name.token(row.best))}</td><td>{row.cosine:+.3f}</td></tr>"
        for row in sorted(explanation.rows, key=lambda row: -row.cosine)
    )
    return (
        '<details class="pairs"><summary>All pairs as a table</summary><div class="scroll"><table>'
        "<thead><tr><th>in the question</th><th>best match in the passage</th><th>contribution</th></tr></thead>"
        f"<tbody>{lines}</tbody></table></div></details>"
    )


def _scale(values: Sequence[float]) -> Callable[[float], float]:
    """Maps the lowest of some values to 0 and the highest to 1."""
    low, high = (min(values), max(values)) if values else (0.0, 0.0)
    return lambda value: (value - low) / (high - low) if high > low else 1.0


def _mark(text: str, heat: float, pair: int, note: str, *, kind: str = "token") -> str:
    return (
        f'<span class="{kind}" style="--heat:{heat:.3f}" data-pair="{pair}" title="{escape(note)}">'
        f"{escape(text)}</span>"
    )


def _chip(row: QueryRow, text: str, name: _Names) -> str:
    return _mark(text, max(0.0, row.cosine), row.best, name.pair(row), kind="chip")


def _marked(text: str, marks: Sequence[tuple[tuple[int, int], str]]) -> str:
    """The text, escaped, with some of its stretches replaced by what is given for them."""
    parts, done = [], 0
    for (start, end), html in marks:
        if start < done:
            continue  # two tokens of one character: the first stands for both
        parts += [escape(text[done:start]), html]
        done = end
    return "".join([*parts, escape(text[done:])])
