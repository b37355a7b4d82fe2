"""World Flags as training material: what is held out for testing is not in it."""

from __future__ import annotations

import torch

from knowledge_bases.world_flags.country import load_countries
from knowledge_bases.world_flags.questions import is_held_out
from knowledge_bases.world_flags.relations import asks_about, load_phrasings
from rag_app.flag_training import world_flags_pairs, world_flags_passages
from retriever.training.flag_atlas import FlagAtlas


def test_pairs_that_are_held_out_are_never_trained_on() -> None:
    countries = load_countries()
    classes = torch.arange(len(countries))
    pixels = torch.zeros((1, len(countries), 3, 1, 1), dtype=torch.uint8)
    atlas = FlagAtlas(codes=tuple(countries), pixels=pixels, classes=classes, drawings=classes[:, None])
    pairs = world_flags_pairs(atlas, world_flags_passages())
    trained = {(atlas.codes[pair.picture], pair.relation) for pair in pairs}
    asked = {(code, ask.relation) for code, facts in countries.items() for ask in asks_about(facts)}
    assert trained == {pair for pair in asked if not is_held_out(*pair)}
    assert trained != asked
    phrasings = load_phrasings()
    capital = next(pair for pair in pairs if pair.relation == "capital")
    assert set(capital.phrasings) == set(phrasings["capital"]["train"])
    assert all(pair.positives for pair in pairs)
