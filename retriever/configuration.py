"""What a checkpoint's config.json says, read unchanged from the published layout.

The published files leave most values out and rely on class defaults; those defaults (BERT-base, CLIP ViT-B/32) are
built in here, and so is the one named base, `bert-base-uncased`: nothing is fetched to know a shape.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from pathlib import Path, PurePosixPath
from typing import Any, TypeVar

from transformers import BertConfig, CLIPVisionConfig

__all__ = ["FLMRConfig", "FLMRTextConfig", "FLMRVisionConfig", "MappingConfig"]

BUILT_IN_BASES = frozenset({"bert-base-uncased", "google-bert/bert-base-uncased"})
CONFIG_FILE = "config.json"

_Part = TypeVar("_Part", bound="_JsonConfig")


@dataclass(frozen=True, kw_only=True)
class _JsonConfig:
    """A settings object that keeps the keys it does not use, so that saving writes them back.

    Attributes:
        extra: keys of the file that this code has no use for (`architectures`, `torch_dtype`, ...).
    """

    extra: Mapping[str, Any] = field(default_factory=dict)

    @classmethod
    def from_dict(cls: type[_Part], values: Mapping[str, Any] | None) -> _Part:
        """Reads a JSON object; missing keys take the published defaults, unused keys go to `extra`."""
        values = dict(values or {})
        known = {item.name for item in fields(cls)} - {"extra"}
        used = {name: values.pop(name) for name in sorted(known & values.keys())}
        return cls(**used, extra=values)

    def to_dict(self) -> dict[str, Any]:
        """The JSON object that `from_dict` reads back to an equal configuration."""
        own = {item.name: getattr(self, item.name) for item in fields(self) if item.name != "extra"}
        return {**self.extra, **own}


@dataclass(frozen=True, kw_only=True)
class FLMRTextConfig(_JsonConfig):
    """Shape of a text encoder; the defaults are BERT-base."""

    vocab_size: int = 30522
    hidden_size: int = 768
    num_hidden_layers: int = 12
    num_attention_heads: int = 12
    intermediate_size: int = 3072
    hidden_act: str = "gelu"
    hidden_dropout_prob: float = 0.1
    attention_probs_dropout_prob: float = 0.1
    max_position_embeddings: int = 512
    type_vocab_size: int = 2
    initializer_range: float = 0.02
    layer_norm_eps: float = 1e-12
    pad_token_id: int = 0
    projection_dim: int = 0
    text_encoder_base_model: str = "bert-base-uncased"

    def __post_init__(self) -> None:
        _check_heads("text_config", self.hidden_size, self.num_attention_heads)
        kind = self.extra.get("position_embedding_type", "absolute")
        if kind != "absolute":
            raise ValueError(f"text_config.position_embedding_type {kind!r} is not supported; only 'absolute' is")

    def to_bert(self) -> BertConfig:
        """The same shape as a transformers configuration."""
        names = [item.name for item in fields(self)]
        for name in ("extra", "projection_dim", "text_encoder_base_model"):
            names.remove(name)
        return BertConfig(**{name: getattr(self, name) for name in names})


@dataclass(frozen=True, kw_only=True)
class FLMRVisionConfig(_JsonConfig):
    """Shape of the vision encoder; the defaults are CLIP ViT-B/32 at 224 pixels."""

    hidden_size: int = 768
    intermediate_size: int = 3072
    projection_dim: int = 512
    num_hidden_layers: int = 12
    num_attention_heads: int = 12
    num_channels: int = 3
    image_size: int = 224
    patch_size: int = 32
    hidden_act: str = "quick_gelu"
    layer_norm_eps: float = 1e-5
    attention_dropout: float = 0.0
    initializer_range: float = 0.02
    initializer_factor: float = 1.0

    def __post_init__(self) -> None:
        _check_heads("vision_config", self.hidden_size, self.num_attention_heads)

    @property
    def n_patches(self) -> int:
        """Patches of one picture, without the class position."""
        return (self.image_size // self.patch_size) ** 2

    def to_clip(self) -> CLIPVisionConfig:
        """The same shape as a transformers configuration."""
        names = [item.name for item in fields(self) if item.name != "extra"]
        return CLIPVisionConfig(**{name: getattr(self, name) for name in names})


@dataclass(frozen=True, kw_only=True)
class MappingConfig(_JsonConfig):
    """Shape of one layer of the transformer mapping network; the defaults are `bert-base-uncased`.

    How many layers there are is `FLMRConfig.transformer_mapping_num_hidden_layers`, whatever the base says.
    """

    hidden_size: int = 768
    num_attention_heads: int = 12
    intermediate_size: int = 3072
    hidden_act: str = "gelu"
    hidden_dropout_prob: float = 0.1
    attention_probs_dropout_prob: float = 0.1
    layer_norm_eps: float = 1e-12
    initializer_range: float = 0.02

    def __post_init__(self) -> None:
        _check_heads("the transformer mapping base", self.hidden_size, self.num_attention_heads)

    def to_bert(self, n_layers: int) -> BertConfig:
        """A decoder configuration with cross attention and `n_layers` layers."""
        values = {item.name: getattr(self, item.name) for item in fields(self) if item.name != "extra"}
        return BertConfig(**values, num_hidden_layers=n_layers, is_decoder=True, add_cross_attention=True)


@dataclass(frozen=True, kw_only=True)
class FLMRConfig(_JsonConfig):
    """Everything that decides the shape and the masks of an FLMR or PreFLMR model (names as published).

    Attributes:
        dim: width of a late-interaction embedding.
        mapping_network_prefix_length: rows that one picture (or region) gives through the MLP.
        mask_punctuation: whether passage tokens of the 32 ASCII punctuation characters are masked.
        mask_instruction_token: the text that ends an instruction; None masks no instruction.
        query_mask_input_ids_skip_list: token ids that are masked in queries and hidden from the mapping network.
        transformer_mapping_config_base: `bert-base-uncased`, or a folder inside the checkpoint with a config.json.
        transformer_mapping_cross_attention_length: text positions that the picture's patches attend to.
        mapping: what the base says; filled in by `from_folder`, given by hand for a folder base.
    """

    text_config: FLMRTextConfig = field(default_factory=FLMRTextConfig)
    vision_config: FLMRVisionConfig = field(default_factory=FLMRVisionConfig)
    dim: int = 128
    mapping_network_prefix_length: int = 32
    mask_punctuation: bool = True
    mask_instruction_token: str | None = None
    query_mask_input_ids_skip_list: tuple[int, ...] = ()
    use_vision_encoder: bool = True
    initializer_range: float = 0.02
    separate_query_and_context_text_encoder: bool = False
    separate_query_and_context_vision_encoder: bool = False
    query_concat_output_from_vision_encoder: bool = True
    query_concat_output_from_text_encoder: bool = True
    context_concat_output_from_vision_encoder: bool = False
    context_concat_output_from_text_encoder: bool = True
    use_transformer_mapping_network: bool = False
    transformer_mapping_config_base: str | None = None
    transformer_mapping_num_hidden_layers: int | None = None
    transformer_mapping_cross_attention_length: int = 32
    vision_model_version: str = "openai/clip-vit-base-patch32"
    mapping: MappingConfig | None = None

    def __post_init__(self) -> None:
        object.__setattr__(self, "query_mask_input_ids_skip_list", tuple(self.query_mask_input_ids_skip_list or ()))
        names = {"architectures": ["FLMRModelForRetrieval"], "model_type": "flmr"}
        object.__setattr__(self, "extra", {**names, **self.extra})
        if not self.has_mapping_network:
            return
        if self.mapping is None:
            if self.transformer_mapping_config_base not in BUILT_IN_BASES:
                raise ValueError(
                    f"transformer_mapping_config_base {self.transformer_mapping_config_base!r} is not known; use "
                    "'bert-base-uncased', or a folder inside the checkpoint that holds a config.json"
                )
            object.__setattr__(self, "mapping", MappingConfig())
        assert self.mapping is not None
        if self.mapping.hidden_size != self.text_config.hidden_size:
            raise ValueError(
                f"the transformer mapping network has hidden size {self.mapping.hidden_size} and the text encoder "
                f"{self.text_config.hidden_size}; cross attention needs them equal"
            )
        if not self.transformer_mapping_num_hidden_layers or self.transformer_mapping_num_hidden_layers < 1:
            raise ValueError("transformer_mapping_num_hidden_layers must be 1 or more when the mapping network is used")
        if self.transformer_mapping_cross_attention_length < 1:
            raise ValueError("transformer_mapping_cross_attention_length must be 1 or more")

    @property
    def has_mapping_network(self) -> bool:
        """Whether picture patches attend to the text (PreFLMR) or not (FLMR, text-only)."""
        return self.use_transformer_mapping_network and self.use_vision_encoder

    @property
    def passage_picture_weight(self) -> float:
        """Length of the rows of a passage's picture in an index, where the rows of its text have length 1.

        Two pictures are always more alike than a picture and a text, so a checkpoint that learnt from passages without
        pictures wants less than 1. No published file has this key: there it is 1.
        """
        return float(self.extra.get("passage_picture_weight", 1.0))

    @property
    def mapping_folder(self) -> str | None:
        """Name of the folder inside the checkpoint that holds the mapping network's base, or None if built in."""
        base = self.transformer_mapping_config_base
        return None if base in BUILT_IN_BASES or not self.has_mapping_network else base

    @classmethod
    def from_dict(cls, values: Mapping[str, Any] | None) -> FLMRConfig:
        """Reads the object of a config.json; a folder base needs `from_folder`."""
        return cls._build(dict(values or {}), mapping=None)

    @classmethod
    def _build(cls, values: dict[str, Any], mapping: MappingConfig | None) -> FLMRConfig:
        text = FLMRTextConfig.from_dict(values.pop("text_config", None))
        vision = FLMRVisionConfig.from_dict(values.pop("vision_config", None))
        known = {item.name for item in fields(cls)} - {"extra", "mapping"}
        used = {name: values.pop(name) for name in sorted(known & values.keys())}
        return cls(text_config=text, vision_config=vision, mapping=mapping, **used, extra=values)

    @classmethod
    def from_folder(cls, folder: Path) -> FLMRConfig:
        """Reads `folder`/config.json and, where it names one, the mapping network's base folder.

        Raises:
            ValueError: a file is missing, is no JSON object, or holds values that do not fit together.
        """
        values = read_json_object(folder / CONFIG_FILE)
        base = values.get("transformer_mapping_config_base")
        used = values.get("use_transformer_mapping_network", False) and values.get("use_vision_encoder", True)
        mapping = None
        if used and isinstance(base, str) and base not in BUILT_IN_BASES and (folder / base).is_dir():
            if PurePosixPath(base).is_absolute() or ".." in PurePosixPath(base).parts:
                raise ValueError(f"{folder / CONFIG_FILE}: transformer_mapping_config_base must lie in the checkpoint")
            mapping = MappingConfig.from_dict(read_json_object(folder / base / CONFIG_FILE))
        try:
            return cls._build(values, mapping)
        except (TypeError, ValueError) as error:
            raise ValueError(f"{folder / CONFIG_FILE}: {error}") from error

    def to_dict(self) -> dict[str, Any]:
        """The object of a config.json, with every value written out and the file's unused keys kept."""
        own = super().to_dict()
        del own["mapping"]
        own["text_config"] = self.text_config.to_dict()
        own["vision_config"] = self.vision_config.to_dict()
        own["query_mask_input_ids_skip_list"] = list(self.query_mask_input_ids_skip_list)
        return own

    def files(self) -> dict[str, dict[str, Any]]:
        """Relative path -> JSON object of every configuration file that a saved checkpoint holds."""
        files = {CONFIG_FILE: self.to_dict()}
        if self.mapping_folder is not None and self.mapping is not None:
            files[f"{self.mapping_folder}/{CONFIG_FILE}"] = {"model_type": "bert", **self.mapping.to_dict()}
        return files


def read_json_object(path: Path) -> dict[str, Any]:
    """Reads one JSON object.

    Raises:
        ValueError: the file is missing, unreadable, or holds something else.
    """
    try:
        value = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise ValueError(f"cannot read {path}: {error.strerror or error}") from error
    except ValueError as error:
        raise ValueError(f"{path} is damaged (not JSON: {error}); fetch the checkpoint again") from error
    if not isinstance(value, dict):
        found = type(value).__name__
        raise ValueError(f"{path} holds a {found}, not a JSON object; fetch the checkpoint again")  # noqa: TRY004
    return value


def _check_heads(where: str, hidden_size: int, heads: int) -> None:
    if heads < 1 or hidden_size % heads:
        raise ValueError(f"{where}: hidden_size {hidden_size} cannot be split into {heads} attention heads")
