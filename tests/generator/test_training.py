"""Training data and loop: right spans, the same for a seed, resumable, and it learns."""

from __future__ import annotations

import itertools
import json
import random
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from generator.extractive import ExtractiveReader
from generator.loading import load_generator
from generator.protocol import Candidate
from generator.training.evaluation import colloquial_cases, flag_cases, normalised, score_reader
from generator.training.examples import ReadingExample
from generator.training.features import make_batch
from generator.training.invented import invented_examples
from generator.training.reader import save_reader
from generator.training.schemas import load_kinds
from generator.training.trainer import LoopSettings, run_loop
from generator.training.values import draw
from generator.training.vocabulary import make_tokenizer, word_pieces
from generator.training.wikipedia import cloze_examples, read_texts
from generator.training.world_flags import world_flags_examples
from knowledge_bases.records import Passage, VisualQuestion
from knowledge_bases.world_flags.country import load_countries
from knowledge_bases.world_flags.questions import is_held_out
from tests.generator.tiny import reader_parts

TEXTS = [
    "In 1889 the engineer Gustave Eiffel opened the tower in Paris to 200 guests and to the press of many countries.",
    "The river Rhine flows for 1,230 kilometres and reaches the sea near Rotterdam after crossing 6 countries in all.",
]


def take(source: Iterator[ReadingExample], count: int) -> list[ReadingExample]:
    return list(itertools.islice(source, count))


def test_every_relation_can_be_said_and_asked() -> None:
    kinds = load_kinds()
    assert kinds[0].noun == "country"
    for kind in kinds:
        for relation in kind.relations.values():
            assert relation.statements, (kind.noun, relation.name)
            assert relation.questions or relation.noun_phrases, (kind.noun, relation.name)
            assert all("{v}" in statement for statement in relation.statements), (kind.noun, relation.name)
        for group in kind.close:
            assert group <= kind.relations.keys()


def test_examples_are_the_same_for_a_seed() -> None:
    assert take(invented_examples(3), 20) == take(invented_examples(3), 20)
    assert take(invented_examples(3), 20) != take(invented_examples(4), 20)


def test_invented_answers_stand_where_the_spans_say() -> None:
    examples = take(invented_examples(11), 400)
    for example in examples:
        for start, end in example.spans:
            assert example.context[start:end].strip() == example.context[start:end] != ""
    absent = sum(not example.spans for example in examples)
    assert 60 < absent < 160


def test_world_flags_answers_stand_where_the_spans_say() -> None:
    countries = list(load_countries().values())
    examples = take(world_flags_examples(countries, 5), 120)
    real = [(one.entity, one.kind.removeprefix("flags/")) for one in examples if one.entity and one.spans]
    assert real
    assert not any(is_held_out(*pair) for pair in real)
    assert any(not example.spans for example in examples)
    for example in examples:
        answers = {example.context[start:end].lower() for start, end in example.spans}
        assert len(answers) <= 1


def test_gaps_are_real_and_only_once_in_their_sentence() -> None:
    for example in take(cloze_examples(TEXTS, 2), 60):
        for start, end in example.spans:
            answer = example.context[start:end]
            assert any(answer in text for text in TEXTS)
            assert answer not in example.question.split()


def test_a_saved_reader_keeps_its_words_in_8_bits_and_reads_alike(tmp_path: Path) -> None:
    model, tokenizer = reader_parts(positions=320)
    state = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    save_reader(model, tokenizer, tmp_path / "reader")
    words = "bert.embeddings.word_embeddings.weight"
    saved = load_file(tmp_path / "reader" / "model.safetensors")
    assert {name for name, tensor in saved.items() if tensor.dtype == torch.float8_e4m3fn} == {words}
    assert json.loads((tmp_path / "reader" / "config.json").read_text(encoding="utf-8"))["dtype"] == "float16"
    reader = load_generator(tmp_path / "reader", device=torch.device("cpu"), dtype=torch.float32, api_key=None)
    assert isinstance(reader, ExtractiveReader)
    loaded = reader.model.state_dict()
    assert loaded.keys() == state.keys()
    for name, tensor in loaded.items():
        assert tensor.dtype == torch.float32
        torch.testing.assert_close(tensor, state[name], rtol=0.07 if name == words else 1e-3, atol=2.0**-10)


def test_passage_files_name_the_bad_row(tmp_path: Path) -> None:
    path = tmp_path / "passages.jsonl"
    path.write_text('{"text": "one"}\n{"txt": "two"}\n')
    with pytest.raises(ValueError, match="row 2: expected a JSON object with a text"):
        read_texts(path)


def test_unknown_slots_are_named() -> None:
    with pytest.raises(ValueError, match=r"unknown slot \{planet\}; known are aim, airport"):
        draw("planet", random.Random(0))


def test_gold_spans_become_the_right_tokens() -> None:
    _, tokenizer = reader_parts()
    context = "Paris, the city of 1,234 people."
    at = context.index("1,234")
    examples = [
        ReadingExample(question="how many", context=context, spans=((at, at + 5),)),
        ReadingExample(question="which city", context=context, spans=((0, 5),)),
        ReadingExample(question="what", context=context, spans=()),
        ReadingExample(question="too long", context=context, spans=((0, len(context)),)),
    ]
    batch = make_batch(tokenizer, examples, max_tokens=64, width=6)
    assert batch.answerable.tolist() == [True, True, False, False]
    row, first, more = batch.gold.nonzero()[0].tolist()
    tokens = batch.inputs["input_ids"][row, first : first + more + 1]
    assert str(tokenizer.decode(tokens)).replace(" ", "") == "1,234"
    with pytest.raises(ValueError, match="lies outside a context"):
        ReadingExample(question="q", context="ab", spans=((1, 3),))


def copying(seed: int) -> Iterator[ReadingExample]:
    """The answer is the word after the word that is asked for."""
    rng = random.Random(seed)
    words = ["paris", "lyon", "rome", "france", "italy", "people", "city"]
    while True:
        order = rng.sample(words, 4)
        context = f"the {order[0]} has {order[1]} and the {order[2]} has {order[3]}"
        at = context.index("has " + order[1]) + 4
        yield ReadingExample(question=f"what has the {order[0]}", context=context, spans=((at, at + len(order[1])),))


def sources(seed: int) -> Sequence[tuple[float, Iterator[ReadingExample]]]:
    return [(1.0, copying(seed))]


def test_the_loop_learns_and_logs(tmp_path: Path) -> None:
    model, tokenizer = reader_parts(positions=48)
    settings = LoopSettings(
        steps=60, warmup=5, decay=1 / 3, batch_size=8, learning_rate=2e-3, pool=2, width=4, max_tokens=48, log_every=20
    )
    lines: list[str] = []
    run_loop(model, tokenizer, sources, settings, folder=tmp_path, progress=lines.append)
    losses = [json.loads(line)["loss"] for line in (tmp_path / "log.jsonl").read_text().splitlines()]
    assert len(losses) == len(lines) == 3
    assert losses[-1] < 0.8 * losses[0]


def test_a_stopped_run_goes_on(tmp_path: Path) -> None:
    model, tokenizer = reader_parts(positions=48)
    short = LoopSettings(
        steps=6, warmup=2, decay=1 / 3, batch_size=2, pool=1, width=4, max_tokens=48, checkpoint_every=3
    )
    run_loop(model, tokenizer, sources, short, folder=tmp_path)
    fresh, _ = reader_parts(positions=48, seed=9)
    lines: list[str] = []
    longer = LoopSettings(steps=8, warmup=2, decay=0.25, batch_size=4, pool=1, width=4, max_tokens=48, log_every=1)
    run_loop(fresh, tokenizer, sources, longer, folder=tmp_path, progress=lines.append)
    assert [line.split()[1] for line in lines] == ["7/8", "8/8"]
    distance = sum(
        float((a - b).detach().abs().max()) for a, b in zip(model.parameters(), fresh.parameters(), strict=True)
    )
    assert 0 < distance < 0.1  # two small steps from where the first run stopped
    other = LoopSettings(steps=8, warmup=2, decay=0.25, learning_rate=1.0, width=4, max_tokens=48)
    with pytest.raises(ValueError, match="holds a run with other settings; give another folder or delete it"):
        run_loop(fresh, tokenizer, sources, other, folder=tmp_path)


def test_loop_settings_must_fit() -> None:
    with pytest.raises(ValueError, match=r"warmup \(50 steps\) and decay \(0.15 of the steps\) must fit into 55 steps"):
        LoopSettings(steps=55)


class Parrot:
    """Answers with the first word of the passage."""

    def propose(self, question: VisualQuestion, passages: Sequence[Passage]) -> list[Candidate]:
        return self.propose_batch([question], [passages])[0]

    def propose_batch(
        self, questions: Sequence[VisualQuestion], passages_of_each: Sequence[Sequence[Passage]]
    ) -> list[list[Candidate]]:
        return [
            [
                Candidate(answer=p.text.split()[0], log_likelihood=-1.0, passage_index=i, no_answer_probability=0.6)
                for i, p in enumerate(passages)
            ]
            for passages in passages_of_each
        ]


def test_scores_count_what_is_right_and_what_is_recognised_as_absent() -> None:
    cases = colloquial_cases()
    answerable = [case for case in cases if case.answers]
    assert len(answerable) >= 60
    assert all(any(answer.lower() in c.passage.content.lower() for answer in c.answers) for c in answerable)
    score = score_reader(Parrot(), cases)
    assert (score.detected, score.withheld) == (1.0, 1.0)
    hits = sum(
        normalised(c.passage.text.split()[0]) in {normalised(answer) for answer in c.answers} for c in answerable
    )
    assert score.right == pytest.approx(hits / len(answerable))


@pytest.mark.parametrize("edited_seed", [None, 3])
def test_flag_cases_hold_their_answers(edited_seed: int | None) -> None:
    countries = dict(itertools.islice(load_countries().items(), 8))
    cases = flag_cases(countries, "validation", edited_seed=edited_seed)
    assert {bool(case.answers) for case in cases} == {True, False}
    for case in cases:
        if case.answers:
            assert any(answer.lower() in case.passage.content.lower() for answer in case.answers)


def test_all_pieces_but_the_unused_are_kept_in_their_order(tmp_path: Path) -> None:
    _, known = reader_parts()
    pieces = sorted(known.get_vocab(), key=known.get_vocab().__getitem__)
    make_tokenizer([pieces[0], "[unused0]", *pieces[1:], "[unused1]"], max_tokens=48).save_pretrained(tmp_path)
    vocabulary = word_pieces(tmp_path)
    assert vocabulary == pieces
    tokenizer = make_tokenizer(vocabulary, max_tokens=48)
    assert tokenizer.tokenize("Pâris") == ["paris"]
    assert len(tokenizer("rome")["input_ids"]) == 3  # [CLS], the word, [SEP]
