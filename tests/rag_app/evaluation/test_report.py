"""The page, the worst questions, and the comparison of two runs."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, replace
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from knowledge_bases.records import Passage, VqaExample
from rag_app.datasets import RowProblem
from rag_app.errors import InputError
from rag_app.evaluate_commands import _beside
from rag_app.evaluation.comparing import compare, comparison_text
from rag_app.evaluation.modes import Mode
from rag_app.evaluation.outcomes import Outcome, Verdict, outcome_of, read_outcomes, write_outcomes
from rag_app.evaluation.page import render_page
from rag_app.evaluation.report import answered_text, make_report, report_text
from rag_app.evaluation.worst import case_of, read_cases, worst, write_cases
from rag_app.metrics.infoseek import infoseek_total
from rag_app.predictions import Detail, Prediction
from ui.evaluation_view import results

SPLITS = ("InfoSeek unseen question accuracy", "InfoSeek unseen entity accuracy")
EVIL = "<script>alert('x')</script><img src=x onerror=y>\" & ${1}"


def outcome(
    number: int,
    score: float,
    *,
    confidence: float = 0.5,
    question_type: str = "t",
    more: Mapping[str, float] | None = None,
) -> Outcome:
    return Outcome(
        line=number,
        question_id=f"q{number}",
        question_type=question_type,
        answer="a",
        confidence=confidence,
        abstained=confidence < 0.3,
        verdict=Verdict.RIGHT if score >= 0.5 else Verdict.READING,
        judge="VQA accuracy",
        scores={"VQA accuracy": score, **(more or {})},
    )


def judged(
    answer: str,
    passages: list[Passage],
    *,
    mode: Mode = Mode.RETRIEVAL,
    answers: tuple[str, ...] = ("Lima",),
    times: int = 10,
    **more: Any,  # noqa: ANN401 - of `outcome_of`
) -> Outcome:
    ids = tuple(passage.passage_id for passage in passages)
    return outcome_of(
        VqaExample(question_id="q", question="?", answers=answers * times, pos_passage_ids=("p1",)),
        Prediction(question_id="q", answer=answer, confidence=0.5, passage_ids=ids),
        Detail(question_id="q", abstained=False, passage_scores=(1.0,) * len(ids)),
        line=1,
        mode=mode,
        passages=passages,
        k=5,
        **more,
    )


def test_where_a_question_was_lost() -> None:
    right, other = Passage(passage_id="p1", text="It is a city."), Passage(passage_id="p2", text="Oslo")
    telling = Passage(passage_id="p3", text="The city of LIMA")
    assert judged("Lima", [other]).verdict == Verdict.RIGHT
    assert judged("Oslo", [other]).verdict == Verdict.RETRIEVAL
    assert judged("Oslo", [other, right]).verdict == Verdict.READING
    assert judged("Oslo", [other, telling]).verdict == Verdict.READING
    assert judged("Oslo", [], mode=Mode.NOTHING).verdict == Verdict.NO_PASSAGES
    assert judged("Oslo", [right], answers=()).verdict == Verdict.UNSCORED
    assert judged("x", [other], answers=("",)).verdict == Verdict.RETRIEVAL  # an empty answer stands nowhere


@pytest.mark.parametrize(
    ("answer", "held"),
    [
        ("Rome|the city", True),
        ("lima&&City", True),
        ("Lima && Rome", False),
        ("Rome|lima&&city", True),
        ("|&& ", False),
    ],
)
def test_lists_and_alternatives_of_encyclopedic_vqa_are_looked_for_apart(answer: str, held: bool) -> None:
    telling = Passage(passage_id="p3", text="The city of Lima")
    found = judged("x", [telling], answers=(answer,)).verdict
    assert found == (Verdict.READING if held else Verdict.RETRIEVAL)


@pytest.mark.parametrize(
    ("answers", "answer", "judge", "right"),
    [
        (("Lima",), "Lima", "Exact match", True),  # VQA accuracy: 0
        (("Lima",), "lima.", "Exact match", True),
        (("Lima",), "Oslo", "Exact match", False),
        (("Lima", "Ciudad de los Reyes"), "Lima", "Exact match", True),  # VQA accuracy: 0.17
        (("Lima",) * 3 + ("Cusco",) * 6, "Lima", "Exact match", True),
        (("Lima",) * 3 + ("Cusco",) * 7, "Lima", "VQA accuracy", True),  # 0.9
        (("Lima",) + ("Cusco",) * 9, "Lima", "VQA accuracy", False),  # 0.3
    ],
)
def test_what_decides_follows_from_the_number_of_answers(
    answers: tuple[str, ...], answer: str, judge: str, right: bool
) -> None:
    one = judged(answer, [Passage(passage_id="p1", text="x")], answers=answers, times=1)
    assert one.judge == judge
    assert one.verdict == (Verdict.RIGHT if right else Verdict.READING)
    assert (one in worst([one])) is not right


def test_a_benchmarks_own_metric_or_choice_decides() -> None:
    own = judged("Lima", [], extra={"E-VQA exact match": 0.0}, mode=Mode.NOTHING)
    assert (own.judge, own.verdict) == ("E-VQA exact match", Verdict.NO_PASSAGES)
    spellings = tuple(f"spelling {number}" for number in range(12))
    chosen = judged("spelling 7", [], answers=spellings, times=1, judge="Exact match")
    assert (chosen.judge, chosen.verdict) == ("Exact match", Verdict.RIGHT)
    assert judged("Lima", [], answers=(), judge="Exact match").judge == ""


def test_the_report_says_what_decided() -> None:
    outcomes = [replace(judged("Lima", [], times=times), confidence=1.0) for times in (1, 1, 10)]
    report = make_report(outcomes, [], manifest={})
    assert report["judged_by"] == {"Exact match": 2, "VQA accuracy": 1}
    assert report["metrics"]["VQA accuracy"] == pytest.approx(1 / 3, abs=1e-6)  # as the official scorer computes it
    assert report["calibration"]["ECE"] == 0.0
    assert report["abstaining"]["Accuracy of answered"] == 1.0
    page = render_page(report, [])
    assert "right: Exact match (2 questions) and VQA accuracy (1 question) of at least 50 %" in page
    alone = render_page(make_report(outcomes[:2], [], manifest={}), [])
    assert "right: Exact match of at least 50 %" in alone
    assert "Exact match by question type" in alone


def test_answers_without_a_reference_are_not_called_scored() -> None:
    outcomes = [outcome(1, 1.0), *(replace(judged("Lima", [], answers=()), line=line) for line in (2, 3))]
    report = make_report(outcomes, [RowProblem(line=4, question_id="q4", problem="x")], manifest={})
    assert report["counts"]["questions"] == 3
    assert report["counts"]["no reference answer"] == 2
    said = "3 of 4 rows answered, 2 of them without a reference answer"
    assert f"{said} · 1 reported" in render_page(report, [])
    assert f"{said}, 1 could not be asked" in results([("this", report)])
    scored = make_report(outcomes[:1], [], manifest={})
    assert scored["counts"]["no reference answer"] == 0
    assert "1 of 1 row scored · 0 reported" in render_page(scored, [])
    del scored["counts"]["no reference answer"]  # as in a report of before
    assert answered_text(scored["counts"]) == "1 of 1 row scored"


def test_the_worst_come_first() -> None:
    outcomes = [outcome(1, 0.3), outcome(2, 0.0, confidence=0.2), outcome(3, 1.0), outcome(4, 0.0, confidence=0.9)]
    assert [one.line for one in worst(outcomes)] == [4, 2, 1]
    assert [one.line for one in worst(outcomes, most=1)] == [4]


def evil_report(tmp_path: Path) -> tuple[dict[str, Any], str]:
    one = outcome(1, 0.0, question_type=EVIL, more={"Recall@1": 0.0, "Recall@5": 1.0, "Pseudo-Recall@5": 1.0})
    example = VqaExample(question_id="q1", question=EVIL, answers=(EVIL,), pos_passage_ids=("p",))
    passage = Passage(passage_id="p", title=EVIL, text=EVIL + " word" * 400)
    case = case_of(one, example, [passage], [12.5], lambda: Image.new("RGB", (600, 300), "red"))
    write_cases(tmp_path / "worst.jsonl", [case])
    (again,) = read_cases(tmp_path / "worst.jsonl")
    assert again == case
    manifest = {"mode": "with retrieval", "dataset": EVIL, "preset": {"name": EVIL}}
    report = make_report([one], [RowProblem(line=3, question_id=EVIL, problem=EVIL)], manifest=manifest)
    earlier = make_report([outcome(1, 1.0, question_type=EVIL)], [], manifest={"mode": "oracle"})
    return report, render_page(report, [again], beside=[("oracle", earlier), (EVIL, earlier)])


class Tags(HTMLParser):
    """Collects the tags and the attributes of a page."""

    def __init__(self) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.open: list[str] = []
        self.addresses: list[str] = []
        self.handlers: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        if tag not in ("meta", "img", "br"):
            self.open.append(tag)
        self.addresses += [value or "" for name, value in attrs if name in ("src", "href")]
        self.handlers += [name for name, _ in attrs if name.startswith("on")]

    def handle_endtag(self, tag: str) -> None:
        if tag in self.open and self.open[-1] == tag:
            self.open.pop()


def test_text_from_data_is_never_html(tmp_path: Path) -> None:
    _, page = evil_report(tmp_path)
    tags = Tags()
    tags.feed(page)
    assert "script" not in tags.tags
    assert tags.handlers == []
    assert "&lt;script&gt;" in page
    assert "${1}" in page  # it is there, as text


def test_the_page_opens_offline(tmp_path: Path) -> None:
    _, page = evil_report(tmp_path)
    tags = Tags()
    tags.feed(page)
    assert tags.addresses
    assert all(address.startswith("data:image/jpeg;base64,") for address in tags.addresses)
    assert "link" not in tags.tags
    assert tags.tags.count("details") == 1
    assert tags.tags.count("svg") == 3  # Recall@K, accuracy by question type, calibration
    assert [tag for tag in tags.open if tag not in ("line", "circle", "rect", "polyline")] == []


def test_the_plots_show_the_numbers(tmp_path: Path) -> None:
    _, page = evil_report(tmp_path)
    for text in ("K = 5", "Pseudo-Recall@K", "oracle", "with retrieval", "reading miss", "holds an answer", "ECE"):
        assert text in page
    assert 'fill="#c8572b"' in page  # the second run has bars of its own


def test_two_runs_of_one_mode_stand_side_by_side() -> None:
    one, other = (
        make_report([outcome(1, score, question_type="t")], [], manifest={"mode": "oracle"}) for score in (0.25, 0.75)
    )
    page = render_page(one, [], beside=[("oracle", other)])
    assert "oracle (this)" in page
    bars = page[page.index("by question type</h2>") :]
    assert "25.0" in bars
    assert "75.0" in bars


def test_earlier_runs_of_one_mode_are_told_apart_by_their_folders(tmp_path: Path) -> None:
    folders = [tmp_path / "a" / "out", tmp_path / "b" / "out", tmp_path / "c"]
    for folder in folders:
        folder.mkdir(parents=True)
        (folder / "report.json").write_text(json.dumps(make_report([], [], manifest={"mode": "oracle"})))
    assert [title for title, _ in _beside(folders)] == [*(f"oracle ({one})" for one in folders[:2]), "oracle (c)"]
    assert [title for title, _ in _beside(folders[:1])] == ["oracle"]


def test_a_page_of_nothing() -> None:
    page = render_page(make_report([], [], manifest={}), [])
    assert "<svg" not in page
    assert "0 of 0 rows scored" in page


def test_outcomes_survive_the_file(tmp_path: Path) -> None:
    outcomes = [outcome(1, 0.3, more={"Recall@1": 1.0}), outcome(2, 1.0)]
    write_outcomes(tmp_path / "scores.jsonl", outcomes)
    assert read_outcomes(tmp_path / "scores.jsonl") == outcomes
    (tmp_path / "scores.jsonl").write_text('{"line": 1}\n', encoding="utf-8")
    with pytest.raises(InputError, match="give the output folder of a finished evaluation"):
        read_outcomes(tmp_path / "scores.jsonl")


def test_rows_of_before_say_that_vqa_accuracy_decided(tmp_path: Path) -> None:
    row = asdict(outcome(1, 0.3, more={"Exact match": 1.0}))
    del row["judge"]
    (tmp_path / "scores.jsonl").write_text(json.dumps(row) + "\n", encoding="utf-8")
    (again,) = read_outcomes(tmp_path / "scores.jsonl")
    assert (again.judge, again.judged) == ("VQA accuracy", 0.3)


def test_line_ends_of_unicode_inside_texts_end_no_row(tmp_path: Path) -> None:
    odd = "two\u2028lines\u2029of\x85text"
    outcomes = [replace(outcome(1, 0.0), answer=odd), outcome(2, 0.0)]
    write_outcomes(tmp_path / "scores.jsonl", outcomes)
    assert read_outcomes(tmp_path / "scores.jsonl") == outcomes
    windows = (tmp_path / "scores.jsonl").read_bytes().replace(b"\n", b"\r\n")
    (tmp_path / "scores.jsonl").write_bytes(windows)
    assert read_outcomes(tmp_path / "scores.jsonl") == outcomes
    example = VqaExample(question_id="q1", question=odd, answers=(odd,))
    cases = [case_of(one, example, [], [], lambda: None) for one in outcomes]
    write_cases(tmp_path / "worst.jsonl", cases)
    assert read_cases(tmp_path / "worst.jsonl") == cases


def test_the_table_has_a_column_for_each_run() -> None:
    report = make_report([outcome(1, 1.0)], [], manifest={})
    text = report_text(report, [("oracle", {"metrics": {"Recall@5": 0.25}})])
    lines = text.splitlines()
    assert lines[0].split() == ["metric", "this", "beside:", "oracle"]
    assert next(line for line in lines if line.startswith("VQA")).split() == ["VQA", "accuracy", "100.00", "%", "-"]
    assert next(line for line in lines if line.startswith("Recall@5")).split() == ["Recall@5", "-", "25.00", "%"]


def test_the_bootstrap_is_paired() -> None:
    """Two runs that differ by the same amount everywhere differ for certain, however unlike their questions are."""
    scores = np.random.default_rng(1).random(200) * 0.8
    first = [outcome(i, float(score)) for i, score in enumerate(scores)]
    second = [outcome(i, float(score) + 0.1) for i, score in enumerate(scores)]
    one = compare(first, second, samples=500)["VQA accuracy"]
    assert one.difference == pytest.approx(0.1)
    assert one.low == pytest.approx(0.1)
    assert one.high == pytest.approx(0.1)
    assert one.questions == 200
    assert one.second - one.first == pytest.approx(0.1)


def test_the_interval_is_as_wide_as_theory_says() -> None:
    gains = np.random.default_rng(2).choice([0.0, 1.0], size=400, p=[0.7, 0.3])
    first = [outcome(i, 0.0) for i in range(400)]
    second = [outcome(i, float(gain)) for i, gain in enumerate(gains)]
    one = compare(first, second, samples=4000)["VQA accuracy"]
    half = 1.96 * gains.std() / 20
    assert one.low == pytest.approx(gains.mean() - half, abs=0.006)
    assert one.high == pytest.approx(gains.mean() + half, abs=0.006)
    few = [compare(first, second, samples=20, seed=seed)["VQA accuracy"] for seed in (0, 0, 1)]
    assert few[0] == few[1] != few[2]


def test_only_common_questions_and_metrics_are_compared() -> None:
    first = [outcome(1, 1.0, more={"Recall@1": 1.0}), outcome(2, 0.0), outcome(3, 0.0)]
    second = [outcome(2, 1.0), outcome(1, 1.0), outcome(4, 1.0)]
    differences = compare(first, second, samples=10)
    assert set(differences) == {"VQA accuracy"}
    assert differences["VQA accuracy"].questions == 2
    assert "+50.00" in comparison_text(differences, level=0.95)
    with pytest.raises(InputError, match="no question in common"):
        compare(first, [outcome(9, 1.0)])
    with pytest.raises(InputError, match="samples must be at least 1"):
        compare(first, second, samples=0)
    with pytest.raises(InputError, match=r"the seed must be at least 0, not -1"):
        compare(first, second, seed=-1)


def infoseek(scores: list[list[float]]) -> list[Outcome]:
    """Outcomes of the two splits, of which the general metric says something else."""
    rows = [(split, score) for split, values in zip(SPLITS, scores, strict=True) for score in values]
    return [outcome(number, 0.0, more={split: score}) for number, (split, score) in enumerate(rows)]


def test_infoseeks_total_is_compared_over_its_splits() -> None:
    draws = np.random.default_rng(4)
    first, second = (
        [[float(draws.random() < share) for _ in range(150)] for share in pair] for pair in ((0.2, 0.6), (0.4, 0.7))
    )
    differences = compare(infoseek(first), infoseek(second), samples=3000)
    assert list(differences) == ["InfoSeek", "VQA accuracy", *SPLITS]
    one = differences["InfoSeek"]
    reports = [make_report(infoseek(scores), [], manifest={})["metrics"]["InfoSeek"] for scores in (first, second)]
    assert (one.first, one.second) == pytest.approx(reports, abs=1e-9)
    assert one.difference == pytest.approx(reports[1] - reports[0])
    assert one.questions == 300
    resampled = []
    for _ in range(3000):
        places = [draws.integers(150, size=150) for _ in SPLITS]
        totals = [
            infoseek_total(
                {
                    name: float(np.mean(np.take(values, place)))
                    for name, values, place in zip(SPLITS, of, places, strict=True)
                }
            )
            for of in (first, second)
        ]
        assert totals[0] is not None
        assert totals[1] is not None
        resampled.append(totals[1] - totals[0])
    low, high = np.quantile(resampled, [0.025, 0.975])
    assert one.low == pytest.approx(low, abs=0.012)
    assert one.high == pytest.approx(high, abs=0.012)
    assert one.low < one.difference < one.high
    assert compare(infoseek(first), infoseek(second), samples=50) == compare(
        infoseek(first), infoseek(second), samples=50
    )
    assert "InfoSeek" not in compare(infoseek([first[0], []]), infoseek([second[0], []]), samples=10)


def test_infoseeks_total_differs_for_certain_where_every_question_does() -> None:
    """Paired: both evaluations are scored on the same draw, so equal ones do not differ in any."""
    same = infoseek([[0.0, 1.0, 1.0], [1.0, 0.0]])
    one = compare(same, same, samples=200)["InfoSeek"]
    assert (one.difference, one.low, one.high) == (0.0, 0.0, 0.0)
    assert one.first == pytest.approx(0.5714)  # of 66.67 and 50
    worst_of_all = infoseek([[0.0] * 3, [0.0] * 2])
    assert compare(worst_of_all, same, samples=200)["InfoSeek"].first == 0.0
