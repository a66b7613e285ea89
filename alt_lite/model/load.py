"""Load models: in NF4 for training, in 16 bit or dequantised for merging and evaluation."""

from __future__ import annotations

import hashlib
from functools import wraps
from pathlib import Path
from typing import TYPE_CHECKING, Any

from alt_lite.config import EMBEDDED, ModelSection
from alt_lite.config.peek import names_gguf
from alt_lite.console import say
from alt_lite.decide import Device
from alt_lite.errors import UserError, is_disk_full, is_out_of_memory
from alt_lite.families import FAMILIES
from alt_lite.model import attention
from alt_lite.net import asking, one_line
from alt_lite.tokens import tokenizer as tokenizers_io
from alt_lite.tokens.tokenizer import Tokens

if TYPE_CHECKING:
    from torch import nn
    from transformers import PreTrainedModel

_KEPT = 2  # tokenizers: a run's model's, and its merged folder's
_tokenizers: dict[tuple[Any, ...], Tokens] = {}


def model_folder(model: ModelSection, weights: bool = True) -> Path:
    """Find the model's folder: the package's own weights, a local folder, what a GGUF file was unpacked into, or the
    hub's snapshot, of which `weights=False` fetches the small files only.

    Raises:
        UserError: the weights are missing or cannot be had.
    """
    if model.name == EMBEDDED:
        folder = Path(__file__).resolve().parents[1] / "tiny" / "weights"
        if not (folder / "model.safetensors").is_file():
            raise UserError(f"the embedded weights are missing from {folder}", "install alt_lite again; or python -m alt_lite tiny build, and copy them there")
        return folder
    if Path(model.name).is_dir():
        require_one_model(Path(model.name))
        return Path(model.name)
    if names_gguf(model.name):
        from alt_lite.model.importing import from_gguf

        return from_gguf.folder_of(model)
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import GatedRepoError, HFValidationError, RepositoryNotFoundError, RevisionNotFoundError

    fix = "give a folder or a GGUF file: model.name=FOLDER_OR_FILE"
    with asking(f"the hub for {model.name}", fix):
        try:
            # Other formats of the same weights, which some repositories hold too, are not wanted, and no adapter
            # beside them: transformers would put it on the model without a word.
            patterns = ["*.json", "*.jinja", "*.model", "README.md", *(["*.safetensors"] if weights else [])]
            return Path(snapshot_download(model.name, revision=model.revision, allow_patterns=patterns, ignore_patterns=["adapter_*"]))
        except GatedRepoError as error:
            raise UserError(f"{model.name} is gated", f"accept its terms on huggingface.co/{model.name} and set HF_TOKEN; or {fix}") from error
        except (RepositoryNotFoundError, RevisionNotFoundError, HFValidationError) as error:
            raise UserError(f"{model.name} is no folder here, and the hub has no model of that name, or it needs a token ({one_line(error)})", f"check the name, set HF_TOKEN, or {fix}") from error


def is_here(model: ModelSection) -> bool:
    """Whether the model's files lie in a folder already, all of them, and need not be fetched."""
    return model.name == EMBEDDED or Path(model.name).is_dir() or names_gguf(model.name)


def has_weights(model: ModelSection) -> bool:
    """Whether the model's weights are on this machine: in a folder, a GGUF file, or the hub's snapshot. Asks no hub."""
    if is_here(model):
        return True
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import HFValidationError, LocalEntryNotFoundError

    try:
        folder = Path(snapshot_download(model.name, revision=model.revision, local_files_only=True))
    except (LocalEntryNotFoundError, HFValidationError):
        return False
    return any(folder.glob("*.safetensors"))


def require_one_model(folder: Path) -> None:
    """Refuse a folder that holds a whole model and an adapter: transformers puts the adapter on the model without a
    word, while the merge reads the model alone.

    Raises:
        UserError: it does.
    """
    whole = (folder / "config.json").is_file() and any(path.name.startswith(("model", "pytorch_model", "consolidated")) for kind in ("safetensors", "bin") for path in folder.glob(f"*.{kind}"))
    if whole and (folder / "adapter_config.json").is_file():
        raise UserError(
            f"{folder} holds a whole model and, in adapter_config.json and adapter_model.*, an adapter: which of them is meant is not known",
            "move the adapter's files into a folder of their own: then this folder is the model, and that one the adapter",
        )


def load_tokens(model: ModelSection, folder: Path | None = None) -> Tokens:
    """Load a model's tokenizer, of the family that is named, or of the one that is found; it stays loaded while its
    files are as they are, since every stage asks for it and a vocabulary of 150,000 takes seconds.

    Args:
        folder: where its files lie, where that is not the model's own folder.
    """
    place = folder or model_folder(model, weights=False)
    stamps = tuple((path.name, path.stat().st_mtime_ns, path.stat().st_size) for path in sorted(place.iterdir()) if path.suffix in (".json", ".jinja", ".txt"))
    key = place.resolve(), model.family, model.name, stamps
    if key not in _tokenizers:
        if len(_tokenizers) >= _KEPT:
            _tokenizers.pop(next(iter(_tokenizers)))
        _tokenizers[key] = tokenizers_io.load(place, FAMILIES.get(model.family), model.name)
    return _tokenizers[key]


def load_quantized(folder: Path, device: Device) -> PreTrainedModel:
    """Load in NF4 with double quantisation, computing in the device's training dtype.

    On a CPU with AVX512-BF16, bitsandbytes repacks a layer's weight in place at its first forward
    without gradients and never back: training after an evaluation then raises, or gets wrong
    gradients without a word. The repacking is turned off on every layer.
    """
    from transformers import BitsAndBytesConfig

    dtype = training_dtype(device)
    model = _loaded(folder, device, dtype, quantization_config=BitsAndBytesConfig(
        load_in_4bit=True, bnb_4bit_quant_type="nf4", bnb_4bit_use_double_quant=True, bnb_4bit_compute_dtype=dtype
    ))
    for module in model.modules():
        if hasattr(module, "support_avx512bf16_for_cpu"):
            module.support_avx512bf16_for_cpu = False
    return model


def load_full(folder: Path, device: Device, dtype: Any = None) -> PreTrainedModel:
    """Load unquantised, in what the device computes in unless `dtype` says otherwise."""
    return _loaded(folder, device, dtype or training_dtype(device))


def _loaded(folder: Path, device: Device, dtype: Any, **settings: Any) -> PreTrainedModel:
    """Load so that the model computes what was published, and decodes as it is told to: transformers would
    take a repetition penalty, and all else that is not said, from the folder's generation_config.json."""
    from json import JSONDecodeError

    from safetensors import SafetensorError
    from transformers import AutoModelForCausalLM, GenerationConfig

    attention.prepare(device)
    heed_attn_factor()
    try:
        model = AutoModelForCausalLM.from_pretrained(folder, dtype=dtype, device_map=device.kind, **settings)
    except (SafetensorError, JSONDecodeError, OSError, ValueError) as error:
        if is_disk_full(error):
            raise
        raise UserError(f"{folder} cannot be loaded: {str(error).splitlines()[0]}", "get the folder's files anew, if it is a model that transformers knows") from error
    model.generation_config = GenerationConfig()
    return model


def heed_attn_factor() -> None:
    """Let transformers read YaRN's `attn_factor`, as vLLM and llama.cpp do. DeepSeek-R1-0528's configuration
    undoes with it what YaRN multiplies attention by; left out, every score is 1.3 times too large."""
    from transformers import modeling_rope_utils

    plain = modeling_rope_utils.ROPE_INIT_FUNCTIONS["yarn"]
    if hasattr(plain, "__wrapped__"):
        return

    @wraps(plain)
    def yarn(config: Any, *arguments: Any, **keywords: Any) -> tuple[Any, float]:
        frequencies, factor = plain(config, *arguments, **keywords)
        rope = config.rope_parameters
        return frequencies, factor * (rope.get("attn_factor") or 1.0) if rope.get("attention_factor") is None else factor

    modeling_rope_utils.ROPE_INIT_FUNCTIONS["yarn"] = yarn


def free_memory() -> None:
    """Give back what models that are not used any more hold: those in 4 bit, or with an adapter, refer to
    themselves, and allocators keep what is free."""
    import gc

    import torch

    from alt_lite.generate.fit import trim

    gc.collect()
    trim()
    if torch.cuda.is_available():
        torch.cuda.empty_cache()


def guard(name: str, device: Device, precision: str = "auto") -> tuple[Any, Any]:
    """Load a guard and its plain tokenizer, whose own template is needed.

    Raises:
        UserError: it cannot be had.
    """
    from transformers import PreTrainedTokenizerFast

    folder = model_folder(ModelSection(name=name))
    four_bit, why = in_four_bit(folder, device, precision)
    say(f"guard: loading {name} in {'4' if four_bit else '16'} bit ({why})")
    model = load_quantized(folder, device) if four_bit else load_full(folder, device)
    return model.eval(), PreTrainedTokenizerFast.from_pretrained(folder, clean_up_tokenization_spaces=False)


def in_four_bit(folder: Path, device: Device, asked: str) -> tuple[bool, str]:
    """Decide whether a model is loaded in 4 bit, with the reason: as `asked`, else where its files, which hold
    16 bit, take more than three quarters of the free memory."""
    import torch

    from alt_lite.generate.fit import free_bytes

    if asked != "auto":
        return asked == "4bit", "as asked"
    size = sum(path.stat().st_size for path in folder.glob("*.safetensors")) * (2 if device.dtype == "float32" else 1)
    free = free_bytes(torch.device(device.kind))
    return size > 0.75 * free, f"{size / 1e9:.1f} GB, {free / 1e9:.1f} GB are free"


def load_dequantized(folder: Path, device: Device) -> PreTrainedModel:
    """Load in NF4 and unpack every layer to full precision: the base that training really saw."""

    model = load_quantized(folder, device)
    dtype = training_dtype(device)
    dequantize_(model, dtype)
    for attribute in ("quantization_config", "_pre_quantization_dtype"):
        if hasattr(model.config, attribute):
            delattr(model.config, attribute)
    for attribute in ("is_quantized", "is_loaded_in_4bit", "hf_quantizer", "quantization_method"):
        if hasattr(model, attribute):
            setattr(model, attribute, None if attribute.startswith(("hf_", "quantization")) else False)
    return model.to(dtype)


def dequantize_(module: nn.Module, dtype: Any) -> None:
    """Replace every `Linear4bit` below `module` by a plain linear layer with the weights it stands for."""
    import torch
    from bitsandbytes.functional import dequantize_4bit
    from bitsandbytes.nn import Linear4bit

    for name, child in list(module.named_children()):
        if isinstance(child, Linear4bit):
            weight = dequantize_4bit(child.weight.data, child.weight.quant_state).to(dtype)
            plain = torch.nn.Linear(child.in_features, child.out_features, bias=child.bias is not None, device=weight.device, dtype=dtype)
            plain.weight = torch.nn.Parameter(weight, requires_grad=False)
            if child.bias is not None:
                plain.bias = torch.nn.Parameter(child.bias.data.to(dtype), requires_grad=False)
            setattr(module, name, plain)
        else:
            dequantize_(child, dtype)


def with_adapter(model: PreTrainedModel, adapter: Path) -> Any:
    """Put a saved adapter on a loaded base, for inference, in fp32.

    Raises:
        UserError: PEFT cannot.
    """
    import warnings

    from peft import PeftModel
    from safetensors import SafetensorError

    try:
        with warnings.catch_warnings():
            warnings.filterwarnings("error", message=".*missing adapter keys")  # of which PEFT makes up the weights
            return PeftModel.from_pretrained(model, str(adapter), autocast_adapter_dtype=False).eval()
    except (UserWarning, RuntimeError, ValueError, KeyError, TypeError, SafetensorError) as error:
        if is_out_of_memory(error) or is_disk_full(error):
            raise
        first = next((line.strip() for line in str(error).splitlines() if line.strip()), type(error).__name__)
        raise UserError(f"{adapter} cannot be put on its base ({first[:160]})", "the base that it was trained on; or merge it where it was trained, and name the merged folder") from error


def training_dtype(device: Device) -> Any:
    """bf16 where the device has it, else fp16 on a GPU and fp32 on a CPU."""
    import torch

    return getattr(torch, device.dtype)


def weights_digest(folder: Path) -> str:
    """Hash a folder's weights, configuration and tokenizer, so that responses are reused for the same
    model only.

    Raises:
        UserError: there are no weights.
    """
    digest = hashlib.blake2b(digest_size=8)
    weights = [*folder.glob("*.safetensors"), *folder.glob("*.bin")]
    if not weights:
        raise UserError(f"{folder} holds no weights (*.safetensors)", "name a complete model folder")
    for path in sorted([*weights, *(folder / name for name in ("config.json", "adapter_config.json", "tokenizer.json"))]):
        if path.is_file():
            digest.update(path.name.encode())
            with path.open("rb") as file:
                while block := file.read(1 << 22):
                    digest.update(block)
    return digest.hexdigest()
