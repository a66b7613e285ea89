"""What this machine offers to a model: its device, and whether a recipe can run on it."""

from __future__ import annotations

import logging
import os
import platform
import re
import shutil
import warnings
from collections.abc import Sequence
from dataclasses import replace
from importlib.metadata import PackageNotFoundError, version
from importlib.util import find_spec
from pathlib import Path

import psutil

from alt_lite.config import Recipe
from alt_lite.console import say
from alt_lite.decide import CAPABILITY, Device, computing
from alt_lite.errors import UserError
from alt_lite.model import launchers

# Dense tensor-core TFLOPS with 16-bit inputs and fp32 accumulation, from NVIDIA's data sheets; GeForce
# cards run that at half their published fp16 rate. What is not listed has no share of its peak.
PEAK_TFLOPS = {
    "T4": 65, "V100-PCIE": 112, "V100-SXM2": 125, "A100": 312, "A10": 125, "A10G": 70, "L4": 121, "L40": 181, "L40S": 362,
    "H100 PCIe": 756, "H100 80GB HBM3": 989, "H200": 989, "RTX A6000": 155, "RTX 6000 Ada Generation": 364,
    "RTX 3060": 25.5, "RTX 3060 Ti": 32.4, "RTX 3070": 40.6, "RTX 3080": 59.5, "RTX 3090": 71, "RTX 3090 Ti": 80,
    "RTX 4060": 30.2, "RTX 4060 Ti": 44.1, "RTX 4070": 58.3, "RTX 4070 Ti": 80.2, "RTX 4080": 97.5, "RTX 4090": 165.2,
    "RTX 5070": 61.7, "RTX 5070 Ti": 87.9, "RTX 5080": 112.6, "RTX 5090": 209.5,
}
# Other chips than the names that they contain.
_VARIANT = re.compile(r" (Laptop|SUPER|Max-Q|D$|D )", re.IGNORECASE)


def prepare_environment() -> None:
    """Set what must stand before any heavy import: no phone-home, no tokenizer threads after a fork,
    one process on one GPU (two would double the rows of a step), and no warnings about what is chosen and
    tested: padding-free rows under SDPA, and bitsandbytes' optional kernels for CPUs.

    Raises:
        UserError: a launcher has started several processes.
    """
    launchers.leave()
    os.environ.setdefault("HF_HUB_DISABLE_TELEMETRY", "1")
    os.environ.setdefault("UNSLOTH_DISABLE_STATISTICS", "1")
    os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
    os.environ.setdefault("TRANSFORMERS_VERBOSITY", "error")
    os.environ.setdefault("HF_HUB_DISABLE_PROGRESS_BARS", "1")
    os.environ.setdefault("HF_DATASETS_DISABLE_PROGRESS_BARS", "1")
    os.environ["CUDA_VISIBLE_DEVICES"] = os.environ.get("CUDA_VISIBLE_DEVICES", "0").split(",")[0]
    for name in ("trl", "bitsandbytes", "huggingface_hub.file_download"):
        logging.getLogger(name).setLevel(logging.ERROR)


def device(recipe: Recipe | None = None) -> Device:
    """Look at the machine; imports torch, and neither transformers nor Unsloth.

    Args:
        recipe: what will run on it, and so what it computes in; None: on a CPU in fp32, the exact way.

    Raises:
        UserError: there is a GPU that cannot be used as it is, or it does not compute in what is asked for.
    """
    found = _device()
    if recipe is None:
        return replace(found, bf16=found.bf16 and found.kind == "cuda")
    return computing(recipe, found)


def _device() -> Device:
    import torch

    _require_loadable_torchvision()
    with warnings.catch_warnings(record=True) as told:  # torch gives its reason once in a process
        warnings.simplefilter("always")
        available = torch.cuda.is_available()
    if available:
        if torch.cuda.device_count() > 1:
            raise UserError("torch sees several GPUs already, and a step would have several times its rows", "set CUDA_VISIBLE_DEVICES=0 before torch is imported; in a notebook restart the kernel first")
        if (cards := len(_cards())) > 1:
            say(f"{cards} GPUs are here; one is used (CUDA_VISIBLE_DEVICES={os.environ['CUDA_VISIBLE_DEVICES']})")
        properties = torch.cuda.get_device_properties(0)
        capability = (properties.major, properties.minor)
        require_capability(properties.name, capability, torch.cuda.get_arch_list())
        # Emulated bf16 (before 8.0) does not count: it is slower than fp16.
        return Device("cuda", properties.name, properties.total_memory, capability >= (8, 0), capability, unsloth_version())
    # Setting the number, even to what it is, stops MKL from choosing another per call, which would
    # change the last bits: a resumed run could not equal an uninterrupted one.
    torch.set_num_threads(torch.get_num_threads())
    no_gpu = why_no_gpu(bool(_cards() or shutil.which("nvidia-smi")), [str(warning.message) for warning in told], torch.version.cuda)
    if no_gpu:
        say(f"{no_gpu[0]}; everything runs on the CPU ({no_gpu[1]})")
    name = f"CPU, {torch.get_num_threads()} threads ({platform.machine()})"
    return Device("cpu", name, psutil.virtual_memory().total, cpu_has_bf16(), unsloth=unsloth_version(), no_gpu=no_gpu)


def cpu_has_bf16() -> bool:
    """Whether the processor multiplies matrices of bf16 with instructions of its own (AVX512-BF16, AMX): elsewhere torch
    computes them in fp32, with a detour."""
    import torch

    # torch tells by these names since 2.5, though they are not public; another build may lack them.
    asked = (getattr(torch.cpu, name, None) for name in ("_is_avx512_bf16_supported", "_is_amx_tile_supported"))
    return any(has() for has in asked if has)


def require_capability(name: str, capability: tuple[int, int], built: Sequence[str] = ()) -> None:
    """Refuse a card that today's kernels, or those `built` into this torch (sm_75, …), do not run on.

    Raises:
        UserError: the card is older than Volta, such as Kaggle's P100, or than this torch's oldest.
    """
    if capability < CAPABILITY:
        raise UserError(
            f"{name} has compute capability {capability[0]}.{capability[1]}; torch's, Triton's and bitsandbytes' kernels need {CAPABILITY[0]}.{CAPABILITY[1]}",
            "on Kaggle choose the accelerator T4; or CUDA_VISIBLE_DEVICES=-1 python -m alt_lite.recipe tiny runs on the CPU",
        )
    oldest = min((int(arch[3:]) for arch in built if re.fullmatch(r"sm_\d+", arch)), default=0)
    if 10 * capability[0] + capability[1] < oldest:
        raise UserError(
            f"{name} has compute capability {capability[0]}.{capability[1]}; this torch has kernels from {oldest / 10:.1f} on",
            "pip install --force-reinstall 'torch>=2.8,<2.11' --index-url https://download.pytorch.org/whl/cu126",
        )


def _cards() -> list[Path]:
    """List NVIDIA cards that the system knows, whatever torch is allowed to see."""
    return [path for path in Path("/dev").glob("nvidia*") if path.name.removeprefix("nvidia").isdigit()]


def why_no_gpu(seen: bool, told: list[str], build: str | None) -> tuple[str, str] | None:
    """Tell why torch finds no GPU on a machine that has one, and what to do; None where there is none.

    Args:
        seen: the system knows a card, or has its tools.
        told: what torch warned of when it was asked.
        build: the CUDA that torch is built for; None for a CPU build.
    """
    if not seen:
        return None
    mask = os.environ.get("CUDA_VISIBLE_DEVICES", "0")
    if not mask.isdigit() and not mask.startswith(("GPU-", "MIG-")):
        return f"CUDA_VISIBLE_DEVICES={mask} hides the GPU", "CUDA_VISIBLE_DEVICES=0"
    if build is None:
        return "a GPU is here, but this torch is a build for CPUs", "pip install --force-reinstall 'torch>=2.8,<2.14' --index-url https://download.pytorch.org/whl/cu128"
    first = next((text.splitlines()[0].split(". ")[0] for text in told), "the driver does not answer")
    return f"a GPU is here, but torch for CUDA {build} cannot use it: {first}", "update NVIDIA's driver (nvidia-smi must work), or install a torch for an older CUDA"


def _require_loadable_torchvision() -> None:
    """Unsloth's packages draw in a torchvision that may not load beside a CPU build of torch; then
    trl's import fails with a message that names neither."""
    if find_spec("torchvision") is None:
        return
    try:
        import torchvision  # noqa: F401
    except (ImportError, RuntimeError, OSError) as error:
        first = str(error).splitlines()[0]
        raise UserError(f"torchvision does not load beside this torch ({first})", "pip uninstall -y torchvision") from error


def unsloth_version() -> str | None:
    """Give Unsloth's version, None where it or its zoo is not installed; nothing of it is imported."""
    try:
        version("unsloth_zoo")
        return version("unsloth")
    except PackageNotFoundError:
        return None


def require_fit(recipe: Recipe, here: Device) -> None:
    """Refuse a recipe that this machine cannot train, before anything is loaded.

    Raises:
        UserError: no GPU, or one with too little memory, or no Unsloth where it is asked for; the fix
            names what to run instead.
    """
    need, backend = recipe.model.gpu_gb, recipe.model.backend
    if backend == "unsloth":
        _require_unsloth(here)
    if need is None:
        return
    if here.kind == "cpu" and backend == "auto":
        if here.no_gpu:
            raise UserError(*here.no_gpu)
        raise UserError(
            f"{recipe.name} needs a CUDA GPU with about {need:g} GB (estimate); this machine has none",
            "python -m alt_lite.recipe tiny runs here, on the CPU; model.backend=transformers trains this model on it all the same, in days",
        )
    if here.kind == "cpu":
        say(f"{recipe.name} on a CPU: everything computes in {here.dtype}; what takes a GPU minutes takes days here (train.epochs and data.harmful make it shorter)")
        return


def _require_unsloth(here: Device) -> None:
    if here.unsloth is None:
        raise UserError("model.backend=unsloth, but Unsloth is not installed", "pip install -r requirements.txt brings it; or model.backend=transformers")
    if here.kind == "cpu" and os.environ.get("UNSLOTH_FORCE_CPU") != "1":
        raise UserError("model.backend=unsloth needs an NVIDIA GPU; this machine has none that torch can use", "model.backend=transformers; UNSLOTH_FORCE_CPU=1 tries Unsloth's own CPU path")


def peak_flops(name: str) -> float | None:
    """Give a card's dense peak in 16-bit arithmetic, per second; None where it is not known."""
    if _VARIANT.search(name):
        return None
    known = [card for card in PEAK_TFLOPS if re.search(rf"\b{re.escape(card)}\b", name)]
    return PEAK_TFLOPS[max(known, key=len)] * 1e12 if known else None


def share_of_peak(frozen: int, trained: int, tokens_per_second: float | None, here: Device) -> float | None:
    """Give the share of a card's peak that training's useful arithmetic is (MFU): 2 operations per weight and
    token forward, 2 for the gradient of what goes into it, 2 for its own where it is trained (Kaplan et al.
    2020); what is computed twice for checkpoints, and attention's scores, are not counted. None on a CPU and
    for cards whose peak is not known.

    Args:
        frozen: weights of linear maps that are not trained, the output head among them.
    """
    peak = peak_flops(here.name) if here.kind == "cuda" else None
    return round((4 * frozen + 6 * trained) * tokens_per_second / peak, 4) if peak and tokens_per_second else None


def peak_memory() -> int:
    """Peak memory of this process in bytes: of the GPU where there is one, else resident memory."""
    import torch

    if torch.cuda.is_available():
        return int(torch.cuda.max_memory_allocated())
    status = Path("/proc/self/status")
    if status.is_file():  # ru_maxrss would count the parent process before exec
        high = next(line for line in status.read_text().splitlines() if line.startswith("VmHWM"))
        return int(high.split()[1]) * 1024
    if platform.system() == "Windows":
        return int(psutil.Process().memory_info().peak_wset)
    import resource

    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if platform.system() == "Darwin" else peak * 1024


def try_four_bit(here: Device) -> float:
    """Run one NF4 layer forward and backward; gives its output's relative error against full weights."""
    import torch
    from bitsandbytes.nn import Linear4bit

    from alt_lite.model.load import training_dtype

    dtype = training_dtype(here)
    torch.manual_seed(0)
    plain = torch.nn.Linear(256, 256, bias=False, dtype=dtype)
    layer = Linear4bit(256, 256, bias=False, compute_dtype=dtype, quant_type="nf4")
    layer.load_state_dict({"weight": plain.weight.data.clone()})
    layer = layer.to(here.kind)
    if hasattr(layer, "support_avx512bf16_for_cpu"):
        layer.support_avx512bf16_for_cpu = False
    x = torch.randn(8, 256, dtype=dtype, device=here.kind, requires_grad=True)
    output, expected = layer(x), plain.to(here.kind)(x)
    output.float().pow(2).mean().backward()
    if x.grad is None or not bool(torch.isfinite(x.grad).all()):
        raise UserError("4-bit training does not work here: no finite gradient", "reinstall bitsandbytes for this machine")
    return float(((output - expected).norm() / expected.norm()).detach())
