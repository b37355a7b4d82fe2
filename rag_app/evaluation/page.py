"""`report.html`: one file that opens offline. No text from data, passages above all, is ever taken as HTML."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from html import escape
from typing import Any

from rag_app.counting import number_of
from rag_app.evaluation.figures import judged_by_type, recall_curves
from rag_app.evaluation.report import answered_text, numbers, percent
from rag_app.evaluation.svg import reliability_diagram
from rag_app.evaluation.worst import Case, CasePassage
from rag_app.metrics.judging import judges_text, shown_judge

__all__ = ["render_page"]

Report = Mapping[str, Any]

_MOST_TYPES = 40
_STYLE = """
body{font:15px/1.45 system-ui,sans-serif;color:#222;background:#fff;margin:2rem auto;max-width:64rem;padding:0 1rem}
h1{font-size:1.5rem}h2{font-size:1.15rem;margin-top:2.2rem}table{border-collapse:collapse}
th,td{text-align:left;padding:.2rem .9rem .2rem 0;border-bottom:1px solid #ddd;vertical-align:top}
td.n,th.n{text-align:right;font-variant-numeric:tabular-nums}.quiet{color:#666}
.legend{margin:.3rem 0}.key{margin-right:1.2rem}.key i{display:inline-block;width:.8rem;height:.8rem;margin-right:.3rem}
svg{max-width:100%;height:auto}article{border:1px solid #ccc;border-radius:6px;padding:.7rem 1rem;margin:.9rem 0;
display:grid;grid-template-columns:190px 1fr;gap:1rem}article img{max-width:176px}article p{margin:.2rem 0}
.verdict{display:inline-block;padding:0 .5rem;border-radius:3px;background:#f3ddd3}li{margin:.3rem 0}
.mark{background:#d9ecdf;padding:0 .35rem;border-radius:3px;font-size:.85em}summary{cursor:pointer}
pre{white-space:pre-wrap;overflow-wrap:anywhere;background:#f6f6f6;padding:.6rem}
@media(max-width:40rem){article{grid-template-columns:1fr}}
"""


def render_page(report: Report, cases: Sequence[Case], *, beside: Sequence[tuple[str, Report]] = ()) -> str:
    """The page.

    Args:
        report: of this evaluation.
        cases: the questions that went most wrong.
        beside: titles and reports of earlier evaluations to show in the same tables and plots.
    """
    runs = [(_title(report, [title for title, _ in beside]), report), *beside]
    title = f"Evaluation of {report['manifest'].get('dataset', 'a dataset')}"
    parts = [
        f"<h1>{escape(title)}</h1>",
        _summary(report),
        "<h2>Scores</h2>",
        _scores(runs),
        _recall(report),
        _accuracy_by_type(runs),
        _calibration(report),
        _verdicts(report),
        _problems(report),
        _cases(cases),
        "<h2>What the numbers depend on</h2>",
        f"<pre>{escape(_flat(report['manifest']))}</pre>",
    ]
    return (
        '<!doctype html>\n<html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        '<meta http-equiv="Content-Security-Policy" content="default-src \'none\'; img-src data:; '
        "style-src 'unsafe-inline'\">"
        f"<title>{escape(title)}</title><style>{_STYLE}</style></head><body>{''.join(parts)}</body></html>\n"
    )


def _title(report: Report, others: Sequence[str]) -> str:
    mode = str(report["manifest"].get("mode", "this"))
    return f"{mode} (this)" if mode in others else mode


def _summary(report: Report) -> str:
    counts, manifest = report["counts"], report["manifest"]
    preset = manifest.get("preset", {})
    said = [
        answered_text(counts),
        f"{counts.get('reported', 0):,} reported",
        f"preset {preset.get('name', '?') if isinstance(preset, dict) else preset}",
        f"{manifest.get('mode', '')}",
        "questions without a picture searched with a black one" if manifest.get("black_picture") else "",
        f"finished {manifest.get('finished', '')}",
    ]
    return f'<p class="quiet">{escape(" · ".join(part for part in said if part))}</p>'


def _scores(runs: Sequence[tuple[str, Report]]) -> str:
    columns = [numbers(report) for _, report in runs]
    names = dict.fromkeys(name for column in columns for name in column)
    head = "".join(f'<th class="n">{escape(title)}</th>' for title, _ in runs)
    rows = "".join(
        f"<tr><td>{escape(name)}</td>"
        + "".join(f'<td class="n">{percent(column.get(name))}</td>' for column in columns)
        + "</tr>"
        for name in names
    )
    return f"<table><tr><th>metric</th>{head}</tr>{rows}</table>"


def _recall(report: Report) -> str:
    plot = recall_curves(report)
    return f"<h2>Retrieval: Recall@K and Pseudo-Recall@K</h2>{plot}" if plot else ""


def _accuracy_by_type(runs: Sequence[tuple[str, Report]]) -> str:
    plot = judged_by_type(runs, most=_MOST_TYPES)
    return f"<h2>{escape(shown_judge(runs[0][1]))} by question type</h2>{plot}" if plot else ""


def _calibration(report: Report) -> str:
    calibration = report.get("calibration")
    if not calibration:
        return ""
    return (
        f"<h2>Calibration: {escape(judges_text(report))} over confidence</h2>{reliability_diagram(calibration['bins'])}"
        f'<p class="quiet">ECE {percent(calibration["ECE"])} over {len(calibration["bins"])} bins; '
        "the dashed line is perfect calibration, the size of a dot tells its number of questions.</p>"
    )


def _verdicts(report: Report) -> str:
    verdicts = report.get("verdicts", {})
    rows = "".join(f'<tr><td>{escape(name)}</td><td class="n">{count:,}</td></tr>' for name, count in verdicts.items())
    decided = f'<p class="quiet">What counts as right: {escape(judges_text(report))} of at least 50 %.</p>'
    return f"<h2>Where questions were lost</h2>{decided}<table>{rows}</table>" if rows else ""


def _problems(report: Report) -> str:
    problems = report.get("problems", [])
    rows = "".join(
        f'<tr><td class="n">{problem["line"]:,}</td><td>{escape(str(problem["question_id"] or ""))}</td>'
        f"<td>{escape(problem['problem'])}</td></tr>"
        for problem in problems
    )
    head = '<tr><th class="n">line</th><th>question</th><th>problem</th></tr>'
    return f"<h2>Rows that could not be asked</h2><table>{head}{rows}</table>" if rows else ""


def _cases(cases: Sequence[Case]) -> str:
    if not cases:
        return ""
    return f"<h2>The {number_of(len(cases), 'worst question')}</h2>" + "".join(map(_case, cases))


def _case(case: Case) -> str:
    outcome = case.outcome
    picture = (
        f'<img src="{escape(case.thumbnail)}" alt="">' if case.thumbnail else '<span class="quiet">no picture</span>'
    )
    passages = ""
    if case.passages:
        items = "".join(map(_passage, case.passages))
        passages = f"<details><summary>{number_of(len(case.passages), 'passage')}</summary><ol>{items}</ol></details>"
    expected = ", ".join(case.expected)
    return (
        f"<article><div>{picture}</div><div><p><b>{escape(case.question)}</b> "
        f'<span class="quiet">{escape(outcome.question_id)} {escape(outcome.question_type)}</span></p>'
        f"<p>answered <b>{escape(outcome.answer) or 'nothing'}</b> with confidence {outcome.confidence:.2f}"
        f"{', withheld' if outcome.abstained else ''}; expected {escape(expected)}</p>"
        f'<p><span class="verdict">{escape(outcome.verdict)}</span> '
        f"{escape(outcome.judge)} {percent(outcome.judged)}</p>{passages}</div></article>"
    )


def _passage(passage: CasePassage) -> str:
    marks = ('<span class="mark">right</span> ' if passage.right else "") + (
        '<span class="mark">holds an answer</span> ' if passage.holds_answer else ""
    )
    return (
        f"<li><b>{escape(passage.title)}</b> {marks}"
        f'<span class="quiet">{escape(passage.passage_id)}, score {passage.score:.2f}</span><br>'
        f"{escape(passage.text)}</li>"
    )


def _flat(values: Mapping[str, Any], prefix: str = "") -> str:
    lines = []
    for key, value in values.items():
        if isinstance(value, Mapping):
            lines.append(_flat(value, f"{prefix}{key}."))
        else:
            lines.append(f"{prefix}{key} = {value}")
    return "\n".join(line for line in lines if line)
