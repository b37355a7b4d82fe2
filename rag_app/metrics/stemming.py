"""Stems the words of an answer as OK-VQA's annotations are stemmed: plurals to singulars, "-ing" forms to verbs.

OK-VQA's `answer` field is stemmed ("riding horses" is "ride horse") and its stemmer was never published. These are the
regular rules of English spelling with the exceptions that matter for short answers; where a reference file carries the
annotators' own `raw_answer` beside the stemmed `answer`, `rag_app.metrics.okvqa` uses that pair instead.
"""

from __future__ import annotations

import re
from functools import lru_cache

__all__ = ["stem_answer", "stem_word"]


def _pairs(text: str) -> dict[str, str]:
    return dict(pair.split(":") for pair in text.split())


def _words(text: str) -> frozenset[str]:
    return frozenset(text.split())


_IRREGULAR = _pairs(
    """
    men:man women:woman children:child feet:foot teeth:tooth geese:goose mice:mouse oxen:ox firemen:fireman
    policemen:policeman fishermen:fisherman leaves:leaf knives:knife wolves:wolf shelves:shelf loaves:loaf halves:half
    calves:calf scarves:scarf thieves:thief wives:wife hooves:hoof elves:elf bookshelves:bookshelf potatoes:potato
    tomatoes:tomato heroes:hero echoes:echo mosquitoes:mosquito mangoes:mango buffaloes:buffalo volcanoes:volcano
    torpedoes:torpedo dying:die lying:lie tying:tie dyeing:dye changing:change arranging:arrange lounging:lounge
    plunging:plunge exchanging:exchange adding:add buses:bus gases:gas lenses:lens quizzes:quiz aches:ache
    headaches:headache axes:axe caches:cache exploring:explore ignoring:ignore bathing:bathe breathing:breathe
    travelling:travel modelling:model
    """
)
_UNCHANGED = _words(
    """
    always athletics atlas bass bias boss bus canvas chaos christmas chess circus clothes compass congress diabetes
    physics politics mathematics gymnastics economics electronics ethics gas glass glasses goggles jeans pants shorts
    scissors kansas texas arkansas illinois james thomas lens less news pajamas perhaps plus series species tennis
    tongs trousers tweezers us yes has was does is his its as unless status campus cactus focus virus octopus
    hippopotamus platypus asparagus hummus sunglasses binoculars las vegas los angeles dallas paris athens wales
    this thus netherlands united states philippines mars venus adidas levis mercedes headphones
    anything beijing bing boeing building ceiling clothing darling duckling during earring evening everything king
    lightning morning nothing offspring outing peking pudding ring sibling sing sling something spring sterling
    sting string swing thing viking wedding wing inning bring cling bling ding ping zing
    """
)
_IE = _words(
    """
    brownies calories cookies doggies goalies hoodies hippies movies pies prairies rookies selfies smoothies sorties
    ties veggies zombies genies eyries birdies lies dies
    """
)
_OE = _words("shoes toes hoes canoes horseshoes oboes snowshoes")
_SIBILANT = re.compile(r"(ss|sh|ch|x|zz|tz)es$")
_ONE_SYLLABLE_ENDING_SHORT = re.compile(r"[^aeiouy]*[aeiouy][^aeiouywx]")
_LOST_E = re.compile(r"([^aeiou]at|[cvuz]|[^su]s|[dr]g|[bcdfgkpstz]l|[^aeiou][aiu]r)$")
_DOUBLED = re.compile(r"([bdgmnprt])\1$")
_VOWEL = re.compile(r"[aeiouy]")


def stem_answer(text: str) -> str:
    """Every word stemmed; case and the blanks between words are normalised."""
    return " ".join(stem_word(word) for word in text.lower().split())


@lru_cache(maxsize=65_536)
def stem_word(word: str) -> str:
    """The singular of a plural, the verb of an "-ing" form; other words as they are. Expects lower case."""
    if word in _IRREGULAR:
        return _IRREGULAR[word]
    if word in _UNCHANGED or not word.isalpha():
        return word
    if word.endswith("ing") and len(word) > 4:
        return _verb(word.removesuffix("ing")) or word
    if word.endswith("s") and len(word) > 3 and not word.endswith(("ss", "us", "is")):
        return _singular(word)
    return word


def _singular(word: str) -> str:
    if word in _IE or word in _OE:
        return word[:-1]
    if word.endswith("ies"):
        return word[:-3] + "y"
    if _SIBILANT.search(word):
        return word[:-2]
    return word[:-1]


def _verb(stem: str) -> str | None:
    """The verb that "-ing" was added to; None where what remains cannot be one."""
    if not _VOWEL.search(stem) or len(stem) < 2:
        return None
    if _DOUBLED.search(stem):
        return stem[:-1]
    if _ONE_SYLLABLE_ENDING_SHORT.fullmatch(stem) or _LOST_E.search(stem):
        return stem + "e"
    return stem
