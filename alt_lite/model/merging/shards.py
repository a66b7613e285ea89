"""Read and write a model's safetensors tensor by tensor, so that memory is one tensor's, whatever the model's size."""

from __future__ import annotations

import json
import math
import os
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from types import MappingProxyType
from typing import Any

from alt_lite.errors import UserError

SHARD_BYTES = 1_000_000_000
_SINGLE, _INDEX = "model.safetensors", "model.safetensors.index.json"
_CODES = {"float32": "F32", "float16": "F16", "bfloat16": "BF16"}
# Elements worked on at once, 4 MB in fp32, of which quantising takes some seven times. A block's rows
# are a multiple of 64, so that it ends where a block of 4 bit ends, whatever the number of columns.
_BLOCK, _ROWS = 1 << 20, 64

Shape = tuple[int, ...]
NOTHING: Mapping[str, Any] = MappingProxyType({})
_BESIDE = ("training_args.bin", "optimizer.pt", "scheduler.pt", "adapter_model.bin", "adapter_model.safetensors")  # no model's weights


@dataclass(frozen=True)
class Weights:
    """A folder's tensors: `files` names the file of each."""

    folder: Path
    files: dict[str, str]

    @cached_property
    def headers(self) -> dict[str, tuple[str, Shape]]:
        """Every tensor's type (`BF16`, …) and shape.

        Raises:
            UserError: a file is damaged, or lacks a tensor that the index places there.
        """
        found: dict[str, tuple[str, Shape]] = {}
        for file in sorted(set(self.files.values())):
            with _opened(self.folder / file) as opened:
                inside = set(opened.keys())
                for name in (name for name, where in self.files.items() if where == file):
                    if name not in inside:
                        raise UserError(f"{self.folder / file} holds no {name}, which {_INDEX} places there", "get the model's files anew")
                    tensor = opened.get_slice(name)
                    found[name] = tensor.get_dtype(), tuple(tensor.get_shape())
        return found

    def read(self, name: str) -> Any:
        """Read one tensor. The file is opened for it alone: pages once read stay in memory as long as a
        file is open, which for the whole of it would be the whole model."""
        with _opened(self.folder / self.files[name]) as opened:
            return opened.get_tensor(name)


def find_weights(folder: Path) -> Weights:
    """Find a folder's weights: one file, or shards with their index.

    Raises:
        UserError: there are none, or a shard is missing.
    """
    if (folder / _SINGLE).is_file():
        return Weights(folder, dict.fromkeys(names_in(folder / _SINGLE), _SINGLE))
    if not (folder / _INDEX).is_file():
        if (folder / "adapter_config.json").is_file():
            raise UserError(f"{folder} is an adapter's folder, no whole model's", "name the model that the adapter belongs to, or a run's merged/ folder")
        raise _foreign(folder)
    try:
        files = dict(json.loads((folder / _INDEX).read_text(encoding="utf-8"))["weight_map"])
    except (ValueError, KeyError, TypeError) as error:
        raise UserError(f"{folder / _INDEX} is no index of shards", "get the model's files anew") from error
    if not all(file.endswith(".safetensors") for file in files.values()):
        raise _foreign(folder)
    for file in sorted(set(files.values())):
        if not (folder / file).is_file():
            raise UserError(f"{folder} lacks {file}, which {_INDEX} names", "get the model's files anew")
    return Weights(folder, files)


def names_in(path: Path) -> list[str]:
    """Name the tensors of a file, from its header.

    Raises:
        UserError: it is damaged.
    """
    with _opened(path) as opened:
        return list(opened.keys())


def _foreign(folder: Path) -> UserError:
    """Say what a folder holds in place of safetensors by their usual names, and how they are made from it."""
    found = {kind: names for kind in ("bin", "pth", "pt", "ckpt", "gguf", "msgpack", "h5", "safetensors") if (names := sorted(path.name for path in folder.glob(f"*.{kind}") if path.name not in _BESIDE))}
    if not found:
        return UserError(f"{folder} holds no {_SINGLE} and no {_INDEX}", "name a complete model folder")
    kind, names = next(iter(found.items()))
    told = f"{folder} holds its weights as {names[0]}{f' and {len(names) - 1} more' if len(names) > 1 else ''}, not as {_SINGLE} or shards with {_INDEX}"
    if kind == "bin":
        where = str(folder)
        return UserError(told, f'python -c "from transformers import AutoModelForCausalLM as M; M.from_pretrained({where!r}, dtype=\'auto\').save_pretrained({where!r})" writes safetensors beside them')
    if kind in ("pth", "pt", "ckpt") and len(names) == 1:
        load = f"torch.load({str(folder / names[0])!r}, 'cpu', weights_only=True)"
        return UserError(told, f'python -c "import torch; from safetensors.torch import save_file as s; s({{k: v.clone() for k, v in {load}.items()}}, {str(folder / _SINGLE)!r}, {{\'format\': \'pt\'}})" where it holds the tensors by their names')
    if kind == "safetensors":
        return UserError(told, f"get the model's own {_SINGLE} or shards; one whole file under another name may be renamed")
    return UserError(told, "model.name of the same model in safetensors, from which such files are made")


def _opened(path: Path) -> Any:
    from safetensors import SafetensorError, safe_open

    try:
        return safe_open(path, framework="pt")
    except SafetensorError as error:
        raise UserError(f"{path} is cut or damaged ({str(error).splitlines()[0]})", "get that file anew") from error


def row_blocks(shape: Shape) -> Iterator[slice]:
    """Cut a tensor's rows into blocks of bounded size; a single number is one row."""
    shape = shape or (1,)
    rows = max(_BLOCK // max(math.prod(shape[1:]), 1) // _ROWS, 1) * _ROWS
    for start in range(0, shape[0], rows):
        yield slice(start, min(start + rows, shape[0]))


def plan_shards(shapes: Mapping[str, Shape], width: int, limit: int = SHARD_BYTES, wider: Mapping[str, Any] = NOTHING) -> list[list[str]]:
    """Put names into shards in their order; a shard is past `limit` bytes only with a single tensor."""
    shards: list[list[str]] = [[]]
    size = 0
    for name, shape in shapes.items():
        bytes_ = math.prod(shape) * (wider[name].itemsize if name in wider else width)
        if shards[-1] and size + bytes_ > limit:
            shards.append([])
            size = 0
        shards[-1].append(name)
        size += bytes_
    return shards


def write_weights(
    folder: Path, shapes: Mapping[str, Shape], dtype: Any, blocks: Callable[[str], Iterable[Any]],
    report: Callable[[int, str], None] = lambda done, note: None, limit: int = SHARD_BYTES, wider: Mapping[str, Any] = NOTHING,
) -> None:
    """Write shards of at most `limit` bytes, and their index where there is more than one.

    The safetensors format is written here by hand (the header's length in 8 bytes, the header, the
    values), since the package's own writer wants a file's tensors in memory all at once. `blocks` gives
    a tensor's rows, in order, as tensors of `dtype`, or of what `wider` has for its name; `report` takes the number of tensors written.
    """
    shards = plan_shards(shapes, dtype.itemsize, limit, wider)
    types = {name: wider.get(name, dtype) for name in shapes}
    files = [_SINGLE] if len(shards) == 1 else [f"model-{n:05d}-of-{len(shards):05d}.safetensors" for n in range(1, len(shards) + 1)]
    done = 0
    for file, names in zip(files, shards, strict=True):
        with (folder / file).open("wb") as out:
            out.write(_header({name: shapes[name] for name in names}, types))
            for name in names:
                before = out.tell()
                for block in blocks(name):
                    out.write(_bytes(block, types[name]))
                if out.tell() - before != math.prod(shapes[name]) * types[name].itemsize:
                    raise ValueError(f"the blocks of {name} are not its {shapes[name]} values")
                done += 1
                report(done, file)
            out.flush()
            os.fsync(out.fileno())
    if len(shards) > 1:
        total = sum(math.prod(shape) for shape in shapes.values())
        index = {
            "metadata": {"total_parameters": total, "total_size": sum(math.prod(shape) * types[name].itemsize for name, shape in shapes.items())},
            "weight_map": {name: file for file, names in zip(files, shards, strict=True) for name in names},
        }
        (folder / _INDEX).write_text(json.dumps(index, indent=2) + "\n", encoding="utf-8")


def _header(shapes: Mapping[str, Shape], types: Mapping[str, Any]) -> bytes:
    header: dict[str, Any] = {"__metadata__": {"format": "pt"}}
    at = 0
    for name, shape in shapes.items():
        end = at + math.prod(shape) * types[name].itemsize
        header[name] = {"dtype": _CODES[str(types[name]).removeprefix("torch.")], "shape": list(shape), "data_offsets": [at, end]}
        at = end
    text = json.dumps(header, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)  # the values begin at a multiple of 8 bytes
    return len(text).to_bytes(8, "little") + text


def _bytes(block: Any, dtype: Any) -> memoryview:
    import torch

    if block.dtype != dtype:
        raise ValueError(f"a block of {block.dtype}, not {dtype}")
    return memoryview(block.contiguous().reshape(-1).view(torch.uint8).numpy())
