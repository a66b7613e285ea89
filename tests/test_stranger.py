"""The main job for a person without a token, on a machine that knows nothing yet: hub and file host are stand-ins, on which
gated sets answer 401 and the embedded model lies under a real model's name. `pytest -m long -k stranger -s` shows it all."""

from __future__ import annotations

import json
import os
import random
import subprocess
import sys
from pathlib import Path

import pytest
from standin import Standin, standin
from test_places import FILES, GATED, HUB, ROOT, repository

pytestmark = pytest.mark.long
NAME = "deepseek-ai/DeepSeek-R1-Distill-Qwen-1.5B"
WORDS = ["amber", "birch", "cobalt", "delta", "ember", "fjord", "grove", "harbor", "islet", "jasper", "kelp", "lagoon", "meadow", "nectar", "opal", "prairie", "quartz", "ridge", "summit", "tundra"]
LITTLE = ("model.backend=transformers", "train.epochs=0.05", "eval.limit=2", "eval.max_new_tokens=4")


def safechain() -> dict[str, bytes]:
    """A set of SafeChain's columns, large enough for AltTrain-1K."""
    rng = random.Random(0)

    def row(label: str, trace: str, answer: str) -> dict[str, str]:
        prompt = " ".join(rng.choice(WORDS) for _ in range(30))
        return {"instruction": f"Please tell me about {prompt}?", "response": f"The user asks about {prompt}. {trace}\n</think>\n\n{answer}", "label": label}

    rows = [row(rng.choice(("vanilla_harmful", "adversarial_harmful")), "I should not help.", "No.") for _ in range(1000)]
    rows += [row("vanilla_benign", "I will explain it in simple steps.", "It is a list of words.") for _ in range(150)]
    return repository("default", "train", rows)


@pytest.fixture(scope="module")
def served():
    weights = {path.name: path.read_bytes() for path in (ROOT / "alt_lite/tiny/weights").iterdir() if path.name not in ("build.json", "build_log.jsonl")}
    with standin({**HUB, "UWNSL/SafeChain": safechain()}, {NAME: weights}, FILES, gated=GATED) as server:
        yield server


@pytest.fixture(scope="module")
def desk(tmp_path_factory) -> Path:
    return tmp_path_factory.mktemp("desk")


def called(served: Standin, desk: Path, *words: str, **more: str) -> subprocess.CompletedProcess[str]:
    env = {**os.environ, **served.environment(HF_HOME=str(desk / "hf"), ALT_LITE_CACHE=str(desk / "cache"), PYTHONPATH=str(ROOT), CUDA_VISIBLE_DEVICES=""), **more}
    env.pop("HF_DATASETS_CACHE", None)
    done = subprocess.run([sys.executable, *words], env=env, cwd=desk, capture_output=True, text=True, timeout=900)
    print(f"\n$ python {' '.join(words)[:200]}: {done.returncode}\n" + "\n".join((done.stdout + done.stderr).splitlines()[-14:]))
    assert "Traceback" not in done.stderr, done.stderr
    return done


def test_a_stranger_plans_checks_evaluates_and_runs_the_main_job(served, desk):
    assert called(served, desk, "-m", "alt_lite.recipe", "r1_1_5b", "--dry-run").returncode == 0
    refused = called(served, desk, "-m", "alt_lite", "check", "r1_1_5b")
    assert refused.returncode == 2 and refused.stderr.splitlines()[-1].startswith("Fix: ")
    checked = called(served, desk, "-m", "alt_lite", "check", "r1_1_5b", "model.backend=transformers", "eval.suite=compact")
    assert checked.returncode == 0 and "time, training: about" in checked.stderr and checked.stderr.count(" prompts from ") == 9
    assert called(served, desk, "-m", "alt_lite", "eval", NAME, "--suite", "quick", "eval.limit=2", "eval.max_new_tokens=4").returncode == 0
    assert called(served, desk, "-m", "alt_lite.recipe", "r1_1_5b", *LITTLE, "eval.suite=quick", "--run-dir", "r").returncode == 0
    report = json.loads((desk / "r/report.json").read_text())
    assert len(report["sources"]) == 4 and report["missing"] == [] and report["merge"]["proved"]
    before = len(served.seen)
    offline = called(
        served, desk, "-m", "alt_lite", "eval", NAME, "--suite", "quick", "eval.limit=2", "eval.max_new_tokens=4", "--out", "again",
        HF_HUB_OFFLINE="1", ALT_LITE_FILES_HOST="http://127.0.0.1:9",
    )
    assert offline.returncode == 0 and len(served.seen) == before


@pytest.mark.parametrize("kind", ["colab", "kaggle"])
def test_a_strangers_notebook_runs_up_to_training(served, desk, kind):
    """All cells but the machine's, which asks for a GPU, and the installation's, as one program."""
    book = json.loads((ROOT / "notebooks" / f"alt_lite_{kind}.ipynb").read_text(encoding="utf-8"))
    cells = {cell["id"]: "".join(cell["source"]) for cell in book["cells"] if cell["cell_type"] == "code"}
    names = list(cells)[: list(cells).index("train") + 1]
    own = f"OVERRIDES = {list(LITTLE)!r}\nRUN_DIR = 'runs/{kind}'\ncards = []\nimport os, shutil, subprocess, sys\nfrom pathlib import Path\n"
    code = "\n".join([cells["parameters"], own, *(cells[name] for name in names if name not in ("parameters", "machine", "install"))])
    (desk / f"{kind}.py").write_text(code, encoding="utf-8")
    assert called(served, desk, f"{kind}.py").returncode == 0
    assert (desk / f"runs/{kind}/adapter/adapter_config.json").is_file()
