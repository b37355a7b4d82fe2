"""The training loop of the generators: one function, settings in, resumable states in a folder out."""

from __future__ import annotations

import json
import logging
import random
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any, TypeVar

import torch
from safetensors import safe_open
from safetensors.torch import load_file, save_file
from torch import nn

from generator.spans import span_log_probabilities, span_nll
from generator.training.examples import ReadingExample
from generator.training.features import Batch, make_batch

__all__ = ["LoopSettings", "Sources", "mixed", "run_loop", "steps_done", "train"]

log = logging.getLogger(__name__)

BatchT = TypeVar("BatchT")
Sources = Callable[[int], Sequence[tuple[float, Iterator[ReadingExample]]]]  # weighted, endless, for a seed


@dataclass(frozen=True, kw_only=True)
class LoopSettings:
    """How to train; what on is decided elsewhere."""

    steps: int = 10_000
    batch_size: int = 16
    learning_rate: float = 2e-4
    weight_decay: float = 0.01
    warmup: int = 50  # steps
    decay: float = 0.15  # of the steps: the rate stays at its peak until so many before the end, then falls to zero
    max_tokens: int = 224  # of a training pair; the model itself takes more
    width: int = 40  # the most tokens of an answer
    pool: int = 16  # batches encoded together, so that those of like length meet
    checkpoint_every: int = 200  # steps
    log_every: int = 20  # steps
    seed: int = 0
    amp: bool = False  # bfloat16 autocast; pays only where the processor has matrix units for it

    def __post_init__(self) -> None:
        if self.warmup < 1 or not 0 < self.decay < 1 or self.warmup > (1 - self.decay) * self.steps:
            raise ValueError(
                f"warmup ({self.warmup} steps) and decay ({self.decay:g} of the steps) must fit into {self.steps} steps"
            )

    def lasting(self, steps: int) -> LoopSettings:
        """The same for so many steps."""
        return replace(self, steps=steps, warmup=min(self.warmup, 1 + steps // 5))


@dataclass
class _Progress:
    step: int = 0
    seconds: float = 0.0
    losses: list[float] = field(default_factory=list)


def mixed(sources: Sequence[tuple[float, Iterator[ReadingExample]]], rng: random.Random) -> Iterator[ReadingExample]:
    """Draw from endless sources in the given proportions."""
    weights = [weight for weight, _ in sources]
    while True:
        yield next(rng.choices(sources, weights)[0][1])


def _batches(
    encode: Callable[[Sequence[ReadingExample]], BatchT],
    examples: Iterator[ReadingExample],
    settings: LoopSettings,
    rng: random.Random,
) -> Iterator[BatchT]:
    """Endless batches of examples of like length."""
    while True:
        pool = [next(examples) for _ in range(settings.pool * settings.batch_size)]
        pool.sort(key=lambda example: len(example.context) + len(example.question))
        groups = [pool[i : i + settings.batch_size] for i in range(0, len(pool), settings.batch_size)]
        rng.shuffle(groups)
        for group in groups:
            yield encode(group)


def _optimizer(model: nn.Module, settings: LoopSettings) -> torch.optim.AdamW:
    decayed = [p for p in model.parameters() if p.requires_grad and p.ndim >= 2]
    others = [p for p in model.parameters() if p.requires_grad and p.ndim < 2]
    groups = [{"params": decayed, "weight_decay": settings.weight_decay}, {"params": others, "weight_decay": 0.0}]
    return torch.optim.AdamW(groups, lr=settings.learning_rate, betas=(0.9, 0.98))


def _rate(step: int, settings: LoopSettings) -> float:
    """Share of the peak learning rate: up, level, down. Level for long, so that a run can be cut short or prolonged."""
    return min(1.0, (step + 1) / settings.warmup, max(0.0, (1 - step / settings.steps) / settings.decay))


def batch_loss(model: nn.Module, batch: Batch, settings: LoopSettings) -> torch.Tensor:
    """Mean negative log-likelihood of the right spans."""
    device = next(model.parameters()).device
    inputs = {name: value.to(device) for name, value in batch.inputs.items()}
    with torch.autocast(device.type, dtype=torch.bfloat16, enabled=settings.amp):
        output = model(**inputs)
    spans, no_answer = span_log_probabilities(
        output.start_logits, output.end_logits, batch.starts.to(device), batch.ends.to(device), width=settings.width
    )
    return span_nll(spans, no_answer, batch.gold.to(device), batch.answerable.to(device)).mean()


def run_loop(
    model: nn.Module,
    tokenizer: Any,  # noqa: ANN401
    sources: Sources,
    settings: LoopSettings,
    *,
    folder: Path,
    progress: Callable[[str], None] | None = None,
) -> None:
    """`train` a reader.

    Args:
        model: a question-answering model of transformers, in float32.
        tokenizer: its tokenizer.
        sources: see `train`.
        settings: how to train.
        folder: see `train`.
        progress: is told a line now and then.
    """

    def encode(examples: Sequence[ReadingExample]) -> Batch:
        return make_batch(tokenizer, examples, max_tokens=settings.max_tokens, width=settings.width)

    def loss(batch: Batch) -> torch.Tensor:
        return batch_loss(model, batch, settings)

    train(model, sources, encode, loss, settings, folder=folder, progress=progress)


def train(
    model: nn.Module,
    sources: Sources,
    encode: Callable[[Sequence[ReadingExample]], BatchT],
    batch_loss: Callable[[BatchT], torch.Tensor],
    settings: LoopSettings,
    *,
    folder: Path,
    progress: Callable[[str], None] | None = None,
) -> None:
    """Train in place what requires a gradient; a run that was stopped goes on from its last checkpoint in `folder`.

    Args:
        model: in float32.
        sources: makes the weighted example sources for a seed; a resumed run is given another seed than the first,
            so that it does not see the first examples again.
        encode: makes a batch of examples.
        batch_loss: mean loss of a batch.
        settings: how to train.
        folder: holds the checkpoint (`state.safetensors`, `state.json`) and the log (`log.jsonl`).
        progress: is told a line now and then.
    """
    folder.mkdir(parents=True, exist_ok=True)
    optimizer = _optimizer(model, settings)
    state = _resume(model, optimizer, settings, folder)
    rng = random.Random(settings.seed * 1_000_003 + state.step)
    torch.manual_seed(settings.seed + state.step)
    batches = _batches(encode, mixed(sources(rng.randrange(2**31)), rng), settings, rng)
    model.train()
    began = time.perf_counter() - state.seconds
    with (folder / "log.jsonl").open("a", encoding="utf-8") as log_file:
        while state.step < settings.steps:
            for group in optimizer.param_groups:
                group["lr"] = settings.learning_rate * _rate(state.step, settings)
            loss = batch_loss(next(batches))
            optimizer.zero_grad(set_to_none=True)
            loss.backward()  # type: ignore[no-untyped-call]
            nn.utils.clip_grad_norm_(model.parameters(), 1.0)
            optimizer.step()
            state.step += 1
            state.losses.append(loss.item())
            state.seconds = time.perf_counter() - began
            if state.step % settings.log_every == 0 or state.step == settings.steps:
                _report(state, settings, log_file.write, progress)
                log_file.flush()
            if state.step % settings.checkpoint_every == 0 or state.step == settings.steps:
                _save(model, optimizer, state, settings, folder)
    model.eval()


def _report(
    state: _Progress, settings: LoopSettings, write: Callable[[str], int], progress: Callable[[str], None] | None
) -> None:
    mean = sum(state.losses) / len(state.losses)
    state.losses.clear()
    write(json.dumps({"step": state.step, "loss": round(mean, 4), "seconds": round(state.seconds, 1)}) + "\n")
    left = state.seconds / state.step * (settings.steps - state.step)
    line = f"step {state.step}/{settings.steps}  loss {mean:.3f}  {state.seconds:.0f} s, {left:.0f} s left"
    log.info(line)
    if progress is not None:
        progress(line)


def _save(
    model: nn.Module, optimizer: torch.optim.AdamW, state: _Progress, settings: LoopSettings, folder: Path
) -> None:
    """One file with the trained weights and the optimizer's moments, replaced in one move."""
    tensors = {f"model.{name}": parameter.detach() for name, parameter in _trained(model)}
    for name, parameter in _trained(model):
        if moments := optimizer.state[parameter]:  # none before its first gradient
            tensors[f"first.{name}"], tensors[f"second.{name}"] = moments["exp_avg"], moments["exp_avg_sq"]
    metadata = {"step": str(state.step), "seconds": str(state.seconds), "settings": json.dumps(asdict(settings))}
    save_file({name: value.contiguous() for name, value in tensors.items()}, folder / "new.safetensors", metadata)
    (folder / "new.safetensors").replace(folder / "state.safetensors")


def _trained(model: nn.Module) -> list[tuple[str, nn.Parameter]]:
    return [(name, parameter) for name, parameter in model.named_parameters() if parameter.requires_grad]


def _comparable(settings: dict[str, Any]) -> dict[str, Any]:
    """The settings that a resumed run must share: all but how long it goes on, in which portions, what it reports."""
    free = ("steps", "warmup", "decay", "batch_size", "pool", "checkpoint_every", "log_every", "amp")
    return {name: value for name, value in settings.items() if name not in free}


def _resume(model: nn.Module, optimizer: torch.optim.AdamW, settings: LoopSettings, folder: Path) -> _Progress:
    """Load the checkpoint, if there is one.

    Raises:
        ValueError: it was made with other settings.
    """
    path = folder / "state.safetensors"
    if not path.exists():
        return _Progress()
    with safe_open(path, framework="pt") as opened:
        metadata = opened.metadata()
    if _comparable(json.loads(metadata["settings"])) != _comparable(asdict(settings)):
        raise ValueError(f"{folder} holds a run with other settings; give another folder or delete it")
    tensors = load_file(path)
    step = int(metadata["step"])
    for name, parameter in _trained(model):
        parameter.data.copy_(tensors[f"model.{name}"])
        if f"first.{name}" in tensors:
            optimizer.state[parameter] = {
                "step": torch.tensor(float(step)),
                "exp_avg": tensors[f"first.{name}"],
                "exp_avg_sq": tensors[f"second.{name}"],
            }
    return _Progress(step=step, seconds=float(metadata["seconds"]))


def steps_done(folder: Path) -> int:
    """Batches that the run in `folder` has behind it; 0 where none was begun."""
    path = folder / "state.safetensors"
    if not path.exists():
        return 0
    with safe_open(path, framework="pt") as opened:
        return int(opened.metadata()["step"])
