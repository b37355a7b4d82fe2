from __future__ import annotations

import copy
import string
from dataclasses import replace

import numpy as np
import pytest
import torch
from PIL import Image

from knowledge_bases.records import VisualQuestion
from retriever.encoder import Encoder
from retriever.images import ImageProcessor
from retriever.masks import BERT_UNCASED
from retriever.processing import ASCII_PUNCTUATION, IMAGE_AND_QUESTION, IMAGE_ONLY, QUESTION_ONLY, FLMRProcessor
from retriever.tokenization import ADDED_BY_FLMR, FLMRContextTokenizer, FLMRQueryTokenizer

WORDS = ["what", "is", "it", ".", ":", "?", "##s", "café", "cafe"]
VOCABULARY = ["[PAD]", "[unused0]", "[unused1]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *WORDS]


def picture(width: int = 90, height: int = 60, mode: str = "RGB", seed: int = 0) -> Image.Image:
    pixels = np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8)
    return Image.fromarray(pixels).convert(mode)


def test_query_text_is_the_published_one(encoder: Encoder) -> None:
    text = encoder.processor.query_text
    asked = VisualQuestion(text="What is it?", image=picture(), instruction=" Find it: in the image ")
    assert text(asked) == "Find it: in the image:  What is it? "
    assert text(VisualQuestion(text="Q", image=picture())) == f"{IMAGE_AND_QUESTION}  Q "
    assert text(VisualQuestion(image=picture())) == f"{IMAGE_ONLY}   "
    assert text(VisualQuestion(text="Q")) == f"{QUESTION_ONLY}  Q "


def test_flmr_checkpoints_take_region_markers() -> None:
    vocabulary = [*VOCABULARY, *ADDED_BY_FLMR]
    processor = FLMRProcessor(
        FLMRQueryTokenizer(vocabulary), FLMRContextTokenizer(vocabulary), None, instruction_end=None
    )
    assert processor.query_text(VisualQuestion(text="what", instruction="ignored")) == "<BOQ> what <EOQ>"
    described = VisualQuestion(text="what", description="<BOV> hat <EOV>")
    assert processor.query_text(described) == "<BOQ> what <EOQ> <BOV> hat <EOV>"
    assert [span for _, span in processor.question_pieces(described) if span] == [(0, 4)]
    assert processor.passage_text("it is") == "<BOK> it is <EOK>"


def test_mixed_questions_equal_each_alone(encoder: Encoder) -> None:
    questions = [
        VisualQuestion(text="What is it?", image=picture()),
        VisualQuestion(text="who designed the bridge"),
        VisualQuestion(image=picture(seed=1, mode="L")),
        VisualQuestion(text="What is it?", image=picture(seed=2, mode="RGBA"), instruction="Find the page:"),
    ]
    together = encoder.encode_queries(questions)
    for question, rows in zip(questions, together, strict=True):
        torch.testing.assert_close(rows, encoder.encode_queries([question])[0], atol=1e-5, rtol=0)
        torch.testing.assert_close(rows.norm(dim=1), torch.ones(len(rows)))
    assert len(together[1]) <= 32 < len(together[0])
    assert encoder.encode_queries([]) == []


def test_a_question_without_anything_is_an_error(encoder: Encoder) -> None:
    with pytest.raises(ValueError, match="neither a text nor a picture"):
        encoder.encode_queries([VisualQuestion(text="  ")])


def test_passages_are_ragged_in_order_and_report_progress(encoder: Encoder) -> None:
    texts = ["A short one.", "The tower is in Paris, France. " * 4, "", "a b c! " * 90, "The bridge."]
    seen: list[tuple[int, int]] = []
    together = encoder.encode_passages(texts, progress=lambda done, total: seen.append((done, total)))
    assert seen[-1] == (5, 5)
    tokenizer = encoder.processor.context_tokenizer
    for text, rows in zip(texts, together, strict=True):
        torch.testing.assert_close(rows, encoder.encode_passages([text])[0], atol=1e-5, rtol=0)
        padded = tokenizer(text)
        with torch.no_grad():
            expected = encoder.model.doc(**padded)  # type: ignore[arg-type]
        torch.testing.assert_close(rows, expected.late_interaction_output[0][expected.mask[0]], atol=1e-5, rtol=0)
    assert encoder.encode_passages([]) == []


def test_regions_are_encoded_beside_the_picture(encoder: Encoder) -> None:
    regions = (picture(20, 30, seed=4), picture(30, 20, seed=5))
    plain = VisualQuestion(text="what is it", image=picture(60, 40, seed=3))
    with_regions = replace(plain, regions=regions)
    questions = [plain, with_regions, VisualQuestion(text="no picture")]
    rows = encoder.encode_queries(questions)
    inputs = encoder.processor.queries([with_regions])
    assert inputs["pixel_values"].shape[:2] == (1, 3)
    with torch.no_grad():
        expected = encoder.model.query(**inputs)  # type: ignore[arg-type]
    torch.testing.assert_close(rows[1], expected.late_interaction_output[0][expected.mask[0]], atol=1e-5, rtol=0)
    torch.testing.assert_close(rows[0], encoder.encode_queries([plain])[0], atol=1e-5, rtol=0)
    n_text = len(rows[0]) - (len(rows[1]) - len(rows[0])) // 2
    assert len(rows[1]) == n_text + 3 * (len(rows[0]) - n_text)
    with pytest.raises(ValueError, match="different numbers of regions"):
        encoder.processor.queries([plain, with_regions])


def test_a_long_instruction_is_reported(encoder: Encoder, caplog: pytest.LogCaptureFixture) -> None:
    encoder.encode_queries([VisualQuestion(text="what", instruction="word " * 60)])
    assert "1 instructions are longer than the query" in caplog.text


def test_built_in_token_ids_are_the_32_ascii_punctuation_characters() -> None:
    assert string.punctuation == ASCII_PUNCTUATION
    assert len(BERT_UNCASED.punctuation) == 32
    assert BERT_UNCASED.instruction_end in BERT_UNCASED.punctuation


@pytest.mark.parametrize("mode", ["RGB", "L", "RGBA", "CMYK", "P", "1"])
@pytest.mark.parametrize("size", [(90, 60), (33, 81), (64, 64), (1, 1), (500, 40)])
@pytest.mark.parametrize("squash", [False, True])
def test_pixels_equal_those_of_transformers(mode: str, size: tuple[int, int], squash: bool) -> None:
    from transformers.models.clip.image_processing_pil_clip import CLIPImageProcessorPil

    ours = ImageProcessor(height=48, width=48, shortest_edge=None if squash else 48)
    theirs = CLIPImageProcessorPil(**{**ours.to_dict()})
    image = picture(*size, mode=mode)
    expected = theirs(images=[image], return_tensors="pt")["pixel_values"]
    torch.testing.assert_close(ours([image]), expected, atol=1e-6, rtol=0)
    assert ImageProcessor.from_dict(ours.to_dict(), 48) == ours


def test_a_very_long_picture_takes_little_memory() -> None:
    pixels = ImageProcessor()([picture(30_000, 3)])
    assert pixels.shape == (1, 3, 224, 224)


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"do_resize": False}, "do_resize off"),
        ({"size": {"height": 10, "width": 10}, "do_center_crop": False}, "the model takes 48"),
        ({"do_center_crop": False}, "does not crop"),
    ],
)
def test_image_settings_that_do_not_fit_are_errors(values: dict[str, object], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        ImageProcessor.from_dict(values, 48)


def test_one_text_is_one_row_and_settings_survive_saving(encoder: Encoder) -> None:
    tokenizer = FLMRContextTokenizer(VOCABULARY, settings={"doc_maxlen": 6})
    assert tokenizer("one string")["input_ids"].shape == (1, 6)
    files = encoder.processor.query_tokenizer.files()
    assert files.keys() >= {"vocab.txt", "tokenizer_config.json", "special_tokens_map.json"}


def test_accents_are_composed_where_they_are_kept() -> None:
    cased = FLMRQueryTokenizer(VOCABULARY, settings={"do_lower_case": False})
    assert cased.tokens("cafe\u0301") == ["café"]
    assert FLMRQueryTokenizer(VOCABULARY).tokens("CAFÉ") == ["cafe"]


def test_a_vocabulary_without_the_marker_is_an_error() -> None:
    with pytest.raises(ValueError, match=r"has no '\[unused0\]'"):
        FLMRQueryTokenizer([token for token in VOCABULARY if token != "[unused0]"])


def test_a_length_without_room_is_an_error() -> None:
    with pytest.raises(ValueError, match="use 3 or more"):
        FLMRQueryTokenizer(VOCABULARY)("what", max_length=2)


def reading_pictures(encoder: Encoder, weight: float) -> Encoder:
    """The same encoder, of a checkpoint that reads passages' pictures."""
    model = copy.deepcopy(encoder.model)
    model.config = replace(
        model.config, context_concat_output_from_vision_encoder=True, extra={"passage_picture_weight": weight}
    )
    return Encoder(model, encoder.processor, identify=lambda: "pictures")


def test_a_passages_picture_gives_rows_before_its_text(encoder: Encoder) -> None:
    texts, picture = ["one short passage", "another", "a third"], Image.new("RGB", (40, 30), "red")
    reader = reading_pictures(encoder, 0.5)
    n = reader.passage_picture_rows
    assert n == encoder.model.config.mapping_network_prefix_length
    plain = reader.encode_passages(texts)
    shown = reader.encode_passages(texts, {0: lambda: picture, 1: lambda: None, 2: lambda: picture})
    assert torch.equal(shown[1], plain[1])  # a picture that cannot be read leaves the text
    for place in (0, 2):
        assert torch.equal(shown[place][n:], plain[place])
        assert shown[place][:n].norm(dim=-1) == pytest.approx(0.5, abs=1e-5)
    assert torch.equal(shown[0][:n], shown[2][:n])
    query = reader.encode_queries([VisualQuestion(image=picture)])[0]
    if not reader.model.config.separate_query_and_context_vision_encoder:
        first = query[-reader.picture_rows(VisualQuestion(image=picture)) :][:n]
        assert torch.allclose(shown[0][:n], 0.5 * first, atol=1e-5)  # as the question's picture is encoded


def test_pictures_of_passages_are_not_opened_where_texts_alone_count(encoder: Encoder) -> None:
    def opened() -> Image.Image:
        raise AssertionError

    assert encoder.passage_picture_rows == 0
    assert torch.equal(encoder.encode_passages(["a"], {0: opened})[0], encoder.encode_passages(["a"])[0])
