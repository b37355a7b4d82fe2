from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rag_app.metrics.bem import Bem, Compared, check_bem, load_bem
from rag_app.metrics.evqa import evqa_exact_match, normalise_evqa_answer, split_references
from tests.tiny import save_bem


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("The Cat", "cat"),
        ("<extra_id_0> Lima", "lima"),
        ("<extra_id_0>Lima", "extraid0lima"),  # without the blank it is no prefix, and its marks are deleted
        ("<extra_id_0> a <extra_id_0> b", "b"),  # the prefix goes everywhere, and then "a" is an article
        ("well-known", "wellknown"),  # marks are deleted, not spaced
        ("1,000.5", "10005"),
        ("the answer is blue", "blue"),
        ("The answer is: blue", "blue"),
        ("answer is blue", "answer is blue"),
        ("a an the", ""),
        ("O’Neil´s `x`", "oneils x"),
        ("two TRUE", "2 yes"),
        ("False", "no"),
        ("entailment contradiction", "yes no"),
        ("none", "0"),
        ("don't", "don't"),  # the apostrophe is deleted, and the contraction repaired
        ("dont", "don't"),
        ("couldn't've", "couldntve"),
        ("new\nyork\tcity", "new york city"),
        ("façade — x", "façade — x"),
        ("", ""),
        ("?!", ""),
    ],
)
def test_normalisation(text: str, expected: str) -> None:
    assert normalise_evqa_answer(text) == expected


@pytest.mark.parametrize(
    ("prediction", "references", "expected"),
    [
        ("the Eiffel tower!", ["Eiffel Tower"], 1.0),
        ("Eiffel", ["Eiffel Tower"], 0.0),
        ("Paris", ["London", "paris"], 1.0),
        ("", ["x"], 0.0),
        ("a&&b", ["a&&b"], 1.0),
        ("red and blue", ["red&&blue"], 0.0),  # lists only where the question type says so
    ],
)
def test_single_answers(prediction: str, references: list[str], expected: float) -> None:
    assert evqa_exact_match(prediction, references, question_type="templated") == expected


@pytest.mark.parametrize(
    ("prediction", "references", "expected"),
    [
        ("red, blue", ["red&&blue"], 1.0),
        ("blue and red", ["red&&blue"], 1.0),
        ("red & blue", ["red&&blue"], 1.0),
        ("red", ["red&&blue"], 1.0),  # one of two: 0.5 is enough
        ("red", ["red&&blue&&green"], 0.0),
        ("red, blue, green, white", ["red&&blue"], 1.0),  # two of four
        ("red, blue, green, white, black", ["red&&blue"], 0.0),
        ("red,red,red", ["red&&red"], 1.0),  # sets
        ("red", ["blue", "green&&red"], 1.0),  # the best over the references
        ("sandy", ["s&&y"], 0.0),  # "and" inside a word separates nothing
        ("red and, blue", ["red&&blue"], 0.0),  # "red and" keeps its word: the blank after it was before the comma
        ("red,  and blue", ["red&&blue"], 1.0),
        ("", ["red"], 0.0),
        ("the, a", ["red"], 0.0),
        ("red", ["red&&the&&"], 1.0),  # empty parts are dropped
    ],
)
def test_lists(prediction: str, references: list[str], expected: float) -> None:
    assert evqa_exact_match(prediction, references, question_type="multi_answer") == expected


@pytest.mark.parametrize("question_type", ["templated", "multi_answer"])
@pytest.mark.parametrize("references", [[], ["the"], ["x", "?"]])
def test_empty_references_are_refused(references: list[str], question_type: str) -> None:
    with pytest.raises(ValueError, match=r"no answers|nothing is left"):
        evqa_exact_match("x", references, question_type=question_type)


def test_a_bar_separates_references() -> None:
    assert split_references("Paris|City of Light| ") == ["Paris", "City of Light"]
    assert split_references("a&&b|c") == ["a&&b", "c"]


@given(st.lists(st.sampled_from(["red", "blue", "green", "white"]), min_size=1, max_size=4))
def test_a_list_matches_itself_in_any_order(colours: list[str]) -> None:
    reference = "&&".join(colours)
    assert evqa_exact_match(", ".join(reversed(colours)), [reference], question_type="multi_answer") == 1.0


@pytest.fixture(scope="module")
def bem_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_bem(tmp_path_factory.mktemp("bem"))


@pytest.fixture(scope="module")
def bem(bem_folder: Path) -> Bem:
    return load_bem(bem_folder)


def test_bem_reads_candidate_reference_question(bem: Bem) -> None:
    import torch

    (probability,) = bem.probabilities(["what is it"], ["lima"], ["a city"])
    words = "[CLS] a city [SEP] lima [SEP] what is it [SEP]"
    ids = torch.tensor([bem.tokenizer.convert_tokens_to_ids(words.split(" "))])
    segments = torch.tensor([[0] * 4 + [1] * 6])
    with torch.inference_mode():
        logits = bem.model(input_ids=ids, token_type_ids=segments).logits
    assert probability == pytest.approx(float(logits.softmax(-1)[0, 1]), abs=1e-5)


def test_bem_takes_the_best_reference(bem: Bem) -> None:
    words = ["lima", "oslo", "red", "blue", "city"]
    found = {
        word: other
        for word in words
        for other in words
        if bem.match("what is it", [word], other) != bem.match("what is it", [other], word)
    }
    assert found  # the model tells the two places apart
    one, other = next(iter(found.items()))
    probabilities = bem.probabilities(["what is it"] * 2, [one, other], ["city"] * 2)
    assert bem.match("what is it", [one, other], "city") == float(max(probabilities) >= 0.5)
    assert bem.match("what is it", ["red&&blue"], "city", lists=True) == bem.match("what is it", ["red,blue"], "city")


def test_bem_does_not_depend_on_the_batch(bem: Bem) -> None:
    triples = (["what is it"] * 3, ["lima", "oslo , red", "a"], ["city", "blue", "lima oslo red blue"])
    together = bem.probabilities(*triples)
    assert bem.probabilities(*triples, batch_size=1) == pytest.approx(together, abs=1e-5)


def test_a_folder_without_checkpoint_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"holds no checkpoint of BEM"):
        load_bem(tmp_path)


def test_bem_answers_many_at_a_time_as_one_by_one(bem: Bem) -> None:
    words = ["lima", "oslo", "red", "blue", "city", "a city , red", "it"]
    asked = [
        Compared(question="what is it", references=[one, f"{one}&&red"], candidate=other, lists=other == "it")
        for one in words
        for other in words
    ]
    together = bem.matches([*asked, Compared(question="what", references=[], candidate="lima")])
    alone = [bem.match(one.question, one.references, one.candidate, lists=one.lists) for one in asked]
    assert together == [*alone, 0.0]
    assert set(alone) == {0.0, 1.0}
    assert bem.matches([]) == []


def test_what_is_no_checkpoint_of_bem_is_told_from_its_files(bem_folder: Path, tmp_path: Path) -> None:
    check_bem(bem_folder)
    three = save_bem(tmp_path / "three", classes=3)
    for check in (check_bem, load_bem):
        with pytest.raises(ValueError, match="tells 3 classes apart; BEM has 2"):
            check(three)
    folder = save_bem(tmp_path / "broken")
    for file in [*folder.glob("tokenizer*.json"), folder / "vocab.txt"]:
        file.unlink(missing_ok=True)
    with pytest.raises(ValueError, match="holds no tokenizer of BEM: there is neither"):
        check_bem(folder)
    (folder / "model.safetensors").unlink()
    with pytest.raises(ValueError, match=r"holds no weights of BEM: there is no \*\.safetensors"):
        check_bem(folder)
    for text in ("{", "[]", '{"id2label": 2}', '{"num_labels": "x"}'):
        (folder / "config.json").write_text(text, encoding="utf-8")
        with pytest.raises(ValueError, match=r"config\.json is no configuration of a checkpoint; copy"):
            check_bem(folder)
