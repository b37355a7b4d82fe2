from __future__ import annotations

import json
import os
import shutil
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from tests.golden import main, run_case
from tests.retriever.conftest import GOLDEN


@pytest.mark.parametrize("case", ["a_preflmr", "c_tokenizers"])
def test_golden_case(case: str) -> None:
    results = list(run_case(GOLDEN / case))
    assert len(results) > 100
    assert [result for result in results if not result.passed] == []


def test_runner_fails_on_a_wrong_or_uncompared_tensor(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = tmp_path / "case"
    shutil.copytree(GOLDEN / "a_preflmr", folder)
    expected = load_file(folder / "expected.safetensors")
    expected["doc.late_interaction_output"] += 1e-4
    expected["doc.mystery"] = torch.zeros(3)
    save_file(expected, folder / "expected.safetensors")
    case = json.loads((folder / "case.json").read_text())
    kept = ("query_input_ids", "query_attention_mask", "context_input_ids", "context_attention_mask")
    case["tensors"] = {
        name: case["tensors"][name] for name in (*kept, "doc.late_interaction_output", "doc.pooler_output")
    }
    case["tensors"]["doc.mystery"] = {"file": "expected.safetensors", "shape": [3]}
    del case["gradients"]
    (folder / "case.json").write_text(json.dumps(case))
    assert main([str(folder)]) == 1
    lines = capsys.readouterr().out.splitlines()
    assert [line.split()[0] for line in lines if "doc.late_interaction_output" in line] == ["FAIL", "FAIL"]
    assert [line.split()[0] for line in lines if "doc.pooler_output" in line] == ["ok", "ok"]
    assert all("not compared" in line for line in lines if "doc.mystery" in line)


@pytest.mark.shared
@pytest.mark.parametrize("case", ["a_preflmr", "b_flmr_rois", "c_tokenizers", "h_plaid"])
def test_shared_case(case: str) -> None:
    folder = Path(os.environ.get("SHARED_DATA", "../shared")) / "golden" / case
    assert main([str(folder)]) == 0
