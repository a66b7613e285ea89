"""Follow what torch allocates on a CPU: the bytes that are alive, and the most there ever were."""

from __future__ import annotations

import weakref
from collections.abc import Iterable
from typing import Any

import torch
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves


class Allocations(TorchDispatchMode):
    """Counts the storages that operations return while it is entered, as long as they live; `known` are not counted.

    Of bitsandbytes' 4-bit product the weight that it unpacks for itself is counted too, as on a GPU with
    many tokens (`_dequant_linear_fallback`), since operations within an operation are not seen.
    """

    def __init__(self, known: Iterable[torch.Tensor] = ()) -> None:
        super().__init__()
        self.live = self.peak = 0
        self._seen: weakref.WeakSet[Any] = weakref.WeakSet(tensor.untyped_storage() for tensor in known)

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        result = func(*args, **(kwargs or {}))
        for leaf in tree_leaves(result):
            if isinstance(leaf, torch.Tensor) and leaf.device.type == "cpu":
                self._count(leaf.untyped_storage())
        unpacked = args[2][0] * args[2][1] * args[0].element_size() if func is torch.ops.bitsandbytes.gemm_4bit.default else 0
        self.peak = max(self.peak, self.live + unpacked)
        return result

    def _count(self, storage: Any) -> None:
        if storage in self._seen or not storage.nbytes():
            return
        self._seen.add(storage)
        self.live += storage.nbytes()
        weakref.finalize(storage, self._free, storage.nbytes())

    def _free(self, size: int) -> None:
        self.live -= size


def bytes_of(tensors: Iterable[torch.Tensor]) -> int:
    """Bytes of the tensors' storages, each once."""
    return sum({tensor.untyped_storage().data_ptr(): tensor.untyped_storage().nbytes() for tensor in tensors}.values())
