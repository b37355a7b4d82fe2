from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from retriever.checkpoints import load_retriever
from retriever.configuration import FLMRConfig, FLMRTextConfig, FLMRVisionConfig, MappingConfig
from retriever.encoder import Encoder
from retriever.masks import TokenIds
from retriever.modeling import FLMRModelForRetrieval

GOLDEN = Path(__file__).parent.parent / "golden_data"
TINY = GOLDEN / "a_preflmr"

BuildModel = Callable[..., FLMRModelForRetrieval]


@pytest.fixture(autouse=True)
def one_thread() -> None:
    torch.set_num_threads(1)


@pytest.fixture(scope="session")
def encoder() -> Encoder:
    """A tiny PreFLMR with published file layout."""
    return load_retriever(TINY, device=torch.device("cpu"), dtype=torch.float32)


@pytest.fixture
def build() -> BuildModel:
    """Builds tiny random models; keyword arguments go to the configuration."""

    def build(*, attention: Any = "sdpa", **settings: Any) -> FLMRModelForRetrieval:  # noqa: ANN401
        torch.manual_seed(0)
        mapping = settings.pop("use_transformer_mapping_network", True)
        config = FLMRConfig(
            **{
                "text_config": FLMRTextConfig(
                    vocab_size=60, hidden_size=32, num_hidden_layers=2, num_attention_heads=4, intermediate_size=48
                ),
                "vision_config": FLMRVisionConfig(
                    hidden_size=24,
                    num_hidden_layers=3,
                    num_attention_heads=2,
                    intermediate_size=40,
                    image_size=16,
                    patch_size=8,
                ),
                "dim": 16,
                "mapping_network_prefix_length": 3,
                "mask_instruction_token": ":",
                "use_transformer_mapping_network": mapping,
                "transformer_mapping_config_base": "base" if mapping else None,
                "transformer_mapping_num_hidden_layers": 2 if mapping else None,
                "mapping": MappingConfig(hidden_size=32, num_attention_heads=2, intermediate_size=40),
                "initializer_range": 0.3,
                **settings,
            }
        )
        token_ids = TokenIds(instruction_end=9, punctuation=(9, 10, 11))
        model = FLMRModelForRetrieval(config, token_ids=token_ids, attention=attention).eval()
        with torch.no_grad():
            for parameter in model.parameters():  # transformers' small initial weights hide mistakes
                parameter.add_(torch.randn_like(parameter) * 0.1)
        return model

    return build
