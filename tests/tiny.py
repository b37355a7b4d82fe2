"""Tiny checkpoints of the real classes and layouts, and a small world of passages: seconds instead of minutes."""

from __future__ import annotations

import json
from pathlib import Path

import torch
from PIL import Image

from rag_app.config import Preset

TINY_RETRIEVER = Path(__file__).parent / "golden_data" / "a_preflmr"

PASSAGES = [
    {
        "passage_id": "red-capital",
        "title": "The red land",
        "text": "The capital of the red land is Lima.",
        "source": "s",
    },
    {"passage_id": "red-money", "title": "The red land", "text": "People of the red land pay with the crown."},
    {"passage_id": "blue-capital", "title": "The blue land", "text": "The capital of the blue land is Oslo."},
    {"passage_id": "blue-money", "title": "The blue land", "text": "People of the blue land pay with the mark."},
    {"passage_id": "hostile", "title": "<script>x</script>", "text": "<b onclick=x>Bold & ${1+1} {{braces}}</b>"},
    {"passage_id": "東京", "title": "首都", "text": "日本の首都は東京です。"},
]


def save_reader(folder: Path) -> Path:
    """A random extractive reader in the layout of transformers' question-answering checkpoints."""
    from transformers import BertConfig, BertForQuestionAnswering, BertTokenizer

    torch.manual_seed(0)
    vocabulary = TINY_RETRIEVER / "context_tokenizer" / "vocab.txt"
    folder.mkdir(parents=True)
    (folder / "vocab.txt").write_text(vocabulary.read_text(encoding="utf-8"), encoding="utf-8")
    tokenizer = BertTokenizer.from_pretrained(str(folder), do_lower_case=True)
    config = BertConfig(
        vocab_size=len(vocabulary.read_text(encoding="utf-8").splitlines()),
        hidden_size=32,
        num_hidden_layers=2,
        num_attention_heads=2,
        intermediate_size=48,
        max_position_embeddings=400,
        initializer_range=0.5,
    )
    BertForQuestionAnswering(config).save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder


def save_passages(path: Path) -> Path:
    """The passages above as JSON Lines."""
    path.write_text("".join(json.dumps(row, ensure_ascii=False) + "\n" for row in PASSAGES), encoding="utf-8")
    return path


def save_picture(path: Path, colour: str = "red") -> Path:
    """A plain picture."""
    Image.new("RGB", (60, 40), colour).save(path)
    return path


def tiny_preset(reader: Path, passages: Path) -> Preset:
    """A preset of the tiny checkpoints."""
    return Preset(
        name="tiny",
        retriever=str(TINY_RETRIEVER),
        generator=str(reader),
        knowledge_base=str(passages),
        k=3,
        batch_size=4,
        device="cpu",
        dtype="float32",
    )


def save_preset(path: Path, preset: Preset) -> Path:
    """The preset as a TOML file."""
    names = ("retriever", "generator", "knowledge_base", "device", "dtype")
    lines = [f"{name} = {json.dumps(getattr(preset, name))}" for name in names]
    path.write_text("\n".join([*lines, f"k = {preset.k}", f"batch_size = {preset.batch_size}", ""]), encoding="utf-8")
    return path


BEM_VOCABULARY = "[PAD] [UNK] [CLS] [SEP] [MASK] what is it lima oslo a city , red blue"


def save_bem(folder: Path, *, seed: int = 0, classes: int = 2) -> Path:
    """A small random BERT with two classes in the layout that BEM is published in."""
    from transformers import BertConfig, BertForSequenceClassification, BertTokenizer

    folder.mkdir(parents=True, exist_ok=True)
    (folder / "vocab.txt").write_text(BEM_VOCABULARY.replace(" ", "\n"), encoding="utf-8")
    torch.manual_seed(seed)
    config = BertConfig(
        vocab_size=len(BEM_VOCABULARY.split()),
        hidden_size=16,
        num_hidden_layers=1,
        num_attention_heads=2,
        intermediate_size=32,
        initializer_range=1.0,
        id2label={number: f"LABEL_{number}" for number in range(classes)},
    )
    BertForSequenceClassification(config).save_pretrained(folder)
    BertTokenizer(str(folder / "vocab.txt")).save_pretrained(folder)
    return folder
