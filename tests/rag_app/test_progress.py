from __future__ import annotations

import io
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch

from rag_app.atomic import write_json
from rag_app.config import load_preset
from rag_app.devices import reason_not_to_run, resolve_placement
from rag_app.errors import InputError
from rag_app.presets_command import cannot_run
from rag_app.progress import ProgressLine, duration
from retriever.precision import has_native_bfloat16


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_a_terminal_sees_one_line_with_the_time_left() -> None:
    stream, times = Terminal(), iter([0.0, 0.0, 10.0, 20.0])
    line = ProgressLine("passages", stream=stream, clock=lambda: next(times))
    for done in (0, 100, 200):
        line(done, 200)
    assert "passages: 100 of 200, about 10 s left" in stream.getvalue()
    assert stream.getvalue().endswith("passages: 200 of 200, took 20 s\n")
    assert stream.getvalue().count("\n") == 1


def test_work_of_an_earlier_run_does_not_count_for_the_speed() -> None:
    stream, times = Terminal(), iter([0.0, 0.0, 10.0])
    line = ProgressLine("x", stream=stream, clock=lambda: next(times))
    line(900, 1000)
    line(910, 1000)
    assert "about 1 min 30 s left" in stream.getvalue()


def test_work_of_which_nobody_knows_the_end() -> None:
    stream, times = Terminal(), iter([0.0, 0.0, 10.0, 20.0])
    line = ProgressLine("rows read", stream=stream, clock=lambda: next(times))
    line(0, 0)
    line(1000, 0, "990 passages")
    assert stream.getvalue().endswith("rows read: 1,000, 990 passages")
    line(2000, 2000)
    assert stream.getvalue().endswith("rows read: 2,000 of 2,000, took 20 s\n")


def test_a_log_gets_few_lines() -> None:
    stream, times = io.StringIO(), iter([float(second) for second in range(200)])
    line = ProgressLine("x", stream=stream, clock=lambda: next(times))
    for done in range(101):
        line(done, 100)
    assert 5 < stream.getvalue().count("\n") < 15


@pytest.mark.parametrize(("seconds", "text"), [(0.4, "0 s"), (59, "59 s"), (61, "1 min 1 s"), (7500, "2 h 5 min")])
def test_durations(seconds: float, text: str) -> None:
    assert duration(seconds) == text


def test_device_and_dtype() -> None:
    assert resolve_placement("cpu", "float32").dtype is torch.float32
    assert resolve_placement("cpu", "auto").dtype in {torch.float32, torch.bfloat16}
    with pytest.raises(InputError, match="unknown device 'abacus'; choose auto, cpu or cuda"):
        resolve_placement("abacus")
    with pytest.raises(InputError, match="unknown dtype 'int4'; choose one of auto, bfloat16"):
        resolve_placement("cpu", "int4")


def test_processes_that_are_started_together_take_a_gpu_each(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    monkeypatch.delenv("LOCAL_RANK", raising=False)
    assert resolve_placement().device == torch.device("cuda")
    assert resolve_placement("cuda").device == torch.device("cuda")
    for rank, device in (("0", "cuda:0"), ("1", "cuda:1"), ("2", "cuda:0")):
        monkeypatch.setenv("LOCAL_RANK", rank)
        assert resolve_placement().device == resolve_placement("cuda").device == torch.device(device)
    assert resolve_placement("cuda:0").device == torch.device("cuda:0")


@pytest.mark.parametrize(
    ("gib", "needed", "said"),
    [
        (14.75, 16, ""),  # a T4
        (22.06, 24, ""),  # an A10G
        (14.75, 18, "needs a GPU with 18 GB and this one has 15.8; --set gpu_gb=0 tries it all the same"),
        (14.75, 17.5, "needs a GPU with 17.5 GB and this one has 15.8;"),
        (14.75, 0, ""),
    ],
)
def test_a_gpu_has_what_it_is_sold_with(gib: float, needed: float, said: str, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[torch.device] = []

    def properties(device: torch.device) -> SimpleNamespace:
        asked.append(device)
        return SimpleNamespace(total_memory=int(gib * 2**30))

    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    monkeypatch.setattr(torch.cuda, "get_device_properties", properties)
    monkeypatch.setenv("LOCAL_RANK", "1")
    reason = reason_not_to_run(needed)
    assert said in reason
    assert bool(said) == bool(reason)
    assert set(asked) <= {torch.device("cuda:1")}


def test_the_memory_of_several_gpus_counts_together(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    monkeypatch.setattr(torch.cuda, "get_device_properties", lambda _: SimpleNamespace(total_memory=24 * 10**9))
    preset = replace(load_preset("preflmr-l-blip2"), gpu_gb=40.0)
    assert "needs a GPU with 40 GB and this one has 24.0" in cannot_run(preset)
    assert cannot_run(replace(preset, device_map="balanced")) == ""
    assert "and all of them have 48.0" in cannot_run(replace(preset, gpu_gb=60.0, device_map="balanced"))


@pytest.mark.parametrize(("native", "dtype"), [(True, torch.bfloat16), (False, torch.float32)])
def test_bfloat16_needs_the_right_processor(native: bool, dtype: torch.dtype, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("rag_app.devices.has_native_bfloat16", lambda: native)
    assert resolve_placement("cpu").dtype is dtype


def test_torch_and_the_kernel_say_the_same_of_the_processor() -> None:
    cpuinfo = Path("/proc/cpuinfo")
    text = cpuinfo.read_text(encoding="ascii", errors="replace") if cpuinfo.is_file() else ""
    flags = next((line.split(":", 1)[1].split() for line in text.splitlines() if line.startswith("flags")), [])
    assert has_native_bfloat16() == ("amx_bf16" in flags or "avx512_bf16" in flags)


def test_json_is_written_whole_or_not_at_all(tmp_path: Path) -> None:
    path = tmp_path / "report.json"
    write_json(path, {"a": 1})
    with pytest.raises(TypeError):
        write_json(path, {"a": object()})
    assert path.read_text(encoding="utf-8") == '{\n  "a": 1\n}\n'
    assert [file.name for file in tmp_path.iterdir()] == ["report.json"]
