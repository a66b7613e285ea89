"""Variables of launchers of several processes: left out and said, or refused where there are several."""

from __future__ import annotations

import os

import pytest

from alt_lite.config import load_recipe
from alt_lite.decide import Device, decide
from alt_lite.errors import UserError
from alt_lite.model import backend, launchers, train

LEFT = [
    {"LOCAL_RANK": "0"}, {"RANK": "0", "WORLD_SIZE": "1", "LOCAL_RANK": "0", "MASTER_ADDR": "gone", "MASTER_PORT": "1"}, {"LOCAL_RANK": "x", "WORLD_SIZE": ""},
    {"OMPI_COMM_WORLD_SIZE": "1", "OMPI_COMM_WORLD_LOCAL_RANK": "0", "PMI_RANK": "0"}, {"TORCHELASTIC_RUN_ID": "a", "GROUP_RANK": "0"},
    {"ACCELERATE_USE_FSDP": "true", "FSDP_VERSION": "2"}, {"ACCELERATE_USE_DEEPSPEED": "true"}, {"ACCELERATE_MIXED_PRECISION": "fp16", "ACCELERATE_TORCH_DEVICE": "meta"},
]


@pytest.fixture
def clean(monkeypatch):
    for name in launchers.left(os.environ):
        monkeypatch.delenv(name)
    return monkeypatch


@pytest.mark.parametrize("variables", LEFT, ids=lambda variables: min(variables))
def test_what_a_launcher_left_is_taken_out_and_said_once(clean, capsys, variables):
    for name, value in variables.items():
        clean.setenv(name, value)
    clean.setenv("SLURM_PROCID", "3")
    for _ in range(2):
        backend.prepare_environment()
    assert not set(variables) & set(os.environ) and os.environ["SLURM_PROCID"] == "3"
    told = capsys.readouterr().err
    assert told.count("of a launcher") == 1 and all(name in told for name in variables)


@pytest.mark.parametrize("name", ["WORLD_SIZE", "OMPI_COMM_WORLD_SIZE", "PMI_SIZE", "MV2_COMM_WORLD_SIZE"])
def test_several_processes_are_refused(clean, name):
    clean.setenv(name, "2")
    with pytest.raises(UserError, match=f"{name}=2: a launcher started 2 processes") as refused:
        backend.prepare_environment()
    assert f"unset {name}" in refused.value.fix and os.environ[name] == "2"


def test_nothing_is_said_where_nothing_was_left(clean, capsys):
    backend.prepare_environment()
    assert "launcher" not in capsys.readouterr().err


@pytest.mark.parametrize("asked, steps, given", [(5, 1, 0), (5, 5, 0), (5, 6, 5), (50, 40, 4), (40, 40, 4), (0, 1, 0), (1, 1, 0), (10, 100, 10)])
def test_a_warm_up_that_would_outlast_the_training_is_shortened_and_said(asked, steps, given, tmp_path):
    recipe = load_recipe("tiny", [f"train.warmup_steps={asked}"])
    cpu = Device("cpu", "CPU", 0)
    decisions = decide(recipe, cpu)
    settings = train.effective_settings(recipe, decisions, cpu, train.Places(tmp_path, tmp_path, tmp_path), steps)
    told = train.describe(recipe, decisions, settings)
    assert settings["warmup_steps"] == given
    assert (f"shortened from {asked} steps to {given}: training has {steps}" in told) == (given != asked)
