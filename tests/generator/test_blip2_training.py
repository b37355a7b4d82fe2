"""BLIP-2-mini at a tiny size: it can only answer with pieces of the passage, its loss falls, its folder loads again."""

from __future__ import annotations

import json
import math
import random
from itertools import islice
from pathlib import Path
from typing import Any

import pytest
import torch
from PIL import Image
from transformers import CLIPVisionConfig, CLIPVisionModel

from generator.blip2 import Blip2Generator
from generator.generation import GenerationSettings
from generator.loading import load_generator
from generator.passage_spans import PassageSpans
from generator.prompts import knowledge_prompt
from generator.training.blip2 import Vision, copying_loss, save_blip2
from generator.training.blip2_features import copying_batch, lengthening
from generator.training.blip2_model import NO_ANSWER, Blip2Shape, new_blip2, new_tokenizer, vision_weights
from generator.training.examples import ReadingExample
from generator.training.trainer import LoopSettings, train
from knowledge_bases.records import Passage, VisualQuestion
from tests.generator.test_training import copying, sources
from tests.generator.tiny import reader_parts, reader_vocabulary

CLIP: dict[str, Any] = {"hidden_size": 16, "intermediate_size": 24, "num_hidden_layers": 2, "num_attention_heads": 2}
CLIP |= {"image_size": 28, "patch_size": 14}
VOCABULARY = [*reader_vocabulary(), NO_ANSWER]


def clip() -> Any:  # noqa: ANN401
    torch.manual_seed(1)
    model: Any = CLIPVisionModel(CLIPVisionConfig(**CLIP, hidden_act="quick_gelu"))
    return model.eval()


def tiny_vision() -> Vision:
    model = clip()
    torch.manual_seed(2)
    return Vision(
        config={**CLIP, "hidden_act": "quick_gelu", "layer_norm_eps": 1e-5},
        weights=vision_weights(model.state_dict(), 0.02),
        mean=(0.5, 0.5, 0.5),
        std=(0.5, 0.5, 0.5),
        pictures={"fr": torch.rand(2, 3, 28, 28)},
    )


@pytest.fixture
def parts() -> tuple[Any, Any]:
    reader, _ = reader_parts(vocabulary=VOCABULARY)
    vision = tiny_vision()
    model = new_blip2(
        reader, VOCABULARY, vision.config, vision.weights, Blip2Shape(query_tokens=3, qformer_heads=2), seed=4
    )
    return model, new_tokenizer(VOCABULARY, max_tokens=96)


def spans_of(tokenizer: Any, text: str, width: int = 4) -> PassageSpans:  # noqa: ANN401
    return PassageSpans.of(tokenizer, [text], width=width)[0]


def test_only_pieces_of_the_passage_can_be_spelled(parts: tuple[Any, Any]) -> None:
    tokenizer = parts[1]
    text = "Paris has 12 people. Paris is the capital"
    spans = spans_of(tokenizer, text)
    ids = tokenizer.get_vocab()

    def after(*words: str) -> set[str]:
        return set(tokenizer.convert_ids_to_tokens(spans.allowed([ids[word] for word in words])))

    assert after() == {"paris", "has", "1", "people", ".", "is", "the", "capital"}
    assert after("paris") == {"has", "is", "[SEP]"}
    assert after("1") == {"##2"}  # an answer ends where a word does
    assert after("people", ".", "paris", "is") == {"[SEP]"}  # as long as an answer may be
    assert after("capital") == after("rome") == {"[SEP]"}
    place = spans.place([ids["1"], ids["##2"], ids["people"]])
    assert place is not None
    assert text[place[0] : place[1]] == "12 people"
    assert spans.tokens(*place) == (ids["1"], ids["##2"], ids["people"])
    assert spans.tokens(11, 12) is None  # the second half of a word
    assert spans.tokens(0, len(text)) is None  # too long


def test_answers_follow_their_prompts(parts: tuple[Any, Any]) -> None:
    tokenizer = parts[1]
    ids = tokenizer.get_vocab()
    examples = [
        ReadingExample(question="which city", context="Rome is the capital", spans=((0, 4),), entity="it"),
        ReadingExample(question="how many", context="Rome", spans=()),
    ]
    batch = copying_batch(tokenizer, examples, max_tokens=64, width=4, no_answer=ids[NO_ANSWER])
    assert batch.targets.tolist() == [ids["rome"], ids["[SEP]"], ids[NO_ANSWER]]
    assert batch.rows.tolist() == [0, 0, 1]
    tokens = tokenizer.convert_ids_to_tokens(batch.input_ids[0][: int(batch.attention_mask[0].sum())])
    assert tokens[0] == "[CLS]"
    assert tokens[-3:] == ["answer", ":", "rome"]
    assert batch.columns.tolist()[:2] == [len(tokens) - 2, len(tokens) - 1]
    assert batch.allowed[0, ids[NO_ANSWER]]
    assert not batch.allowed[1, ids[NO_ANSWER]]
    assert batch.allowed.gather(1, batch.targets[:, None]).all()
    assert batch.entities == ("it", "")


def test_passages_begin_short_and_keep_their_answers() -> None:
    context = "France. " + " ".join(f"The {word} has {number} people." for number, word in enumerate("abcdefgh"))
    at = context.index("5 people")
    example = ReadingExample(question="how many has f", context=context, spans=((at, at + 1),))
    absent = ReadingExample(question="how many has z", context=context, spans=())
    short = list(islice(lengthening(iter([example, absent] * 20), random.Random(0), done=0, short=40, share=0), 40))
    assert all(len(one.context) < len(context) for one in short)
    assert {one.context[a:b] for one in short for a, b in one.spans} == {"5"}
    later = list(lengthening(iter([example] * 3), random.Random(0), done=40, short=40, share=0))
    assert [one.context for one in later] == [context] * 3


def test_the_vision_encoder_sees_what_clip_sees() -> None:
    from transformers import Blip2VisionConfig, Blip2VisionModel

    model, pixels = clip(), torch.randn(4, 3, 28, 28)
    with torch.no_grad():
        spread = float(model.embeddings(pixel_values=pixels)[:, 1:].std(dim=-1, correction=0).mean())
        other: Any = Blip2VisionModel(Blip2VisionConfig(**CLIP, hidden_act="quick_gelu", layer_norm_eps=1e-5))
        other.eval()
        other.load_state_dict(vision_weights(model.state_dict(), spread))
        expected = model.post_layernorm(model(pixel_values=pixels).last_hidden_state)
        cosines = torch.cosine_similarity(other(pixel_values=pixels).last_hidden_state, expected, dim=-1)
    assert float(cosines.mean()) > 0.98


def test_the_loss_falls_and_the_folder_loads_again(parts: tuple[Any, Any], tmp_path: Path) -> None:
    model, tokenizer = parts
    settings = LoopSettings(steps=40, warmup=3, decay=0.25, batch_size=8, learning_rate=4e-3, pool=2, log_every=10)
    no_answer = tokenizer.get_vocab()[NO_ANSWER]
    frozen = model.language_model.get_input_embeddings().weight.clone()
    pictures = tiny_vision().pictures["fr"]
    seen = model.vision_model(pixel_values=pictures).last_hidden_state.detach()
    train(
        model,
        sources,
        lambda examples: copying_batch(tokenizer, examples, max_tokens=48, width=4, no_answer=no_answer),
        lambda batch: copying_loss(model, batch, [seen[n % 2] if n % 3 else None for n in range(8)]),
        settings,
        folder=tmp_path / "run",
    )
    losses = [json.loads(line)["loss"] for line in (tmp_path / "run" / "log.jsonl").read_text().splitlines()]
    assert losses[-1] < 0.8 * losses[0]
    assert torch.equal(frozen, model.language_model.get_input_embeddings().weight)
    save_blip2(model, tokenizer, tiny_vision(), tmp_path / "blip2")
    check_what_was_saved(tmp_path / "blip2")


def check_what_was_saved(folder: Path) -> None:
    settings = GenerationSettings(beams=2, max_new_tokens=4)
    loaded = load_generator(folder, device=torch.device("cpu"), dtype=torch.float32, settings=settings)
    assert isinstance(loaded, Blip2Generator)
    example = next(copying(5))
    passages = [Passage(passage_id="1", text=example.context.title()), Passage(passage_id="2", text="Rome " * 150)]
    picture = Image.new("RGB", (40, 30), "red")
    questions = [VisualQuestion(text=example.question), VisualQuestion(text="which city?", image=picture)]
    (first, long), (shown,), (bare,) = loaded.propose_batch([*questions, questions[0]], [passages, passages[:1], []])
    for candidate in (first, long, shown):
        assert candidate.answer
        assert candidate.answer in (passages[0].text + passages[1].text)
        assert 0 < candidate.no_answer_probability < 1
    assert (bare.answer, bare.no_answer_probability) == ("", 1.0)
    alone = loaded.propose(questions[0], passages[:1])[0]
    assert alone.answer == first.answer
    assert alone.log_likelihood == pytest.approx(first.log_likelihood, abs=1e-4)
    expected = -loss_of(loaded, questions[0].text, passages[0].text, first.answer)
    assert first.log_likelihood == pytest.approx(expected, abs=1e-4)


def loss_of(generator: Blip2Generator, question: str, text: str, answer: str) -> float:
    """-log p(answer) as training computes it."""
    tokenizer = generator.tokenizer
    at = text.index(answer)
    example = ReadingExample(question=question, context=text, spans=((at, at + len(answer)),))
    no_answer = tokenizer.get_vocab()[NO_ANSWER]
    batch = copying_batch(tokenizer, [example], max_tokens=64, width=3, no_answer=no_answer)
    prompt = tokenizer(knowledge_prompt(question, text))["input_ids"]
    assert batch.input_ids[0, : len(prompt)].tolist() == prompt
    with torch.inference_mode():
        loss = float(copying_loss(generator.model, batch, [None]))
    assert math.isfinite(loss)
    return loss
