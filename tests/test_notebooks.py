"""Both notebooks are executed on the CPU with SMOKE, and cells that need another machine by themselves."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import zipfile
from pathlib import Path
from typing import Any

import pytest

from alt_lite.config import load_recipe
from alt_lite.rundir import RunDir

ROOT = Path(__file__).resolve().parents[1]
KINDS = ("colab", "kaggle")
# Cells that are the platform's own; all others are the same in both.
OWN = {"parameters", "restore", "save"}
SMI = 'if [ "$1" != "--query-gpu=name,compute_cap,memory.total" ]; then exit 2; fi\n'


def book(kind: str) -> dict[str, Any]:
    return json.loads((ROOT / "notebooks" / f"alt_lite_{kind}.ipynb").read_text(encoding="utf-8"))


def code(kind: str) -> dict[str, str]:
    return {cell["id"]: "".join(cell["source"]) for cell in book(kind)["cells"] if cell["cell_type"] == "code"}


def with_values(parameters: str, **values: Any) -> str:
    """The parameters' cell with some values changed."""
    for name, value in values.items():
        parameters, count = re.subn(rf"(?m)^{name} = [^#\n]*", lambda _, n=name, v=value: f"{n} = {v!r} ", parameters)
        assert count == 1, name
    return parameters


@pytest.mark.parametrize("kind", KINDS)
def test_notebooks_are_valid_short_and_hold_no_output(kind):
    import nbformat

    notebook = nbformat.read(ROOT / "notebooks" / f"alt_lite_{kind}.ipynb", as_version=4)
    nbformat.validate(notebook)
    assert (notebook.nbformat, notebook.nbformat_minor) == (4, 5) and len({cell.id for cell in notebook.cells}) == len(notebook.cells)
    cells = [cell for cell in notebook.cells if cell.cell_type == "code"]
    assert len(cells) <= 12 and all(not cell.outputs and cell.execution_count is None for cell in cells)
    assert list(code(kind))[:2] == ["parameters", "machine"]
    metadata = book(kind)["metadata"]
    assert metadata["accelerator"] == "GPU" if kind == "colab" else metadata["kaggle"]["isGpuEnabled"]


def test_cells_that_are_not_a_platforms_own_are_the_same():
    colab, kaggle = code("colab"), code("kaggle")
    assert list(colab) == list(kaggle) and set(colab) > OWN
    assert all(colab[id_] == kaggle[id_] for id_ in set(colab) - OWN)


@pytest.mark.parametrize("kind", [pytest.param(kind, marks=pytest.mark.long) for kind in KINDS])
def test_every_cell_runs_on_a_cpu(kind, tmp_path, monkeypatch):
    import nbclient
    import nbformat

    # Where the package is not installed the kernel must find it; a GPU that is here is not the one meant.
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(ROOT), os.environ.get("PYTHONPATH", "")]))
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")
    notebook = nbformat.read(ROOT / "notebooks" / f"alt_lite_{kind}.ipynb", as_version=4)
    first = next(cell for cell in notebook.cells if cell.cell_type == "code")
    first.source = with_values(first.source, SMOKE=True, RUN_DIR=str(tmp_path / "runs" / "smoke"))
    nbclient.NotebookClient(notebook, timeout=900, kernel_name="python3", resources={"metadata": {"path": str(tmp_path)}}).execute()
    outputs = {cell.id: cell.outputs for cell in notebook.cells if cell.cell_type == "code"}
    assert not [output for made in outputs.values() for output in made if output.output_type == "error"]
    said = {id_: "".join(text_of(output) for output in made) for id_, made in outputs.items()}
    assert ", as it was" in said["install"] and "ready" in said["check"] and "train" in said["train"]
    assert "base" in said["chat"] and "</think>" in said["chat"] and "is finished; nothing to do" in said["resume"]
    run = tmp_path / "runs" / "smoke"
    report = json.loads((run / "report.json").read_text())
    assert report["recipe"] == "tiny" and report["comparisons"] and f"{len(report['comparisons'])} comparisons" in said["compare"]
    names = zipfile.ZipFile(tmp_path / "runs" / "smoke.zip").namelist()
    assert {"smoke/adapter/adapter_model.safetensors", "smoke/report.json"} <= set(names)
    assert ("smoke/merged/model.safetensors" in names) == (kind == "kaggle") and not any("checkpoints" in name for name in names)


def text_of(output: Any) -> str:
    return output.get("text", "") or output.get("data", {}).get("text/plain", "")


def machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, *cards: str, **given: Any) -> None:
    """Execute the machine's cell where `nvidia-smi` lists such cards."""
    smi = tmp_path / "nvidia-smi"
    smi.write_text("#!/bin/sh\n" + SMI + "".join(f"echo '{card}'\n" for card in cards))
    smi.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=os.pathsep)
    exec(code("kaggle")["machine"], {"RECIPE": "r1_1_5b", "SMOKE": False, **given})


@pytest.mark.skipif(sys.platform == "win32", reason="a shell script stands for nvidia-smi")
def test_of_two_gpus_one_is_used_and_one_too_old_is_refused(tmp_path, monkeypatch, capsys):
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    for name in [name for name in sys.modules if name == "torch"]:
        monkeypatch.delitem(sys.modules, name)
    machine(tmp_path, monkeypatch, "Tesla T4, 7.5, 15360 MiB", "Tesla T4, 7.5, 15360 MiB")
    assert os.environ["CUDA_VISIBLE_DEVICES"] == "0" and "the first of them is used" in capsys.readouterr().out
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES")
    machine(tmp_path, monkeypatch, "NVIDIA L4, 8.9, 23034 MiB")
    assert "CUDA_VISIBLE_DEVICES" not in os.environ
    with pytest.raises(RuntimeError, match="P100.* 6.0, .* need 7.0: choose a T4"):
        machine(tmp_path, monkeypatch, "Tesla P100-PCIE-16GB, 6.0, 16384 MiB")
    with pytest.raises(RuntimeError, match="needs a GPU and there is none"):
        machine(tmp_path, monkeypatch)
    machine(tmp_path, monkeypatch, SMOKE=True)
    monkeypatch.setitem(sys.modules, "torch", sys)
    with pytest.raises(RuntimeError, match="restart the session"):
        machine(tmp_path, monkeypatch, "Tesla T4, 7.5, 15360 MiB", "Tesla T4, 7.5, 15360 MiB")


def small_run(folder: Path) -> Path:
    for name in ("adapter/adapter_config.json", "merged/model.safetensors", "checkpoints/3/x"):
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("x" * (100_000 if "merged" in name else 10))
    recipe = load_recipe("tiny")
    RunDir(folder).begin(recipe, {})
    RunDir(folder).set_stage(recipe, "check", "done")
    return folder


@pytest.mark.parametrize("limit, merged, there", [(300_000, True, True), (180_000, False, True), (90_000, False, False)])
def test_the_zip_on_kaggle_stays_within_the_working_folder(limit, merged, there, tmp_path, capsys):
    run = small_run(tmp_path / "alt_lite")
    exec(code("kaggle")["save"].replace("LIMIT = 20e9", f"LIMIT = {limit}"), {"run": run, "RUN_DIR": str(run), "Path": Path})
    archive = tmp_path / "alt_lite.zip"
    assert archive.is_file() == there and ("no zip" in capsys.readouterr().out) != there
    if there:
        names = zipfile.ZipFile(archive).namelist()
        assert ("alt_lite/merged/model.safetensors" in names) == merged and "alt_lite/run.json" in names and not any("checkpoints" in n for n in names)


@pytest.mark.parametrize("kind", KINDS)
def test_a_saved_run_is_found_again_and_one_that_is_here_is_left_alone(kind, tmp_path, capsys):
    import shutil

    run = tmp_path / "new" / "alt_lite"
    small_run(tmp_path / "input" / "notebook" / "alt_lite")
    run.parent.mkdir()
    shutil.make_archive(str(tmp_path / "new" / "alt_lite"), "zip", tmp_path / "input" / "notebook", "alt_lite")
    names = {
        "run": run, "RUN_DIR": str(run), "EARLIER": str(tmp_path / "input"), "SAVE_TO": "download", "Path": Path, "shutil": shutil, "sys": sys,
        "call": lambda function, *arguments: function(*arguments), "RunDir": RunDir, "recipe": load_recipe("tiny"),
    }
    exec(code(kind)["restore"], names)
    assert (run / "adapter" / "adapter_config.json").is_file() and "check done, data todo, train todo" in capsys.readouterr().out
    (run / "mine").write_text("newer")
    exec(code(kind)["restore"], names)
    assert (run / "mine").is_file() and "from" not in capsys.readouterr().out


@pytest.mark.parametrize("repo, says", [("https://github.com/OWNER/alt_lite", "REPO is a placeholder")])
def test_without_a_copy_of_the_project_its_address_is_asked_for(repo, says, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("tempfile.gettempdir", lambda: str(tmp_path))
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(RuntimeError, match=says):
        exec(code("colab")["install"], {"SMOKE": True, "REPO": repo, "cards": [], "sys": sys})


@pytest.mark.long
def test_the_install_cell_installs_a_clone_and_leaves_torch_alone(tmp_path):
    """In an environment of its own that has all but the package."""
    subprocess.run([sys.executable, "-m", "venv", tmp_path / "env"], check=True)
    (site,) = (tmp_path / "env").glob("lib/python3*/site-packages")
    (site / "all_else.pth").write_text("".join(f"{path}\n" for path in sys.path if path.endswith("site-packages")))
    (tmp_path / "alt_lite").mkdir()  # a run's folder, say: it is not the package
    cells = code("colab")
    script = tmp_path / "cells.py"
    script.write_text("\n".join((with_values(cells["parameters"], SMOKE=True, REPO=str(ROOT)), cells["machine"], cells["install"], "import alt_lite; print(alt_lite.__file__)")))
    environment = {key: value for key, value in os.environ.items() if key != "PYTHONPATH"} | {"TMPDIR": str(tmp_path)}
    done = subprocess.run([tmp_path / "env" / "bin" / "python", script], cwd=tmp_path, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert ", as it was" in done.stdout and str(site) in done.stdout and (tmp_path / "alt_lite_source" / "README.md").is_file()
