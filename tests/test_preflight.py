"""What `check` and `doctor` show of memory, disk and versions; the README's hardware table."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from io import StringIO
from pathlib import Path

import pytest
from rich.console import Console

from alt_lite import preflight as top
from alt_lite.config import load_recipe
from alt_lite.decide import Device, decide
from alt_lite.errors import UserError
from alt_lite.model.memory import Peak
from alt_lite.report import hardware, preflight

MEASURED = {
    "recipe": "r1_1_5b", "stage": "train", "gpu": "Tesla T4", "gpu_memory_bytes": 15_835_000_000, "date": "2026-11-30",
    "versions": {"torch": "2.13.0", "transformers": "5.17.0", "python": "3.12"}, "command": "python -m alt_lite bench r1_1_5b", "random_weights": True,
    "backend": "transformers", "layout": "padding_free", "longest_row": 2048, "micro_batch_size": 4, "peak_memory_bytes": 4_400_000_000,
    "tokens_per_second": 2000, "seconds": None,
}


def printed(text, terminal=False) -> str:
    out = StringIO()
    Console(file=out, force_terminal=terminal, width=150, color_system="truecolor" if terminal else None).print(text, soft_wrap=True)
    return out.getvalue()


def cells(text: str) -> str:
    return text.splitlines()[1].strip()


def test_a_bar_has_a_share_of_cells_for_each_part_and_reads_without_colours():
    peak = Peak("training", {"weights": 6 * 10**9, "logits": 3 * 10**9, "context": 600_000_000}, "2 rows of 700 tokens at once")
    plain = printed(preflight.bar(peak, 12 * 10**9))
    assert "training, estimate: 9.6 GB of 12.0 GB, fits (2 rows of 700 tokens at once)" in plain and "\x1b" not in plain
    assert cells(plain) == "█" * 30 + "▒" * 15 + "c" * 3 + "·" * 12 + "|"
    assert "█ weights 6.0 GB, ▒ logits 3.0 GB, c context 0.6 GB" in plain
    assert "\x1b[" in printed(preflight.bar(peak, 12 * 10**9), terminal=True)


def test_what_does_not_fit_goes_past_the_end_of_the_bar():
    plain = printed(preflight.bar(Peak("training", {"weights": 8 * 10**9, "logits": 4 * 10**9}), 10 * 10**9))
    assert "12.0 GB of 10.0 GB, 2.0 GB TOO MUCH" in plain
    assert cells(plain) == "█" * 48 + "▒" * 12 + "|" + "▒" * 12


def test_small_parts_add_up_to_their_cells():
    """Ten parts of a quarter of a cell each are two and a half cells, not none."""
    parts = dict.fromkeys(("weights", "adapter", "gradients", "optimiser", "activations", "one layer", "gaps", "context"), 25 * 10**7)
    assert len(cells(printed(preflight.bar(Peak("x", parts), 60 * 10**9))).replace("·", "").replace("|", "")) == 2


def test_foreign_text_is_never_markup():
    assert "[bold]x[/]" in printed(preflight.bar(Peak("training", {"weights": 1}, "[bold]x[/]"), 10))


def test_versions_are_held_to_the_tested_ranges():
    required = ["torch<2.14,>=2.8", "trl<1.15,>=1.13", "openai>=1.60", 'unsloth_zoo<2026.11,>=2026.10.7; extra == "gpu"', 'pytest>=8; extra == "test"']
    lines = preflight.version_lines({"python": "3.11.7", "torch": "2.13.0+cpu", "trl": "1.15.0"}, required)
    assert re.fullmatch(r"python +3\.11\.7", lines[0])
    assert re.fullmatch(r"torch +2\.13\.0\+cpu +inside the tested range >=2\.8,<2\.14", lines[1])
    assert re.fullmatch(r"trl +1\.15\.0 +OUTSIDE the tested range >=1\.13,<1\.15", lines[2])
    assert [line.split()[0] for line in lines[3:]] == ["unsloth-zoo"] and "not installed" in lines[3]


def test_doctor_is_one_block_for_a_bug_report(command):
    status, out, _ = command("doctor")
    assert status == 0 and out.startswith("```text\n") and out.endswith("```\n") and out.count("```") == 2
    for line in (r"torch +\S+ +inside the tested range", r"device +CPU", r"memory +[\d.]+ GB of [\d.]+ GB free", r"disk +[\d.]+ GB free", r"4 bit +forward and backward work"):
        assert re.search(rf"^{line}", out, re.MULTILINE), line


def test_doctor_prints_its_block_even_where_four_bit_fails(command, monkeypatch):
    from alt_lite.model import backend

    def fails(here):
        raise UserError("no finite gradient", "reinstall")

    monkeypatch.setattr(backend, "try_four_bit", fails)
    status, out, err = command("doctor")
    assert status == 2 and "4 bit          FAILS: UserError: no finite gradient" in out and out.endswith("```\n") and "Fix: reinstall" in err


def looked(tmp_path, overrides=(), longest=100):
    recipe, here = load_recipe("tiny", overrides), Device("cpu", "CPU", 8 * 10**9)
    return top.look(recipe, here, decide(recipe, here), longest, tmp_path / "runs" / "x")


def test_a_look_shows_both_peaks_and_the_disk(tmp_path, capsys):
    decisions = looked(tmp_path)
    err = capsys.readouterr().err
    assert "training, estimate:" in err and "evaluation, estimate:" in err and "disk, estimate:" in err and err.count("fits") == 3
    assert "export --to gguf would take 3.5 MB of disk more" in err
    assert decisions["train.micro_batch_size"].value == 16 and not (tmp_path / "runs").exists()


def test_a_look_reads_no_weights_and_imports_no_torch(tmp_path):
    code = (
        "import sys\nfrom pathlib import Path\nfrom alt_lite import preflight\nfrom alt_lite.config import load_recipe\nfrom alt_lite.decide import Device, decide\n"
        "recipe, here = load_recipe('tiny'), Device('cpu', 'CPU', 8 * 10**9)\npreflight.look(recipe, here, decide(recipe, here), 100, Path('runs/x'))\n"
        "assert not {'torch', 'transformers', 'safetensors'} & set(sys.modules)\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, cwd=tmp_path, timeout=60)


def test_a_real_models_config_decides_rows_and_precision(tmp_path, monkeypatch, capsys):
    """A folder with the small files only, as the hub's snapshot is before the download."""
    folder = tmp_path / "base"
    folder.mkdir()
    (folder / "config.json").write_text(json.dumps({
        "model_type": "qwen2", "hidden_size": 3584, "num_hidden_layers": 28, "num_attention_heads": 28, "num_key_value_heads": 4,
        "intermediate_size": 18944, "vocab_size": 152064, "tie_word_embeddings": False,
    }))
    card = Device("cuda", "RTX 4070", 12 * 10**9, bf16=True)
    monkeypatch.setattr(top, "free_memory", lambda here, backend: 14 * 10**9)
    monkeypatch.setattr(top, "free_disk", lambda path: 10**11)
    recipe = load_recipe("r1_7b", [f"model.name={folder}"])
    decisions = top.look(recipe, card, decide(recipe, card), 1050, tmp_path / "run")
    assert decisions["train.micro_batch_size"].value in (2, 4, 8) and decisions["eval.precision"].value == "4bit"
    err = capsys.readouterr().err
    assert "download 15.2 GB" in err and "eval.precision = 4bit: 16 bit would need" in err
    cpu = Device("cpu", "CPU", 0)
    for asked, memory, disk, value, reason in (
        ("auto", 200, 100, "float32", "no rounding to 16 bit: in float32 it takes 30.5 GB of 200.0 GB"), ("auto", 100, 100, "bfloat16", "more than a quarter of the 100.0 GB"),
        ("auto", 200, 40, "bfloat16", "which the disk does not hold"), ("float32", 100, 100, "float32", "as asked"),
    ):
        monkeypatch.setattr(top, "free_memory", lambda here, backend, memory=memory: memory * 10**9)
        monkeypatch.setattr(top, "free_disk", lambda path, disk=disk: disk * 10**9)
        given = load_recipe("r1_7b", [f"model.name={folder}", f"merge.dtype={asked}"])
        stored = top.look(given, cpu, decide(given, cpu), 1050, tmp_path / "run", trains=False)["merge.dtype"]
        assert stored.value == value and reason in stored.reason and f"merged {'30.5' if value == 'float32' else '15.2'} GB" in capsys.readouterr().err
    monkeypatch.setattr(top, "free_memory", lambda here, backend: 4 * 10**9)
    monkeypatch.setattr(top, "free_disk", lambda path: 10**11)
    assert "train.micro_batch_size" not in top.look(recipe, card, {"model.backend": decisions["model.backend"], "eval.batch_size": decisions["eval.batch_size"], "train.layout": decisions["train.layout"]}, 1050, tmp_path / "run", trains=False)
    with pytest.raises(UserError, match=r"needs about .* RTX 4070 has 4\.0 GB free") as error:
        top.look(recipe, card, decide(recipe, card), 1050, tmp_path / "run")
    assert "these fit: " in error.value.fix
    monkeypatch.setattr(top, "free_memory", lambda here, backend: 24 * 10**9)
    monkeypatch.setattr(top, "free_disk", lambda path: 20 * 10**9)
    with pytest.raises(UserError, match=r"needs about .* GB of disk \(estimate\) at .*; 20\.0 GB are free"):
        top.look(recipe, card, decide(recipe, card), 1050, tmp_path / "run")


def test_an_unknown_architecture_has_no_estimate_and_says_so(tmp_path, capsys):
    (tmp_path / "config.json").write_text('{"model_type": "mamba"}')
    recipe, here = load_recipe("r1_7b", [f"model.name={tmp_path}"]), Device("cpu", "CPU", 8 * 10**9)
    before = decide(recipe, here)
    after, told = top.look(recipe, here, before, 100, tmp_path), capsys.readouterr().err
    assert {**after, "train.layout": before["train.layout"]} == before and "no estimate of memory" in told
    assert after["train.layout"].value == "grouped" and "train.layout = grouped: mamba has recurrent layers" in told


def line_of(table: str, recipe: str) -> str:
    (line,) = [line for line in table.splitlines() if line.startswith(f"| `{recipe}` |")]
    return line


def test_measurements_replace_estimates_and_say_where_they_come_from(tmp_path):
    before = line_of(hardware.table(tmp_path), "r1_1_5b")
    assert "*estimate*" in before and "not measured" in before
    (tmp_path / "a.json").write_text(json.dumps(MEASURED))
    line = line_of(hardware.table(tmp_path), "r1_1_5b")
    assert "4.4 GB *measured (Tesla T4, 2026-11-30, torch 2.13.0, transformers 5.17.0, random weights)*" in line
    # 168,000 tokens × 15 epochs / 2,000 tokens per second.
    assert "21 min *estimate from 2,000 tokens/s measured (Tesla T4" in line
    (tmp_path / "b.json").write_text(json.dumps({**MEASURED, "date": "2026-12-02", "random_weights": False, "seconds": 1500.0}))
    newest = line_of(hardware.table(tmp_path), "r1_1_5b")
    assert "25 min *measured (Tesla T4, 2026-12-02, torch 2.13.0, transformers 5.17.0)*" in newest and "2026-11-30" not in newest
    assert "measured (" not in line_of(hardware.table(tmp_path), "r1_7b")


def test_a_measurement_with_a_field_missing_or_of_another_type_is_refused(tmp_path):
    (tmp_path / "bad.json").write_text(json.dumps({**{k: v for k, v in MEASURED.items() if k != "gpu"}, "seconds": "long"}))
    with pytest.raises(UserError, match=r"bad\.json: gpu, seconds missing or of another type"):
        hardware.table(tmp_path)


def test_the_schema_of_measurements_tells_every_field():
    text = (hardware.recipe_folder() / "measured" / "README.md").read_text(encoding="utf-8")
    assert set(re.findall(r"`(\w+)`", "\n".join(line.split("|")[1] for line in text.splitlines() if line.startswith("| `")))) == set(hardware.FIELDS)


def test_the_readmes_hardware_table_is_the_made_one():
    readme = (Path(__file__).resolve().parents[1] / "README.md").read_text(encoding="utf-8")
    assert readme.count(hardware.BEGIN) == readme.count(hardware.END) == 1, f"the README lacks {hardware.BEGIN} … {hardware.END}"
    between = readme.partition(hardware.BEGIN)[2].partition(hardware.END)[0]
    assert between.strip() == hardware.table(), "python -m alt_lite.report.hardware prints what belongs between the markers"


def test_a_model_alone_is_evaluated_in_4_bit_where_the_card_does_not_hold_16(tmp_path):
    config = {
        "model_type": "llama", "hidden_size": 4096, "num_hidden_layers": 32, "num_attention_heads": 32, "num_key_value_heads": 8,
        "intermediate_size": 14336, "vocab_size": 128256, "tie_word_embeddings": False,
    }
    (tmp_path / "config.json").write_text(json.dumps(config))
    recipe = load_recipe("r1_8b")
    chosen = {memory: top.precision(recipe, Device("cuda", "card", memory * 10**9, bf16=True), tmp_path).value for memory in (16, 24)}
    assert chosen == {16: "4bit", 24: "16bit"}
    (tmp_path / "config.json").write_text(json.dumps({**config, "model_type": "unknown"}))
    assert top.precision(recipe, Device("cuda", "card", 16 * 10**9), tmp_path) is None
