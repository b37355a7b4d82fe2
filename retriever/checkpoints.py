"""Checkpoints in the published layout, to and from disk: `load_retriever` and `save_retriever`.

A checkpoint is a folder, or a hub id that names one: config.json, model.safetensors (whole or in shards),
query_tokenizer/, context_tokenizer/, an optional preprocessor_config.json and, where config.json names one, the folder
of the mapping network's base. A region head of ours may lie beside them, in region_head/. No pickle is read and no
remote code is run; the hub is asked only for a name that is no folder.
"""

from __future__ import annotations

import json
import os
import shutil
import tempfile
from functools import partial
from pathlib import Path

import torch
from safetensors.torch import save_file

from retriever.configuration import FLMRConfig, read_json_object
from retriever.encoder import Encoder
from retriever.images import ImageProcessor
from retriever.int8 import use_int8
from retriever.layers import Attention
from retriever.modeling import FLMRModelForRetrieval
from retriever.processing import FLMRProcessor
from retriever.region import REGION_FOLDER, RegionFinder, load_region_head
from retriever.tokenization import (
    ADDED_FILE,
    SETTINGS_FILE,
    VOCABULARY_FILE,
    FLMRContextTokenizer,
    FLMRQueryTokenizer,
)
from retriever.weights import WEIGHTS_FILE, canonical_names, fingerprint, read_weights, stored_names, weight_files

__all__ = ["PRESETS", "check_name", "load_model", "load_processor", "load_retriever", "save_retriever"]

PREPROCESSOR_FILE = "preprocessor_config.json"
HUB_FILES = ["*.json", "*.txt", "*.safetensors"]

# Name of a preset -> folder, or hub id.
PRESETS = {
    "preflmr-mini": str(Path(__file__).parent / "checkpoints" / "preflmr-mini"),
    "flmr": "LinWeizheDragon/FLMR",
    "preflmr-vit-b": "LinWeizheDragon/PreFLMR_ViT-B",
    "preflmr-vit-l": "LinWeizheDragon/PreFLMR_ViT-L",
    "preflmr-vit-l-encn": "LinWeizheDragon/PreFLMR_ViT-L_ENCN",
    "preflmr-vit-g": "LinWeizheDragon/PreFLMR_ViT-G",
}


def load_retriever(
    checkpoint: str | Path,
    *,
    device: torch.device,
    dtype: torch.dtype,
    attention: Attention = "sdpa",
    int8: bool = False,
) -> Encoder:
    """Loads a checkpoint, ready to encode.

    Args:
        checkpoint: name of a preset, a folder, or a hub id (which is downloaded once).
        device: where to compute.
        dtype: what to compute in, whatever the weights are stored in.
        attention: kernel of every attention.
        int8: compute the large linear layers in 8-bit integers (float32 on the CPU only, see `retriever.int8`).

    Raises:
        ValueError: the checkpoint does not exist, or a file of it is missing, damaged or of another model.
    """
    folder = resolve(checkpoint)
    processor = load_processor(folder)
    model = load_model(folder, processor, device=device, dtype=dtype, attention=attention)
    if int8:
        use_int8(model)
    regions = _load_regions(folder, model, processor, device=device, dtype=dtype)
    return Encoder(model, processor, identify=partial(_fingerprint, folder), regions=regions)


def check_name(checkpoint: str | Path) -> str:
    """The folder or hub id that a preset, folder or hub id stands for; nothing is read or fetched.

    Raises:
        ValueError: it is none of them.
    """
    name = PRESETS.get(str(checkpoint), str(checkpoint))
    if not Path(name).is_dir() and (name.count("/") != 1 or name.startswith(("/", ".", "~")) or Path(name).exists()):
        raise ValueError(
            f"no checkpoint {str(checkpoint)!r}: give a folder, a hub id or one of {', '.join(sorted(PRESETS))}"
        )
    return name


def resolve(checkpoint: str | Path) -> Path:
    """The folder of a preset, folder or hub id.

    Raises:
        ValueError: there is no such folder and no such repository on the hub, or the hub cannot be reached.
    """
    name = check_name(checkpoint)
    if Path(name).is_dir():
        return Path(name)
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import HfHubHTTPError, HFValidationError, LocalEntryNotFoundError

    try:
        return Path(snapshot_download(name, allow_patterns=HUB_FILES))
    except (HfHubHTTPError, HFValidationError, LocalEntryNotFoundError, OSError) as error:
        reason = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
        raise ValueError(f"cannot fetch {name} from the hub ({reason}); check the name and the network") from error


def load_processor(folder: Path) -> FLMRProcessor:
    """Reads the tokenizers and the image settings of a checkpoint folder.

    Raises:
        ValueError: a file is missing or damaged.
    """
    config = FLMRConfig.from_folder(folder)
    size = config.vision_config.image_size
    images = None
    if config.use_vision_encoder:
        file = folder / PREPROCESSOR_FILE
        images = (
            ImageProcessor.from_dict(read_json_object(file), size) if file.is_file() else ImageProcessor.for_size(size)
        )
    return FLMRProcessor(
        FLMRQueryTokenizer.from_folder(folder / "query_tokenizer"),
        FLMRContextTokenizer.from_folder(folder / "context_tokenizer"),
        images,
        instruction_end=config.mask_instruction_token,
    )


def load_model(
    folder: Path,
    processor: FLMRProcessor,
    *,
    device: torch.device,
    dtype: torch.dtype,
    attention: Attention = "sdpa",
) -> FLMRModelForRetrieval:
    """Reads the weights of a checkpoint folder; every key has to be there, and no other.

    Raises:
        ValueError: a file is missing or damaged, or keys or shapes are not those of config.json; the line names them.
    """
    config = FLMRConfig.from_folder(folder)
    for side, tokenizer in (("query", processor.query_tokenizer), ("context", processor.context_tokenizer)):
        if len(tokenizer) > config.text_config.vocab_size:
            raise ValueError(
                f"{folder}: the {side} tokenizer has {len(tokenizer)} tokens and the model "
                f"{config.text_config.vocab_size}; use the files of one checkpoint"
            )
    files = stored_names(weight_files(folder))
    has_projection = any("_vision_projection." in name for name in files)
    token_ids = processor.token_ids()
    with torch.device("meta"):  # no memory, no random weights: everything is read
        model = FLMRModelForRetrieval(
            config,
            token_ids=token_ids,
            attention=attention,
            with_projection=config.use_vision_encoder or has_projection,
        )
    shapes = {name: tensor.shape for name, tensor in model.state_dict().items()}
    try:
        names = canonical_names(files, shapes)
    except ValueError as error:
        raise ValueError(f"{folder}: {error}") from error
    model.load_state_dict(read_weights(names, files, shapes, device=device, dtype=dtype), assign=True)
    _fill_buffers(model, device)
    model.set_token_ids(token_ids)
    return model.eval()


def _load_regions(
    folder: Path, model: FLMRModelForRetrieval, processor: FLMRProcessor, *, device: torch.device, dtype: torch.dtype
) -> RegionFinder | None:
    """What finds the region to look at, where the checkpoint has a head for it.

    Raises:
        ValueError: the head is damaged, or of another vision encoder.
    """
    if not (folder / REGION_FOLDER).is_dir() or processor.image_processor is None:
        return None
    head = load_region_head(folder / REGION_FOLDER, device=device, dtype=dtype)
    config = model.vision_encoder.config
    takes = (head.settings.vision_size, head.settings.side)
    gives = (config.hidden_size, config.image_size // config.patch_size)
    if takes != gives or head.settings.vision_layer > config.num_hidden_layers:
        raise ValueError(
            f"{folder / REGION_FOLDER} was made for another vision encoder; use the files of one checkpoint"
        )
    return RegionFinder(head, model.vision_encoder, processor.image_processor)


def save_retriever(model: FLMRModelForRetrieval, processor: FLMRProcessor, folder: Path) -> None:
    """Writes a checkpoint that `load_retriever` reads back identically; it appears whole or not at all.

    Weights are stored in the dtype they have; the keys are the published ones.

    Raises:
        ValueError: `folder` exists and is not empty.
    """
    if folder.exists() and any(folder.iterdir()):
        raise ValueError(f"{folder} is not empty; save to a new folder")
    folder.parent.mkdir(parents=True, exist_ok=True)
    texts = {name: json.dumps(value, indent=2) + "\n" for name, value in model.config.files().items()}
    for side, tokenizer in (("query", processor.query_tokenizer), ("context", processor.context_tokenizer)):
        texts.update({f"{side}_tokenizer/{name}": text for name, text in tokenizer.files().items()})
    if processor.image_processor is not None:
        texts[PREPROCESSOR_FILE] = json.dumps(processor.image_processor.to_dict(), indent=2) + "\n"
    staging = Path(tempfile.mkdtemp(prefix=f".{folder.name}.", dir=folder.parent))
    try:
        for name, text in texts.items():
            (staging / name).parent.mkdir(parents=True, exist_ok=True)
            (staging / name).write_text(text, encoding="utf-8")
        state = {name: tensor.detach().cpu().contiguous() for name, tensor in model.state_dict().items()}
        save_file(state, str(staging / WEIGHTS_FILE), metadata={"format": "pt"})
        staging.chmod(0o755)
        if folder.exists():
            folder.rmdir()
        os.replace(staging, folder)
    except BaseException:
        shutil.rmtree(staging, ignore_errors=True)
        raise


def _fill_buffers(model: FLMRModelForRetrieval, device: torch.device) -> None:
    """Gives values to the index buffers that no checkpoint stores."""
    for module in model.modules():
        for name, buffer in list(module.named_buffers(recurse=False)):
            if not buffer.is_meta or name in ("punctuation_ids", "skip_ids"):
                continue
            if name == "position_ids":
                value = torch.arange(buffer.shape[-1], device=device).expand(buffer.shape)
            elif name == "token_type_ids":
                value = torch.zeros(buffer.shape, dtype=buffer.dtype, device=device)
            else:
                raise ValueError(f"buffer {name} of {type(module).__name__} is not known; use another transformers 5")
            module.register_buffer(name, value, persistent=False)


def _fingerprint(folder: Path) -> str:
    """Fingerprint of everything that decides a checkpoint's embeddings."""
    others = [PREPROCESSOR_FILE, *FLMRConfig.from_folder(folder).files()]
    for side in ("query", "context"):
        others += [f"{side}_tokenizer/{name}" for name in (VOCABULARY_FILE, SETTINGS_FILE, ADDED_FILE)]
    others += [f"{REGION_FOLDER}/config.json", f"{REGION_FOLDER}/{WEIGHTS_FILE}"]
    present = [folder / name for name in sorted(others) if (folder / name).is_file()]
    return fingerprint([*weight_files(folder), *present])
