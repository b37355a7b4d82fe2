from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rag_app.metrics.infoseek import harmonic_mean, infoseek_match, infoseek_numerical_match, parse_numbers


@pytest.mark.parametrize(
    ("prediction", "aliases", "expected"),
    [
        ("The Alps", ["alps"], 1.0),
        ("alps.", ["Alps", "Alpen"], 1.0),
        ("1871", ["1871", "1872"], 1.0),
        ("1873", ["1871"], 0.0),  # a year is a text: no tolerance beyond the aliases
        ("18 March 1871", ["1871"], 0.0),
        ("Saint-Denis", ["saintdenis"], 1.0),  # marks are deleted, not spaced
        ("two", ["2"], 0.0),  # number words stay
        ("dont", ["don't"], 1.0),
        ("", ["the"], 1.0),  # nothing is left of either
        ("café", ["cafe"], 0.0),
        ("“Alps”", ["Alps"], 0.0),  # only ASCII marks are deleted
    ],
)
def test_texts_and_times(prediction: str, aliases: list[str], expected: float) -> None:
    assert infoseek_match(prediction, aliases) == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("about 12 km", 12.0),
        ("9-10", (9.0, 10.0)),
        ("10-9", 10.0),  # falling: the first number counts
        ("-5", -5.0),
        ("from -5 to -3", (-5.0, -3.0)),
        ("1,234,567", 1234567.0),
        ("1,23", (1.0, 23.0)),  # a comma joins groups of three alone
        ("1.5e3", 1500.0),
        ("3.14.15", (3.14, 15.0)),
        (".5", 5.0),  # a leading full stop is lost
        ("-.5", -0.5),
        ("0.5.", 0.5),
        ("5 6 7", (5.0, 6.0)),
        ("5 3 9", 5.0),
        ("12 m²", 12.0),
        ("m²-3", 3.0),  # a superscript counts as digit before a hyphen
        ("twelve", (0.0, 0.0)),
        ("", (0.0, 0.0)),
        ("٣", 3.0),
        ("+.5.5", 0.0),  # the scorer stops with an error here
    ],
)
def test_numbers_are_found(text: str, expected: float | tuple[float, float]) -> None:
    assert parse_numbers(text) == expected


@pytest.mark.parametrize(
    ("prediction", "reference", "expected"),
    [
        ("10", [9, 11], 1.0),
        ("9", [9, 11], 1.0),
        ("11.0001", [9, 11], 0.0),
        ("9-11", [9, 11], 1.0),
        ("9.5-10", [9, 11], 1.0),  # contained, however short
        ("8-12", [9, 11], 1.0),  # two of four: 0.5 is enough
        ("8-12.1", [9, 11], 0.0),
        ("10-12", [9, 11], 0.0),  # one of three
        ("nothing", [9, 11], 0.0),
        ("nothing", [0, 5], 1.0),  # no number is [0, 0]
        ("nothing", [-1, 0], 1.0),
        ("11", 10.0, 1.0),  # a single reference allows 10 %
        ("11.1", 10.0, 0.0),
        ("-10", -10.0, 0.0),  # below zero its range is the wrong way round
        ("10", [9, 11, 500], 1.0),
        ("1000", [900, 1100], 1.0),
        ("1,000 km", [900, 1100], 1.0),
        ("1 km", [900, 1100], 0.0),  # units are not converted
    ],
)
def test_numerical(prediction: str, reference: list[float] | float, expected: float) -> None:
    assert infoseek_numerical_match(prediction, reference) == expected


def test_faulty_references_are_refused() -> None:
    with pytest.raises(ValueError, match="one number or a range of two, not a list of 1"):
        infoseek_numerical_match("1", [1.0])
    with pytest.raises(ValueError, match="no answers"):
        infoseek_match("1", [])


def test_harmonic_mean() -> None:
    assert harmonic_mean([8.89, 7.38]) == pytest.approx(8.0649, abs=1e-3)
    assert harmonic_mean([0.0, 50.0]) == pytest.approx(0.0, abs=1e-9)
    with pytest.raises(ValueError, match="no scores"):
        harmonic_mean([])


@given(st.text(alphabet="0123456789.,-+eE² ab", max_size=16))
def test_any_text_has_a_number(text: str) -> None:
    found = parse_numbers(text)
    assert isinstance(found, float) or found[0] <= found[1]


@given(st.integers(0, 1000), st.integers(0, 100))
def test_a_range_fits_itself(low: int, length: int) -> None:
    assert infoseek_numerical_match(f"{low} to {low + length}", [low, low + length]) == 1.0
