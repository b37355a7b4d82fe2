"""Invented proper names in many phonetic styles, none of which is a real name that World Flags knows."""

from __future__ import annotations

import functools
import random
import re

from knowledge_bases.world_flags.country import load_countries

__all__ = ["NameMaker", "known_names"]

# One style a row: onsets, vowels, codas inside a word, endings.
STYLES: tuple[tuple[str, str, str, str], ...] = (
    ("b d f g k l m n p r s t v z br dr gr tr", "a e i o u", " n r l s", "a o ia ora ena"),
    ("k t n m h r w p ng", "a e i o u aa ee", "", "a i u oa ai"),
    ("st sk gr br fj h k l m n r s t v", "a e i o u y ø å", " l n r g k", "by vik land und heim dal"),
    ("sh zh ch k l m n r s t v z kr pr str", "a e i o u y", " v l n r k", "ov grad itsa insk ovo"),
    ("q kh gh dh b d f h j k l m n r s t z", "a i u", " l n r m s", "an ud iyya ab at"),
    ("ts ky ry k s t n h m y r g z", "a i u e o", " n", "to ka ma ro shi"),
    ("tl x ch qu m n t c z h", "a e i o", " tl n l c", "tlan pan ca tec oc"),
    ("ll gw c d f g h l m n p r t w", "a e i o u y w", " dd n r s th", "wyn ydd eth or an"),
    ("b d g j k l m n s t w y mb nd", "a e i o u", "", "ba mbe wa du ngo le"),
    ("th ph v s n m k l r p ch", "a e i o u", " n m t ng", "anh ong im ap ura"),
    ("c d f g l m n p r s t v", "a e i o u ai ei", " s t r l n", "eux ance eau ignac elle"),
    ("b d g h j k l m n p r s t z cs gy sz", "a e i o ö ü á é", " r l n k s", "var ős ely hat falu"),
    ("z v kr dr x gl spl qu", "a e i o u ae", " x r n", "ax ius on eth ion"),
)


@functools.cache
def known_names() -> frozenset[str]:
    """Every word of four letters or more that stands in a real country's facts, in lower case."""
    words = {word.lower() for facts in load_countries().values() for word in re.findall(r"\w{4,}", facts.to_json())}
    return frozenset(words)


class NameMaker:
    """Makes names of one phonetic style; no name twice."""

    def __init__(self, rng: random.Random) -> None:
        self._rng = rng
        self._style = tuple(part.split(" ") for part in rng.choice(STYLES))
        self._used: set[str] = set()

    def name(self) -> str:
        """A new name with a capital letter, not among the known names and not made before."""
        while True:
            word = self._word()
            if 4 <= len(word) <= 12 and word not in self._used and word not in known_names():
                self._used.add(word)
                return word.capitalize()

    def _word(self) -> str:
        onsets, vowels, codas, endings = self._style
        rng = self._rng
        syllables = [
            rng.choice(onsets) + rng.choice(vowels) + (rng.choice(codas) if rng.random() < 0.5 else "")
            for _ in range(rng.choice((1, 1, 2, 2, 2, 3)))
        ]
        ending = rng.choice(endings)
        joined = "".join(syllables) + (rng.choice(onsets) if ending[0] in "aeiou" else "") + ending
        return re.sub(r"(.)\1\1+", r"\1\1", joined).lower()
