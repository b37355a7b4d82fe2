from __future__ import annotations

import json
from dataclasses import FrozenInstanceError, replace
from pathlib import Path

import pytest
import torch

from generator.catalog import PRESETS as GENERATORS
from generator.catalog import known_generator
from rag_app.cli import _parser, main
from rag_app.commands import _preset
from rag_app.config import (
    CHECKOUT,
    DEFAULT_PRESET,
    Preset,
    checkpoint_location,
    load_preset,
    preset_names,
    var_folder,
    with_settings,
)
from rag_app.errors import InputError
from rag_app.presets_command import check_preset
from retriever.checkpoints import PRESETS as RETRIEVERS
from tests.tiny import save_picture


def write(tmp_path: Path, text: str) -> str:
    path = tmp_path / "mine.toml"
    path.write_text(text, encoding="utf-8")
    return str(path)


def test_presets_by_name() -> None:
    assert load_preset(DEFAULT_PRESET).knowledge_base == "world_flags"
    names = preset_names()
    assert names[0] == DEFAULT_PRESET
    assert {"preflmr-b-blip2", "preflmr-l-encn", "preflmr-g-llava-4bit", "remote"} <= set(names)
    for name in names:
        preset = load_preset(name)
        assert preset.name == name
        assert preset.description
        assert preset.license
        assert (preset.download_gb > 0) == (preset.gpu_gb > 0)


def test_presets_name_checkpoints_that_can_be_resolved() -> None:
    for preset in map(load_preset, preset_names()):
        assert preset.retriever in RETRIEVERS
        assert preset.generator in GENERATORS or preset.generator.startswith("http://127.0.0.1")


def test_presets_are_frozen() -> None:
    with pytest.raises(FrozenInstanceError):
        load_preset(DEFAULT_PRESET).k = 3  # type: ignore[misc]


def test_unknown_name_lists_the_names() -> None:
    with pytest.raises(InputError, match=r"unknown preset 'huge'; choose one of embedded, preflmr-b-blip2"):
        load_preset("huge")


def test_a_file_may_start_from_a_preset(tmp_path: Path) -> None:
    preset = load_preset(write(tmp_path, 'base = "embedded"\nk = 9\n'))
    assert preset.name == "mine"
    assert preset.k == 9
    assert preset.retriever == load_preset("embedded").retriever


def test_a_file_may_stand_alone(tmp_path: Path) -> None:
    preset = load_preset(write(tmp_path, 'retriever = "a/b"\ngenerator = "c/d"\nname = "own"\n'))
    assert preset == Preset(name="own", retriever="a/b", generator="c/d")


def test_single_keys_are_changed() -> None:
    preset = load_preset("preflmr-l-llava")
    changed = with_settings(preset, ["k=9", "mode=long_context", 'adapter = "runs/lora"', "gpu_gb=2"])
    assert changed == replace(preset, k=9, mode="long_context", adapter="runs/lora", gpu_gb=2)
    assert with_settings(preset, []) == preset


@pytest.mark.parametrize(
    ("setting", "message"),
    [
        ("generator.dtype=float16", r"--set: unknown key 'generator\.dtype'; the keys are name,"),
        ("k", r"--set takes KEY=VALUE, not 'k'"),
        ("k=many", r"--set: k must be a whole number, not 'many'"),
        ("k=0", r"--set: k must be at least 1, not 0"),
        ("max_prompt_tokens=-1", r"--set: max_prompt_tokens must be at least 0, not -1"),
        ("server_timeout=-1", r"--set: server_timeout must be at least 0, not -1"),
        ("max_knowledge_characters=x", r"--set: max_knowledge_characters must be a whole number, not 'x'"),
        ("mode=both", r"--set: unknown mode 'both'; choose one of ra_vqa, long_context"),
    ],
)
def test_faulty_settings(setting: str, message: str) -> None:
    with pytest.raises(InputError, match=message):
        with_settings(load_preset(DEFAULT_PRESET), [setting])


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('base = "embedded"\nkk = 3\n', r"unknown key 'kk'; the keys are base, name,"),
        ('base = "embedded"\nk = "3"\n', r"k must be a whole number, not '3'"),
        ('base = "embedded"\nk = true\n', r"k must be a whole number, not True"),
        ('base = "embedded"\nretriever = 3\n', r"retriever must be a text, not 3"),
        ('base = "embedded"\nk = 0\n', r"k must be at least 1, not 0"),
        ('base = "nothing"\n', r"unknown base 'nothing'; choose one of embedded"),
        ('base = "embedded"\nmode = "long"\n', r"unknown mode 'long'; choose one of ra_vqa, long_context"),
        ("k = 3\n", r"missing retriever and generator; add them, or start from a preset"),
        ("k = \n", r"mine\.toml"),
    ],
)
def test_faulty_files(tmp_path: Path, text: str, message: str) -> None:
    with pytest.raises(InputError, match=message):
        load_preset(write(tmp_path, text))


def test_missing_file(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"no preset file .*check the path"):
        load_preset(str(tmp_path / "none.toml"))


def test_folders_come_before_hub_ids(tmp_path: Path) -> None:
    assert checkpoint_location("generator/checkpoints") == str(CHECKOUT / "generator" / "checkpoints")
    assert checkpoint_location(str(tmp_path)) == str(tmp_path)
    assert checkpoint_location("someone/some-model") == "someone/some-model"


def test_var_folder(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("RAG_APP_VAR", raising=False)
    assert var_folder() == CHECKOUT / "var"
    monkeypatch.setenv("RAG_APP_VAR", "/elsewhere")
    assert var_folder() == Path("/elsewhere")
    assert var_folder("/given") == Path("/given")


@pytest.mark.parametrize(
    "command",
    [
        ["kb", "list"],
        ["kb", "info"],
        ["kb", "search", "castle"],
        ["kb", "add", "--kb", "mine", "--id", "1", "--text", "A castle."],
        ["kb", "sync"],
        ["ask", "--image", "PICTURE", "--question", "Who built this?"],
        ["evaluate", "--dataset", "DATASET", "--output", "OUTPUT"],
        ["demo", "--port", "0"],
        ["feedback", "export", "--output", "OUTPUT"],
    ],
)
def test_a_file_where_a_folder_is_wanted(
    command: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("rag_app.commands._check_address", lambda host, port: None)  # no port is taken here
    row: dict[str, object] = {"question_id": "1", "image": None, "question": "Who?", "answers": []}
    file = Path(write(tmp_path, json.dumps(row)))
    places = {
        "PICTURE": str(save_picture(tmp_path / "picture.png")),
        "DATASET": str(file),
        "OUTPUT": str(tmp_path / "output"),
    }
    arguments = [places.get(argument, argument) for argument in command]
    for wrong in (file, file / "within"):
        assert main([*arguments, "--var", str(wrong)], serve=lambda *_: None) == 2
        error = capsys.readouterr().err
        assert error == f"error: --var: {file} is not a folder; give a folder, which may be a new one\n"
    assert main([*arguments, "--var", "x" * 5000], serve=lambda *_: None) == 2
    assert "--var: " in capsys.readouterr().err


def test_a_file_in_the_variable_is_told_apart(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = write(tmp_path, "")
    monkeypatch.setenv("RAG_APP_VAR", file)
    with pytest.raises(InputError, match=r"^\$RAG_APP_VAR: .* is not a folder"):
        var_folder()
    assert var_folder(str(tmp_path / "new" / "folder")) == tmp_path / "new" / "folder"


def test_the_list_says_what_each_preset_needs(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["presets"]) == 0
    printed = capsys.readouterr().out
    assert all(f"{name}: " in printed for name in preset_names())
    assert "downloads about 17.1 GB; needs a GPU with 12 GB or so; licence: MIT" in printed
    assert "llava-onevision-7b, all passages in one prompt" in printed
    assert main(["presets", "--json"]) == 0
    rows = json.loads(capsys.readouterr().out)
    assert [row["name"] for row in rows] == preset_names()
    assert rows[0]["cannot_run"] == ""


def test_a_preset_that_cannot_run_says_so_before_anything_is_loaded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    preset = load_preset("preflmr-l-blip2")
    with pytest.raises(InputError, match=r"preset preflmr-l-blip2 cannot run here: it needs a GPU with 12 GB"):
        check_preset(preset)
    check_preset(replace(preset, device="cpu"))
    with pytest.raises(InputError, match="reader-mini reads single passages; take --mode ra_vqa"):
        check_preset(replace(load_preset(DEFAULT_PRESET), mode="long_context"))
    monkeypatch.setattr("rag_app.devices.find_spec", lambda name: None)
    with pytest.raises(InputError, match=r"it needs peft; install it with `pip install -r requirements-gpu\.txt`"):
        check_preset(replace(preset, device="cpu", adapter="runs/lora"))
    check_preset(load_preset(DEFAULT_PRESET))
    with pytest.raises(InputError, match="retriever: no checkpoint 'preflmr-vit-x': give a folder, a hub id or one"):
        check_preset(replace(load_preset(DEFAULT_PRESET), retriever="preflmr-vit-x"))
    few_bits = replace(load_preset("preflmr-l-llava"), quantization="4-bit")
    with pytest.raises(InputError, match="quantised weights need a GPU; take the generator without quantization"):
        check_preset(replace(few_bits, device="cpu"))
    with pytest.raises(InputError, match="an adapter is merged into whole weights"):
        check_preset(replace(few_bits, adapter="runs/lora"))


def preset_of(*arguments: str) -> Preset:
    """What `ask` opens with these arguments."""
    parsed = _parser(["ask"]).parse_args(["ask", "--image", "x.png", "--question", "x", *arguments])
    return _preset(parsed)


def test_another_generator_needs_what_is_known_of_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    message = r"preset embedded with blip2-flan-t5-xl cannot run here: it needs a GPU with 10 GB .*--device cpu"
    with pytest.raises(InputError, match=message):
        check_preset(preset_of("--generator", "blip2-flan-t5-xl"))
    check_preset(preset_of("--generator", "blip2-flan-t5-xl", "--device", "cpu"))
    by_id = preset_of("--set", "generator=Salesforce/blip2-flan-t5-xl")
    assert (by_id.gpu_gb, by_id.download_gb, by_id.license) == (10.0, 15.8, "")
    assert preset_of("--generator", "llava-1.5-7b", "--set", "quantization=4-bit").gpu_gb == pytest.approx(8.1)
    assert preset_of("--generator", "llava-1.5-7b-4bit", "--set", "quantization=4-bit").gpu_gb == 8.0
    assert preset_of("--generator", "blip2-flan-t5-xl", "--set", "gpu_gb=0").gpu_gb == 0
    assert preset_of("--generator", "someone/some-model").gpu_gb == 0
    small = preset_of("--preset", "preflmr-l-blip2", "--generator", "reader-mini")
    assert (small.gpu_gb, small.download_gb) == (0, 0)
    assert preset_of("--preset", "preflmr-l-blip2", "--k", "3").gpu_gb == load_preset("preflmr-l-blip2").gpu_gb


def test_a_preset_in_fewer_bits_needs_a_smaller_gpu() -> None:
    whole = load_preset("preflmr-l-llava")
    few = preset_of("--preset", "preflmr-l-llava", "--set", "quantization=4-bit")
    assert few.gpu_gb == pytest.approx(whole.gpu_gb - 0.55 * 18)
    assert (few.download_gb, few.license) == (whole.download_gb, whole.license)
    assert preset_of("--preset", "preflmr-l-llava", "--set", "quantization=4-bit", "--set", "gpu_gb=3").gpu_gb == 3
    already = preset_of("--preset", "preflmr-g-llava-4bit", "--set", "quantization=4-bit")
    assert already.gpu_gb == load_preset("preflmr-g-llava-4bit").gpu_gb


def test_generators_need_no_more_than_the_presets_that_take_them() -> None:
    for preset in map(load_preset, preset_names()):
        known = known_generator(preset.generator)
        if known is not None:
            assert known.gpu_gb <= preset.gpu_gb
            assert known.download_gb <= preset.download_gb
    assert known_generator("llava-hf/llava-1.5-7b-hf") is GENERATORS["llava-1.5-7b"]
    assert known_generator("someone/some-model") is None


def test_an_adapter_that_is_not_there_is_said_before_anything_is_loaded(tmp_path: Path) -> None:
    preset = replace(load_preset("preflmr-l-llava"), device="cpu")
    with pytest.raises(InputError, match=r"cannot run here: there is no folder .*lora with an adapter; give the one"):
        check_preset(replace(preset, adapter=str(tmp_path / "lora")))
    with pytest.raises(InputError, match=r"holds no adapter: there is no adapter_config\.json in it"):
        check_preset(replace(preset, adapter=str(tmp_path)))
    check_preset(replace(load_preset("remote"), adapter=str(tmp_path)))  # refused where the server is opened


def test_several_gpus_and_the_cpu_are_not_asked_for_together() -> None:
    preset = with_settings(load_preset("preflmr-l-llava"), ["device_map=balanced", "device=cpu"])
    with pytest.raises(InputError, match=r"device_map spreads a generator over GPUs; leave it out on the CPU"):
        check_preset(preset)


@pytest.mark.parametrize("setting", ["device_map=auto", "quantization=4-bit"])
def test_what_a_server_decides_itself_is_refused_before_anything_is_loaded(setting: str) -> None:
    key = setting.partition("=")[0]
    with pytest.raises(InputError, match=f"a server places and quantises its models itself; leave {key} out"):
        check_preset(with_settings(load_preset("remote"), [setting]))


def test_settings_of_a_closed_set_are_listed_when_unknown() -> None:
    preset = load_preset("preflmr-l-llava")
    assert with_settings(preset, ["quantization=8-bit", "device_map=balanced"]).quantization == "8-bit"
    for setting, known in (
        ("mode=x", "ra_vqa, long_context"),
        ("quantization=3", "a text"),
        ("device_map=x", "auto, b"),
    ):
        with pytest.raises(InputError, match=known):
            with_settings(preset, [setting])
