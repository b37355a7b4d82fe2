from __future__ import annotations

import gzip
import json
from typing import Any

import pytest
import torch
from torch import Tensor

from benchmarks.straightforward import query_rows
from retriever.configuration import FLMRConfig
from retriever.modeling import FLMRModelForRetrieval
from retriever.parts import Parts
from tests.retriever.conftest import GOLDEN, BuildModel

PUBLISHED = ("FLMR", "PreFLMR_ViT-B", "PreFLMR_ViT-L", "PreFLMR_ViT-G")


def ids(batch: int = 3, length: int = 10, seed: int = 0) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(seed)
    tokens = torch.randint(5, 60, (batch, length), generator=generator)
    tokens[:, 0], tokens[:, 1] = 3, 1
    tokens[0, 4] = 9  # the instruction's end
    tokens[-1, -2:] = 0
    return tokens, (tokens != 0).long()


def pictures(*shape: int) -> Tensor:
    return torch.randn(*shape, 3, 16, 16, generator=torch.Generator().manual_seed(1))


@pytest.mark.parametrize("name", PUBLISHED)
def test_published_configs_give_the_published_keys_and_shapes(name: str) -> None:
    config = json.loads((GOLDEN / "state_dicts" / f"{name}.config.json").read_text())
    expected = json.loads(gzip.decompress((GOLDEN / "state_dicts" / f"{name}.json.gz").read_bytes()))
    with torch.device("meta"):
        model = FLMRModelForRetrieval(FLMRConfig.from_dict(config))
    assert {key: list(value.shape) for key, value in model.state_dict().items()} == expected


@pytest.mark.parametrize("attention", ["eager", "sdpa"])
@pytest.mark.parametrize(
    "settings",
    [
        {},
        {"query_mask_input_ids_skip_list": [7, 20, 21, 22]},
        {"transformer_mapping_cross_attention_length": 4},
        {"transformer_mapping_num_hidden_layers": 3, "transformer_mapping_cross_attention_length": 64},
        {"mask_instruction_token": None},
        {"use_transformer_mapping_network": False},
        {"separate_query_and_context_text_encoder": True, "separate_query_and_context_vision_encoder": True},
    ],
)
@pytest.mark.parametrize("n_regions", [1, 3])
def test_query_equals_the_plain_path(
    build: BuildModel, attention: str, settings: dict[str, Any], n_regions: int
) -> None:
    model = build(attention=attention, **settings)
    tokens, mask = ids()
    tokens[1, 6] = 20
    pixels = pictures(3, n_regions)
    with torch.no_grad():
        rows = model.query(tokens, mask, pixels)
        expected = query_rows(model, tokens, mask, pixels)
    assert rows.late_interaction_output.shape == expected.shape
    torch.testing.assert_close(rows.late_interaction_output, expected, atol=1e-5, rtol=0)
    assert torch.equal(rows.mask, expected.abs().sum(dim=-1) > 0)


def test_mapping_network_looks_in_both_directions(build: BuildModel) -> None:
    tokens, mask = ids()
    pixels = pictures(3)
    changed = pixels.clone()
    changed[:, :, 8:, 8:] += 1  # the last of the four patches
    for attention in ("eager", "sdpa"):
        model = build(attention=attention)
        with torch.no_grad():
            encoder: Any = model.query_vision_encoder
            mapping: Any = model.transformer_mapping_network
            del encoder
            patches = torch.randn(1, 4, 32)
            other = patches.clone()
            other[:, -1] += 1
            text = torch.randn(1, 5, 32)
            first, second = mapping.map_patches(patches, text, None), mapping.map_patches(other, text, None)
        assert (first[:, 0] - second[:, 0]).abs().max() > 1e-3
        assert model.query(tokens, mask, changed).late_interaction_output.shape == (3, 10 + 3 + 4, 16)


def test_features_given_equal_features_computed(build: BuildModel) -> None:
    model = build()
    tokens, mask = ids()
    pixels = pictures(3, 2)
    encoder: Any = model.query_vision_encoder
    with torch.no_grad():
        output = encoder(pixels.flatten(0, 1))
        features, patches = output.global_feature.view(3, 2, -1), output.patches.view(3, 2, 4, -1)
        expected = model.query(tokens, mask, pixels)
        got = model.query(tokens, mask, image_features=features, patch_features=patches)
    torch.testing.assert_close(got.late_interaction_output, expected.late_interaction_output)


def test_fast_vision_path_equals_the_plain_one_and_gives_the_same_gradients(build: BuildModel) -> None:
    encoder: Any = build().query_vision_encoder
    pixels = pictures(2)
    plain = encoder.hidden_states(pixels)
    plain[1][:, 0].square().sum().backward()
    wanted = {name: value.grad.clone() for name, value in encoder.named_parameters() if value.grad is not None}
    encoder.zero_grad()
    fast = encoder(pixels)
    fast.global_feature.square().sum().backward()
    torch.testing.assert_close(fast.global_feature, plain[1][:, 0], atol=1e-5, rtol=1e-5)
    torch.testing.assert_close(fast.patches, plain[0][:, 1:])
    for name, gradient in wanted.items():
        torch.testing.assert_close(encoder.get_parameter(name).grad, gradient, atol=1e-4, rtol=1e-3)


def test_mixed_batch_equals_its_items_alone(build: BuildModel) -> None:
    model = build()
    tokens, mask = ids()
    pixels = pictures(3)
    parts = [Parts.TEXT, Parts.IMAGE, Parts.TEXT_AND_IMAGE]
    with torch.no_grad():
        mixed = model.query(tokens, mask, pixels, parts=parts)
        for index, part in enumerate(parts):
            one = slice(index, index + 1)
            alone = model.query(tokens[one], mask[one], pixels[one], parts=part)
            torch.testing.assert_close(
                mixed.late_interaction_output[index][mixed.mask[index]],
                alone.late_interaction_output[0][alone.mask[0]],
                atol=1e-6,
                rtol=0,
            )
    assert (mixed.late_interaction_output[~mixed.mask] == 0).all()


def test_mixed_documents_equal_their_items_alone(build: BuildModel) -> None:
    model = build(context_concat_output_from_vision_encoder=True)
    tokens, mask = ids()
    pixels = pictures(3)
    parts = [Parts.TEXT, Parts.IMAGE, Parts.TEXT_AND_IMAGE]
    with torch.no_grad():
        mixed = model.doc(tokens, mask, pixels, parts=parts)
        whole = model.doc(tokens, mask, pixels)
        for index, part in enumerate(parts):
            one = slice(index, index + 1)
            alone = model.doc(tokens[one], mask[one], pixels[one], parts=part)
            torch.testing.assert_close(
                mixed.late_interaction_output[index][mixed.mask[index]],
                alone.late_interaction_output[0][alone.mask[0]],
                atol=1e-6,
                rtol=0,
            )
    assert whole.late_interaction_output.shape[1] == 3 + 10
    assert whole.mask[:, :3].all()  # prefix rows come first


def test_document_mask_leaves_out_padding_and_punctuation(build: BuildModel) -> None:
    tokens, mask = ids()
    tokens[1, 5] = 10
    with torch.no_grad():
        masked = build().doc(tokens, mask).mask
        unmasked = build(mask_punctuation=False).doc(tokens, mask).mask
    assert masked.tolist() == [[token not in (0, 9, 10, 11) for token in row] for row in tokens.tolist()]
    assert torch.equal(unmasked, tokens != 0)


def test_text_only_model_has_no_picture_modules(build: BuildModel) -> None:
    model = build(use_vision_encoder=False)
    assert not [name for name in model.state_dict() if "vision" in name or "mapping" in name]
    tokens, mask = ids()
    with torch.no_grad():
        assert model.query(tokens, mask).late_interaction_output.shape == (3, 10, 16)
    with pytest.raises(ValueError, match="cannot encode pictures"):
        model.query(tokens, mask, pictures(3))


def test_shared_modules_are_shared(build: BuildModel) -> None:
    model = build()
    tokens, mask = ids()
    tokens = tokens.where(~torch.isin(tokens, torch.tensor([0, 9, 10, 11])), 30)
    with torch.no_grad():
        query, doc = model.query(tokens, mask), model.doc(tokens, mask)
    torch.testing.assert_close(query.late_interaction_output, doc.late_interaction_output)


def test_bfloat16_on_the_cpu_works(build: BuildModel) -> None:
    model = build()
    tokens, mask = ids()
    pixels = pictures(3)
    with torch.no_grad():
        expected = model.query(tokens, mask, pixels).late_interaction_output
        rows = model.to(torch.bfloat16).query(tokens, mask, pixels.bfloat16())
    assert rows.late_interaction_output.dtype is torch.bfloat16
    cosine = (rows.late_interaction_output.float() * expected).sum(dim=-1)[rows.mask]
    assert cosine.min() > 0.98


def test_autocast_trains_with_finite_gradients(build: BuildModel) -> None:
    model = build().train()
    queries, passages = ids(2), ids(4, seed=5)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        output = model(*queries, pictures(2), context_input_ids=passages[0], context_attention_mask=passages[1])
    assert output.loss.dtype is torch.float32
    output.loss.backward()
    gradients = [value.grad for value in model.parameters() if value.grad is not None]
    assert len(gradients) > 50
    assert all(torch.isfinite(gradient).all() for gradient in gradients)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({}, "nothing to encode"),
        ({"parts": Parts.TEXT}, "without input_ids"),
        ({"input_ids": ids()[0], "parts": Parts.IMAGE}, "without pixel_values"),
        ({"pixel_values": pictures(3)}, "give input_ids"),
        ({"input_ids": ids()[0], "image_features": torch.zeros(3, 24)}, "needs patches"),
        ({"input_ids": ids()[0], "pixel_values": torch.zeros(3, 3, 8, 8)}, "the model takes"),
        ({"input_ids": ids()[0], "parts": [Parts.TEXT]}, "parts names 1 items and the batch has 3"),
        ({"input_ids": torch.ones(1, 600, dtype=torch.long)}, "the model takes 512"),
    ],
)
def test_wrong_inputs_give_one_clear_line(build: BuildModel, arguments: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message) as caught:
        build().query(**arguments)
    assert "\n" not in str(caught.value)


def test_a_small_vocabulary_needs_its_token_ids() -> None:
    config = FLMRConfig.from_dict({"text_config": {"vocab_size": 100}})
    with torch.device("meta"), pytest.raises(ValueError, match="pass token_ids"):
        FLMRModelForRetrieval(config)
