from __future__ import annotations

import copy
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image

from knowledge_bases.records import VisualQuestion
from retriever.encoder import Encoder
from retriever.explanation import RowKind, explain
from retriever.images import ImageProcessor
from retriever.index.codec import CodecSettings
from retriever.index.compressed import LateInteractionIndex
from retriever.index.exact import ExactIndex
from retriever.late_interaction import maxsim
from retriever.processing import FLMRProcessor
from retriever.tokenization import ADDED_BY_FLMR, FLMRContextTokenizer, FLMRQueryTokenizer

PIXELS = np.random.default_rng(0).integers(0, 256, (60, 90, 3), dtype=np.uint8)
PICTURE = Image.fromarray(PIXELS)
CONTENT = "Lima. The capital of Peru is Lima, a city on the coast."
QUESTIONS = [
    VisualQuestion(text="What is the capital?", image=PICTURE),
    VisualQuestion(text="What is the capital?"),
    VisualQuestion(image=PICTURE),
    VisualQuestion(text="Où est-ce? 首都", image=PICTURE, instruction="Find the page"),
]


def score(encoder: Encoder, question: VisualQuestion, content: str) -> float:
    passage = encoder.encode_passages([content])[0][None]
    return float(maxsim(encoder.encode_queries([question])[0], passage, torch.ones(passage.shape[:2]).bool())[0])


@pytest.mark.parametrize("question", QUESTIONS)
def test_contributions_add_up_to_maxsim(encoder: Encoder, question: VisualQuestion) -> None:
    found = explain(encoder, question, CONTENT)
    assert found.score == pytest.approx(score(encoder, question, CONTENT), abs=1e-4)
    assert sum(found.part(kind) for kind in RowKind) == pytest.approx(found.score, abs=1e-9)
    per_token = sum(row.cosine for token in range(len(found.tokens)) for row in found.rows_of(token))
    assert per_token == pytest.approx(found.score, abs=1e-9)
    assert min(row.cosine for row in found.rows) >= -1.0001


def test_each_row_names_its_best_token(encoder: Encoder) -> None:
    query = encoder.encode_queries([QUESTIONS[0]])[0]
    passage = encoder.encode_passages([CONTENT])[0]
    found = explain(encoder, QUESTIONS[0], CONTENT)
    assert (len(found.rows), len(found.tokens)) == (len(query), len(passage))
    for number, row in enumerate(found.rows):
        cosines = passage @ query[number]
        assert cosines[row.best] == cosines.max() == pytest.approx(row.cosine, abs=1e-6)
    assert len({row.best for row in found.rows}) > 1  # rows that all chose alike would prove little


def test_rows_are_labelled(encoder: Encoder) -> None:
    found = explain(encoder, QUESTIONS[0], CONTENT)
    config = encoder.model.config
    side = config.vision_config.image_size // config.vision_config.patch_size
    kinds = [row.kind for row in found.rows]
    assert kinds.count(RowKind.PICTURE) == config.mapping_network_prefix_length
    assert found.grid == (side, side)
    places = [row.place for row in found.rows if row.kind is RowKind.PATCH]
    assert places == [(line, column) for line in range(side) for column in range(side)]
    text = [row for row in found.rows if row.kind is RowKind.TEXT]
    words = [QUESTIONS[0].text[slice(*row.span)] for row in text if row.span]
    assert "".join(words) == "Whatisthecapital?"
    frame = [row.token for row in found.rows if row.kind is RowKind.FRAME]
    assert frame[:3] == ["[CLS]", "[unused0]", "[SEP]"]
    assert set(frame[3:]) <= {"[MASK]"}
    without = explain(encoder, QUESTIONS[1], CONTENT)
    assert (without.grid, without.seen) == (None, None)
    assert {row.kind for row in without.rows} == {RowKind.TEXT, RowKind.FRAME}


def test_passage_tokens_know_their_characters(encoder: Encoder) -> None:
    tokens = explain(encoder, QUESTIONS[0], CONTENT).tokens
    assert [token.token for token in tokens if token.span is None] == ["[CLS]", "[unused1]", "[SEP]"]
    written = "".join(CONTENT[slice(*token.span)] for token in tokens if token.span)
    assert written == CONTENT.replace(" ", "").replace(".", "").replace(",", "")


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(text=st.text(min_size=1, max_size=60), content=st.text(max_size=400))
def test_any_text_is_explained(encoder: Encoder, text: str, content: str) -> None:
    if not text.strip():
        return
    found = explain(encoder, VisualQuestion(text=text), content)
    for spans, source in (
        ([row.span for row in found.rows], text),
        ([token.span for token in found.tokens], content),
    ):
        assert all(0 <= span[0] < span[1] <= len(source) for span in spans if span is not None)
    assert found.score == pytest.approx(score(encoder, VisualQuestion(text=text), content), abs=1e-4)


def test_a_cut_passage_is_explained_as_far_as_it_is_read(encoder: Encoder) -> None:
    long = " ".join(["capital of the land"] * 400)
    found = explain(encoder, QUESTIONS[1], long)
    last = max(token.span[1] for token in found.tokens if token.span)
    assert last < len(long)
    assert found.tokens[-1].token == "[SEP]"
    assert found.score == pytest.approx(score(encoder, QUESTIONS[1], long), abs=1e-4)


def test_it_agrees_with_the_indexes(encoder: Encoder, tmp_path: Path) -> None:
    """The exact index keeps float16 rows; the compressed one differs by its codec's error on the matched rows."""
    contents = [CONTENT, *(f"The {word} of the land is a city." for word in ("money", "capital", "river", "name"))]
    embeddings = encoder.encode_passages(contents)
    query = encoder.encode_queries([QUESTIONS[0]])[0]
    index = ExactIndex.create(tmp_path / "index", dim=encoder.dim, fingerprint="f")
    index.add(contents, embeddings)
    exact = dict(index.search(query, k=len(contents)))
    for content in contents:
        assert explain(encoder, QUESTIONS[0], content).score == pytest.approx(exact[content], abs=1e-3 * len(query))
    compressed = LateInteractionIndex.convert(index, CodecSettings(n_bits=4))
    decoded = dict(compressed.search(query, k=len(contents), n_candidates=len(contents)))
    codec = compressed.codec
    for content, rows in zip(contents, embeddings, strict=True):
        kept = torch.from_numpy(codec.decode(codec.encode(rows, dtype=torch.float32)))
        # A row that is moved by a distance changes its cosine with a unit row by that distance at most.
        tolerance = len(query) * float((kept - rows).norm(dim=1).max())
        assert abs(explain(encoder, QUESTIONS[0], content).score - decoded[content]) <= tolerance + 1e-3


def test_region_markers_are_no_part_of_the_text() -> None:
    words = ["[PAD]", "[unused0]", "[unused1]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "what", "is", "it", "."]
    vocabulary = [*words, *ADDED_BY_FLMR]
    processor = FLMRProcessor(
        FLMRQueryTokenizer(vocabulary), FLMRContextTokenizer(vocabulary), None, instruction_end=None
    )
    assert [piece for piece in processor.question_pieces(VisualQuestion(text="what is")) if piece[1]] == [
        ("what", (0, 4)),
        ("is", (5, 7)),
    ]
    assert [piece for piece in processor.passage_pieces("it is") if piece[1]] == [("it", (0, 2)), ("is", (3, 5))]


@pytest.mark.parametrize("size", [(90, 60), (60, 90), (50, 50), (3000, 70)])
def test_the_seen_part_is_what_is_cropped(size: tuple[int, int]) -> None:
    left, top, right, bottom = ImageProcessor.for_size(32).seen(*size)
    assert (right - left, bottom - top) == pytest.approx((min(size), min(size)))
    assert ((left + right) / 2, (top + bottom) / 2) == pytest.approx((size[0] / 2, size[1] / 2))
    assert ImageProcessor(height=32, width=32, shortest_edge=None).seen(*size) == (0, 0, *size)
    # White in the seen part and black around it comes out white but for the blur at the border.
    image = Image.new("L", size, 0)
    image.paste(255, (round(left), round(top), round(right), round(bottom)))
    pixels = ImageProcessor(height=32, width=32, shortest_edge=32, mean=None, std=None)([image])
    assert float(pixels[0, :, 2:-2, 2:-2].min()) > 0.99


def test_rows_of_the_passages_own_picture_have_their_share(encoder: Encoder) -> None:
    model = copy.deepcopy(encoder.model)
    model.config = replace(
        model.config, context_concat_output_from_vision_encoder=True, extra={"passage_picture_weight": 0.9}
    )
    reader = Encoder(model, encoder.processor, identify=lambda: "pictures")
    found = explain(reader, QUESTIONS[0], CONTENT, PICTURE)
    query = reader.encode_queries([QUESTIONS[0]])[0]
    passage = reader.encode_passages([CONTENT], {0: lambda: PICTURE})[0]
    assert found.score == pytest.approx(float((passage @ query.T).amax(dim=0).sum()), abs=1e-4)
    n = reader.passage_picture_rows
    assert {token.token for token in found.tokens[:n]} == {"[picture]"}
    assert found.tokens[n:] == explain(reader, QUESTIONS[0], CONTENT).tokens
    assert any(row.best < n for row in found.rows)
