from __future__ import annotations

from rag_app.counting import number_of


def test_one_is_no_plural() -> None:
    assert [number_of(n, "passage") for n in (0, 1, 2, 3510)] == [
        "0 passages",
        "1 passage",
        "2 passages",
        "3,510 passages",
    ]
    assert [number_of(n, "entry", "entries") for n in (0, 1, 2)] == ["0 entries", "1 entry", "2 entries"]
