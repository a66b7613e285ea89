"""What launchers of several processes leave in the environment, which accelerate and torch would take for their own."""

from __future__ import annotations

import os
from collections.abc import Mapping

from alt_lite.console import say
from alt_lite.errors import UserError

# As accelerate 1.15 (state.py, utils/environment.py, utils/dataclasses.py), transformers' training arguments and
# torch.distributed read them: torchrun's, MPI's (Intel's, MVAPICH's, Open MPI's), SageMaker's, accelerate's own.
_WORLD = ("WORLD_SIZE", "OMPI_COMM_WORLD_SIZE", "PMI_SIZE", "MV2_COMM_WORLD_SIZE")
_NAMES = (
    "RANK", "LOCAL_RANK", "NODE_RANK", "GROUP_RANK", "ROLE_RANK", "ROLE_NAME", "LOCAL_WORLD_SIZE", "GROUP_WORLD_SIZE", "ROLE_WORLD_SIZE",
    "MASTER_ADDR", "MASTER_PORT", "FORK_LAUNCHED", "MPI_LOCALRANKID", "MPI_LOCALNRANKS", "SMDATAPARALLEL_LOCAL_RANK", "SM_HP_MP_PARAMETERS",
    "SM_FRAMEWORK_PARAMS", "DS_ACCELERATOR", "CROSS_RANK", "CROSS_SIZE",
)
_PREFIXES = ("ACCELERATE_", "FSDP_", "TORCHELASTIC_", "OMPI_COMM_WORLD_", "MV2_COMM_WORLD_", "PMI_", "PMIX_", "MEGATRON_LM_", "PARALLELISM_CONFIG_", "DEEPSPEED_", "FP8_")


def left(environment: Mapping[str, str]) -> list[str]:
    """Name the variables of launchers that are set."""
    return sorted(name for name in environment if name in (*_NAMES, *_WORLD) or name.startswith(_PREFIXES))


def processes(environment: Mapping[str, str]) -> tuple[str, int]:
    """Tell how many processes a launcher says there are, and by which variable."""
    for name in _WORLD:
        value = environment.get(name, "").strip()
        if value.isdigit() and int(value) > 1:
            return name, int(value)
    return "", 1


def leave() -> None:
    """Take launchers' variables out of this process's environment, and say so.

    Raises:
        UserError: there are several processes, each of which would do the whole work.
    """
    name, count = processes(os.environ)
    if count > 1:
        raise UserError(
            f"{name}={count}: a launcher started {count} processes, and each would do the whole work; everything here is one process on one device",
            f"python -m alt_lite … without torchrun, accelerate launch, mpirun or srun; where nothing of that runs, unset {name}",
        )
    if names := left(os.environ):
        for one in names:
            del os.environ[one]
        say(f"environment: {', '.join(names)} of a launcher of several processes left out; this is one process on one device")
