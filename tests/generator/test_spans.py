"""Exact probabilities of answer spans."""

from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from generator.spans import span_log_probabilities, span_nll


def by_hand(
    start: list[float], end: list[float], starts: list[bool], ends: list[bool], width: int
) -> dict[object, float]:
    """Every span's probability, added up one by one."""
    masses: dict[object, float] = {"none": math.exp(start[0] + end[0])}
    for first in range(len(start)):
        for last in range(first, min(first + width, len(start))):
            if starts[first] and ends[last]:
                masses[first, last - first] = math.exp(start[first] + end[last])
    total = sum(masses.values())
    return {span: mass / total for span, mass in masses.items()}


@settings(max_examples=40, deadline=None)
@given(st.data())
def test_probabilities_equal_those_added_up_by_hand(data: st.DataObject) -> None:
    n_tokens, width = data.draw(st.integers(2, 9)), data.draw(st.integers(1, 6))
    numbers = st.lists(st.floats(-4, 4), min_size=n_tokens, max_size=n_tokens)
    flags = st.lists(st.booleans(), min_size=n_tokens - 1, max_size=n_tokens - 1)
    start, end = data.draw(numbers), data.draw(numbers)
    starts, ends = [False, *data.draw(flags)], [False, *data.draw(flags)]
    spans, none = span_log_probabilities(
        torch.tensor([start]), torch.tensor([end]), torch.tensor([starts]), torch.tensor([ends]), width=width
    )
    expected = by_hand(start, end, starts, ends, width)
    assert float(none.exp()) == pytest.approx(expected.pop("none"), abs=1e-5)
    found = {(i, j): float(spans[0, i, j].exp()) for i in range(n_tokens) for j in range(width)}
    assert {span: p for span, p in found.items() if p > 0}.keys() <= expected.keys()
    for span, probability in expected.items():
        assert found[span] == pytest.approx(probability, abs=1e-5)  # type: ignore[index]
    assert float(spans.exp().sum() + none.exp().sum()) == pytest.approx(1.0, abs=1e-5)


def test_loss_sums_over_all_places_of_the_answer() -> None:
    torch.manual_seed(0)
    start, end = torch.randn(2, 6), torch.randn(2, 6)
    inside = torch.tensor([[False, False, True, True, True, True]] * 2)
    spans, none = span_log_probabilities(start, end, inside, inside, width=3)
    gold = torch.zeros(2, 6, 3, dtype=torch.bool)
    gold[0, 2, 1] = gold[0, 4, 0] = True
    loss = span_nll(spans, none, gold, torch.tensor([True, False]))
    assert float(loss[0]) == pytest.approx(-math.log(float(spans[0, 2, 1].exp() + spans[0, 4, 0].exp())), rel=1e-5)
    assert float(loss[1]) == pytest.approx(-float(none[1]), rel=1e-5)


def test_gradient_is_finite_where_spans_are_impossible() -> None:
    start = torch.randn(1, 5, requires_grad=True)
    end = torch.randn(1, 5, requires_grad=True)
    inside = torch.tensor([[False, False, True, True, False]])
    spans, none = span_log_probabilities(start, end, inside, inside, width=4)
    gold = torch.zeros(1, 5, 4, dtype=torch.bool)
    span_nll(spans, none, gold, torch.tensor([False])).sum().backward()  # type: ignore[no-untyped-call]
    assert start.grad is not None
    assert torch.isfinite(start.grad).all()
    assert start.grad.abs().sum() > 0
