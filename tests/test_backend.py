"""What a machine can do with a recipe: decided from plain values, so that cards which are not here are covered."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from alt_lite.config import load_recipe
from alt_lite.decide import Device, chosen, computing, decide
from alt_lite.errors import UserError
from alt_lite.model import backend, load, train
from alt_lite.provenance import compare
from alt_lite.rundir import read_json
from tests.conftest import SMALL

GB = 10**9
ADA = Device("cuda", "NVIDIA GeForce RTX 4090", 24 * GB, True, (8, 9), "2026.10.9")
T4 = Device("cuda", "Tesla T4", 15 * GB, False, (7, 5), "2026.10.9")
BARE = Device("cuda", "NVIDIA A10", 24 * GB, True, (8, 6))
CPU = Device("cpu", "CPU", 32 * GB, unsloth="2026.10.9")


@pytest.mark.parametrize("name, device, value, reason", [
    ("r1_1_5b", ADA, "unsloth", "Unsloth 2026.10.9 is installed, and NVIDIA GeForce RTX 4090 (compute capability 8.9) runs it"),
    ("r1_1_5b", T4, "unsloth", "compute capability 7.5"),
    ("r1_1_5b", BARE, "transformers", "not installed; pip install"),
    ("r1_1_5b", CPU, "transformers", "no GPU here"),
    ("tiny", ADA, "transformers", "larger models"),
])
def test_the_backend_is_decided_and_says_why(name, device, value, reason):
    decision = decide(load_recipe(name), device)["model.backend"]
    assert decision.value == value and reason in decision.reason and str(decision).startswith(f"model.backend = {value}: ")


def test_a_forced_backend_is_taken_or_refused_with_a_way_out(monkeypatch, capsys):
    monkeypatch.delenv("UNSLOTH_FORCE_CPU", raising=False)
    forced = load_recipe("r1_1_5b", ["model.backend=transformers"])
    assert chosen(decide(forced, ADA), "model.backend") == "transformers"
    backend.require_fit(forced, CPU)
    assert "days here" in capsys.readouterr().err
    asked = load_recipe("r1_1_5b", ["model.backend=unsloth"])
    backend.require_fit(asked, ADA)
    for device, says in ((BARE, "not installed"), (CPU, "needs an NVIDIA GPU")):
        with pytest.raises(UserError, match=says) as told:
            backend.require_fit(asked, device)
        assert "model.backend=transformers" in told.value.fix
    monkeypatch.setenv("UNSLOTH_FORCE_CPU", "1")
    backend.require_fit(load_recipe("tiny", ["model.backend=unsloth"]), CPU)
    with pytest.raises(UserError, match="needs a CUDA GPU") as told:
        backend.require_fit(load_recipe("r1_1_5b"), CPU)
    assert "model.backend=transformers trains this model" in told.value.fix


@pytest.mark.parametrize("name, device, value, reason", [
    ("tiny", Device("cpu", "CPU", 0), "float16", "ships"), ("r1_7b", Device("cuda", "A100", 0, True, (8, 0)), "bfloat16", "as this GPU computes"),
    ("r1_7b", Device("cuda", "T4", 0, False, (7, 5)), "float16", "no bfloat16"), ("r1_7b", Device("cuda", "not looked at", 0), "bfloat16", "not looked at"),
    ("r1_7b", Device("cpu", "CPU", 0), "bfloat16", "float32 where memory and disk allow"),
])
def test_what_the_merged_model_is_stored_in_is_decided_and_says_why(name, device, value, reason):
    made = decide(load_recipe(name), device)["merge.dtype"]
    assert made.value == value and reason in made.reason
    assert decide(load_recipe(name, ["merge.dtype=float32"]), device)["merge.dtype"].value == "float32"


def test_a_cpu_with_instructions_for_bf16_computes_in_it_and_the_embedded_model_stays_exact():
    plain, able = Device("cpu", "c", 10**10), Device("cpu", "c", 10**10, bf16=True)
    real, tiny = load_recipe("smollm2_135m"), load_recipe("tiny")
    assert [computing(real, able).dtype, computing(real, plain).dtype, computing(tiny, able).dtype] == ["bfloat16", "float32", "float32"]
    assert computing(load_recipe("smollm2_135m", ["model.dtype=float32"]), able).dtype == "float32"
    assert computing(load_recipe("smollm2_135m", ["model.dtype=bfloat16"]), plain).dtype == "bfloat16"  # as torch computes it there
    assert "instructions for it" in decide(real, able)["model.dtype"].reason and "no instructions" in decide(real, plain)["model.dtype"].reason
    with pytest.raises(UserError, match="float16"):
        computing(load_recipe("smollm2_135m", ["model.dtype=float16"]), able)


def test_a_cards_precision_can_be_forced_to_what_it_has():
    new, old = (Device("cuda", "c", 10**10, bf16=bf16, capability=(8 if bf16 else 7, 0)) for bf16 in (True, False))
    forced = load_recipe("r1_7b", ["model.dtype=float16"])
    assert [computing(forced, new).dtype, computing(forced, old).dtype, computing(load_recipe("r1_7b"), new).dtype] == ["float16", "float16", "bfloat16"]
    with pytest.raises(UserError, match="trains in float16"):
        computing(load_recipe("r1_7b", ["model.dtype=bfloat16"]), old)


@pytest.mark.parametrize("device, half, other", [(T4, "fp16", "bf16"), (ADA, "bf16", "fp16")])
def test_half_precision_is_the_cards_own(device, half, other):
    """Traps 9 and 12: trl would take bf16 on a T4, Unsloth's defaults would take neither; a loss kind and
    kind of checkpointing go with the backend."""
    import torch

    recipe = load_recipe("r1_1_5b")
    settings = train.effective_settings(recipe, decide(recipe, device), device, train.Places(*(Path(x) for x in "abc")), 10)
    assert settings[half] is True and settings[other] is False and settings["use_cpu"] is False
    assert load.training_dtype(device) == {"fp16": torch.float16, "bf16": torch.bfloat16}[half]
    assert settings["loss_type"] == "nll" and "gradient_checkpointing_kwargs" not in settings
    plain = load_recipe("r1_1_5b", ["model.backend=transformers"])
    settings = train.effective_settings(plain, decide(plain, device), device, train.Places(*(Path(x) for x in "abc")), 10)
    assert settings["loss_type"] == "chunked_nll" and settings["gradient_checkpointing_kwargs"] == {"use_reentrant": False}


def test_cards_before_volta_are_refused():
    """Trap 23: Kaggle's P100 runs neither Triton's nor torch's kernels."""
    with pytest.raises(UserError, match=r"P100.* compute capability 6\.0.* need 7\.0") as told:
        backend.require_capability("Tesla P100-PCIE-16GB", (6, 0))
    assert "T4" in told.value.fix
    backend.require_capability("Tesla V100-SXM2-16GB", (7, 0))


def test_cards_older_than_torchs_kernels_are_refused():
    """torch 2.11 and later from PyPI have no kernels of a V100 (pytorch #172352)."""
    with pytest.raises(UserError, match=r"V100.* 7\.0; this torch has kernels from 7\.5 on") as told:
        backend.require_capability("Tesla V100-SXM2-16GB", (7, 0), ["sm_75", "sm_80", "sm_120", "compute_120"])
    assert "torch>=2.8,<2.11" in told.value.fix
    backend.require_capability("Tesla T4", (7, 5), ["sm_75", "sm_120"])


def test_the_share_of_a_cards_peak_counts_what_is_computed():
    """By torch's own counter: frozen maps have no gradient of their weights."""
    import torch
    from torch.utils.flop_counter import FlopCounterMode

    maps = torch.nn.Sequential(*(torch.nn.Linear(64, 64, bias=False) for _ in range(4)))
    maps[2].requires_grad_(False), maps[1].requires_grad_(False)
    x = torch.randn(10, 64, requires_grad=True)
    with FlopCounterMode(display=False) as counted:
        maps(x).sum().backward()
    frozen = trained = 2 * 64 * 64
    share = backend.share_of_peak(frozen, trained, 1e9, ADA)
    assert share == pytest.approx(counted.get_total_flops() / 10 * 1e9 / 165.2e12, abs=1e-4)
    assert backend.share_of_peak(frozen, trained, 1e9, CPU) is None and backend.share_of_peak(frozen, trained, None, ADA) is None


def test_a_gpu_that_torch_cannot_use_is_told_with_the_reason(monkeypatch):
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "0")
    assert backend.why_no_gpu(False, [], "12.8") is None
    assert "build for CPUs" in backend.why_no_gpu(True, [], None)[0]
    old = "CUDA initialization: The NVIDIA driver on your system is too old (found version 11040). Please update your GPU driver"
    message, fix = backend.why_no_gpu(True, [old], "12.8")
    assert "CUDA 12.8" in message and "too old (found version 11040)" in message and "update NVIDIA's driver" in fix
    assert "does not answer" in backend.why_no_gpu(True, [], "12.8")[0]
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "-1")
    message, fix = backend.why_no_gpu(True, [], "12.8")
    assert message == "CUDA_VISIBLE_DEVICES=-1 hides the GPU" and fix == "CUDA_VISIBLE_DEVICES=0"
    with pytest.raises(UserError, match="hides the GPU"):
        backend.require_fit(load_recipe("r1_1_5b"), Device("cpu", "CPU", 8 * GB, no_gpu=(message, fix)))
    backend.require_fit(load_recipe("tiny"), Device("cpu", "CPU", 8 * GB, no_gpu=(message, fix)))


@pytest.mark.parametrize("given, left", [(None, "0"), ("1", "1"), ("1,0", "1"), ("-1", "-1")])
def test_one_gpu_is_pinned_before_torch(given, left, tmp_path):
    environment = {key: value for key, value in os.environ.items() if key != "CUDA_VISIBLE_DEVICES"} | {"PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
    if given:
        environment["CUDA_VISIBLE_DEVICES"] = given
    code = (
        "import os, sys\nfrom alt_lite.model.backend import prepare_environment, unsloth_version\nprepare_environment()\nunsloth_version()\n"
        "print(os.environ['CUDA_VISIBLE_DEVICES'], os.environ['UNSLOTH_DISABLE_STATISTICS'], os.environ['HF_HUB_DISABLE_TELEMETRY'], {'torch', 'unsloth', 'transformers'} & set(sys.modules))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, env=environment, cwd=tmp_path, check=True)
    assert done.stdout.split(maxsplit=3) == [left, "1", "1", "set()\n"]


@pytest.mark.parametrize("name, tflops", [
    ("Tesla T4", 65), ("NVIDIA A100-SXM4-80GB", 312), ("NVIDIA A10", 125), ("NVIDIA A10G", 70), ("NVIDIA L40S", 362),
    ("NVIDIA H100 80GB HBM3", 989), ("NVIDIA GeForce RTX 3090", 71), ("NVIDIA GeForce RTX 4070 Ti", 80.2), ("NVIDIA GeForce RTX 4070 Ti SUPER", None),
    ("NVIDIA GeForce RTX 4090 Laptop GPU", None), ("NVIDIA GeForce RTX 4090 D", None), ("NVIDIA A1000", None), ("NVIDIA GeForce GTX 1080", None),
])
def test_a_cards_peak_is_known_or_null(name, tflops):
    assert backend.peak_flops(name) == (tflops and tflops * 1e12)


FACTS = {"prompts": "p", "computes_in": "bfloat16", "versions": {"torch": "2.13.0", "trl": "1.14.2", "datasets": "4.8.5"}, "backend": "transformers", "model": {"digest": "d"}}


def test_other_versions_are_told_and_refused_while_a_training_is_unfinished(capsys):
    """Trap 20: a training that goes on with other packages equals no run."""
    before = {"versions": {"torch": "2.13.0", "trl": "1.13.0", "datasets": "4.7.0", "unsloth": "2026.10.9"}, "backend": "transformers", "computes_in": "bfloat16", "model": {"digest": "d"}}
    compare(before, FACTS)
    told = capsys.readouterr().err
    assert "trl 1.14.2, 1.13.0 when this run was trained" in told and "datasets" in told and "unsloth is missing" in told
    with pytest.raises(UserError, match=r"begun with trl 1\.13\.0 \(here 1\.14\.2\)$") as refused:
        compare(before, FACTS, unfinished=True)
    assert refused.value.fix.startswith("pip install trl==1.13.0, or --fresh")
    with pytest.raises(UserError, match="begun by the backend unsloth; here it would be transformers"):
        compare({**before, "backend": "unsloth"}, FACTS, unfinished=True)
    with pytest.raises(UserError, match="begun in float16; here it would compute in bfloat16"):
        compare({**FACTS, "computes_in": "float16"}, FACTS, unfinished=True)
    compare({**FACTS, "computes_in": "float16"}, FACTS)
    compare({**FACTS, "versions": {**FACTS["versions"], "datasets": "4.7.0"}}, FACTS, unfinished=True)


def test_a_run_with_a_checkpoint_is_not_gone_on_with_by_other_packages(finished, tmp_path, command):
    copy = tmp_path / "copy"
    shutil.copytree(finished, copy)
    manifest = read_json(copy / "run.json")
    manifest["versions"]["peft"] = "0.1"
    (copy / "run.json").write_text(json.dumps(manifest))
    (copy / "report.json").unlink()
    status, _, err = command("run", "tiny", *SMALL, "--run-dir", copy, "--stages", "report")
    assert status == 0 and "0.1 when this run was trained" in err
    manifest = read_json(copy / "run.json")
    manifest["stages"]["train"]["state"] = "begun"
    manifest["versions"]["peft"] = "0.1"
    (copy / "run.json").write_text(json.dumps(manifest))
    status, _, err = command("run", "tiny", *SMALL, "--run-dir", copy)
    assert status == 2 and "begun with peft 0.1" in err and err.strip().splitlines()[-1].startswith("Fix: pip install peft==0.1, or --fresh")
    shutil.rmtree(copy / "checkpoints")
    status, _, err = command("run", "tiny", *SMALL, "--run-dir", copy, "--stages", "train")
    assert status == 0  # without a checkpoint it begins anew
