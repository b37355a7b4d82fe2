"""Puts questions into many words: frames around noun phrases, synonyms, and the noise of hurried typing."""

from __future__ import annotations

import random
import re

from generator.training.schemas import Kind, Relation

__all__ = ["add_noise", "ask"]

# {np} a noun phrase, {e} the thing, {es} its possessive, {in} "there"
_FRAMES = (
    "what is {es} {np}", "what is the {np} of {e}", "what is the {np}", "what is the {np} {in}", "{np}", "{es} {np}",
    "the {np}", "{np} of {e}", "name the {np} of {e}", "name {es} {np}", "tell me the {np} of {e}", "tell me {es} {np}",
    "do you know {es} {np}", "do you know the {np} {in}", "i want to know the {np}", "which is {es} {np}",
    "which {np} does {e} have", "give me the {np}", "could you tell me {es} {np}", "can you say what {es} {np} is",
    "any idea what {es} {np} is", "find {es} {np}", "what would be the {np}", "i wonder what the {np} is",
    "what do you know about {es} {np}", "what {np} does {e} have", "what about {es} {np}", "and the {np}",
    "{np} {in}", "what's {es} {np}", "what's the {np}", "whats the {np} {in}", "can you find out the {np} of {e}",
    "{e}'s {np}", "i am looking for the {np}", "identify the {np} of {e}", "state the {np}", "what {np} is it",
    "we are talking about {e}, so what is {es} {np}", "if i look at {e}, what is the {np}", "what {np} do they have",
    "let me know {es} {np}", "is there a {np}, and what is it", "what is known as {es} {np}", "tell us about {es} {np}",
)  # fmt: skip
_OPENERS = (
    "hey, ", "please tell me, ", "quick question: ", "so ", "ok, ", "hi, ", "um, ", "just wondering, ", "well, ",
    "i'd like to know: ", "excuse me, ", "can you tell me ", "for my homework: ", "looking at this flag, ", "sorry, ",
    "going by the picture, ", "dear assistant, ", "one more thing, ", "seeing this, ", "guess what i need: ",
)  # fmt: skip
_CLOSERS = (" please", " pls", " thanks", ", do you know", ", if i may ask", " then", " nowadays", ", any idea")
_SYNONYMS: dict[str, tuple[str, ...]] = {
    "people": ("folks", "persons", "men and women", "citizens", "residents", "locals", "ppl"),
    "country": ("nation", "state", "land", "place", "realm", "territory"),
    "big": ("large", "huge", "vast", "sizeable"),
    "biggest": ("largest", "greatest", "hugest", "top"),
    "largest": ("biggest", "greatest", "main"),
    "highest": ("tallest", "loftiest", "biggest", "topmost"),
    "money": ("cash", "dough", "currency", "coins", "notes", "funds"),
    "currency": ("money", "cash", "tender", "coin", "notes"),
    "language": ("tongue", "speech", "idiom", "lingo"),
    "speak": ("talk", "use", "converse in", "chat in"),
    "leader": ("chief", "boss", "head", "ruler", "head honcho"),
    "leads": ("rules", "governs", "heads", "runs", "is in charge of", "reigns over"),
    "neighbours": ("neighbors", "adjoining countries", "countries nearby"),
    "city": ("town", "metropolis", "place"),
    "main": ("chief", "principal", "most important", "primary", "key", "major"),
    "colours": ("colors", "hues", "tints", "shades"),
    "flag": ("banner", "ensign", "standard", "cloth", "emblem"),
    "stand for": ("mean", "represent", "symbolise", "signify", "express", "tell us"),
    "mean": ("stand for", "signify", "represent"),
    "become": ("turn", "get", "grow"),
    "independent": ("free", "sovereign", "self-governing"),
    "independence": ("freedom", "sovereignty", "self-rule"),
    "phone": ("call", "ring", "telephone"),
    "eat": ("dine on", "have for dinner", "munch", "cook"),
    "famous": ("well known", "renowned", "celebrated", "popular"),
    "religion": ("faith", "belief", "creed", "god"),
    "many": ("much", "high a number of"),
    "live": ("dwell", "reside", "stay", "have their home", "settle"),
    "lies": ("is", "sits", "is situated", "is found"),
    "located": ("situated", "found", "placed", "to be found"),
    "founded": ("set up", "started", "established", "created"),
    "drive": ("motor", "go by car", "travel"),
    "borders": ("touches", "adjoins", "meets"),
    "border": ("touch", "adjoin", "meet", "abut"),
    "exports": ("sells", "ships", "sends abroad"),
    "called": ("named", "known as", "termed"),
    "area": ("size", "surface", "extent"),
    "date": ("day", "time"),
    "celebrate": ("party", "feast", "commemorate"),
    "sea": ("ocean", "water"),
    "built": ("put up", "erected", "made"),
    "died": ("passed away", "met the end"),
    "wrote": ("penned", "authored", "produced"),
    "government": ("administration", "state", "authorities"),
    "number": ("figure", "count", "amount", "total"),
    "used": ("in use", "taken", "employed"),
    "which": ("what", "wich"),
    "kind": ("sort", "type"),
    "type": ("kind", "sort"),
    "high": ("tall", "lofty"),
    "internet": ("web", "online", "net"),
    "website": ("web page", "site", "homepage"),
    "websites": ("web pages", "sites", "homepages", "web addresses"),
}
_SYNONYM = re.compile(r"\b(" + "|".join(sorted(map(re.escape, _SYNONYMS), key=len, reverse=True)) + r")\b")
_DROPPABLE = frozenset(
    ("the", "of", "is", "a", "an", "do", "does", "did", "are", "it", "its", "in", "to", "there", "this", "that", "for")
)


def ask(relation: Relation, kind: Kind, name: str, rng: random.Random, *, noise: bool = True) -> str:
    """A question for the relation, now a whole one, now a frame around a noun phrase."""
    n_whole, n_framed = len(relation.questions), len(relation.noun_phrases)
    if n_framed and (not n_whole or rng.random() < 0.45):
        text = rng.choice(_FRAMES).replace("{np}", rng.choice(relation.noun_phrases))
    else:
        text = rng.choice(relation.questions)
    named = rng.random() < 0.12
    refer = name if named else rng.choice(kind.properties["refer"])
    possessive = f"{refer}'s" if named or rng.random() < 0.2 else rng.choice(kind.properties["possessive"])
    text = text.replace("{es}", possessive).replace("{e}", refer)
    text = text.replace("{in}", f"in {refer}" if named else rng.choice(kind.properties["locative"]))
    return add_noise(text, rng) if noise else text[:1].upper() + text[1:] + "?"


def _typo(text: str, rng: random.Random) -> str:
    places = [i for i in range(1, len(text) - 1) if text[i].isalpha() and text[i + 1].isalpha()]
    if not places:
        return text
    at = rng.choice(places)
    kind = rng.random()
    if kind < 0.35:
        return text[:at] + text[at + 1] + text[at] + text[at + 2 :]
    if kind < 0.7:
        return text[:at] + text[at + 1 :]
    if kind < 0.85:
        return text[:at] + text[at] + text[at:]
    return text[:at] + rng.choice("abcdefghijklmnopqrstuvwxyz") + text[at + 1 :]


def add_noise(text: str, rng: random.Random) -> str:
    """The question as somebody may really type it."""
    text = text.rstrip("?")
    if rng.random() < 0.45:
        chance = rng.choice([0.3, 0.6])
        text = _SYNONYM.sub(lambda m: rng.choice(_SYNONYMS[m[0]]) if rng.random() < chance else m[0], text)
    if rng.random() < 0.12:
        words = text.split()
        kept = [word for word in words if not (word in _DROPPABLE and rng.random() < 0.6)]
        text = " ".join(kept) if len(kept) >= 2 else text
    if rng.random() < 0.15:
        text = rng.choice(_OPENERS) + text
    if rng.random() < 0.1:
        text += rng.choice(_CLOSERS)
    for _ in range(rng.choice([0, 0, 0, 0, 0, 1, 1, 2])):
        text = _typo(text, rng)
    if rng.random() < 0.5:
        text = text[:1].upper() + text[1:]
    elif rng.random() < 0.05:
        text = text.upper()
    return text + rng.choice(["?", "?", "?", "", "", "", ".", " ?", "??"])
