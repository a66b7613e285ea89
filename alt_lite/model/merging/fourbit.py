"""One weight as 4-bit training sees it: quantised as loading does, or found quantised, and unpacked by rows."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from alt_lite.model.merging.shards import Shape, Weights, row_blocks

if TYPE_CHECKING:
    from torch import Tensor

_BLOCKSIZE, _NESTED_BLOCKSIZE = 64, 256


@dataclass(frozen=True)
class FourBit:
    """A weight in 4 bit: two values to a byte, and each block's scale in fp32."""

    packed: Tensor
    absmax: Tensor
    shape: Shape
    dtype: Any
    quant_type: str
    blocksize: int

    def rows(self, where: slice) -> Tensor:
        """Unpack some rows in `dtype`, on the CPU; they begin where a block of 4 bit begins."""
        from bitsandbytes.functional import QuantState, dequantize_4bit

        start, end = (row * math.prod(self.shape[1:]) for row in (where.start, where.stop))
        if start % self.blocksize:
            raise ValueError(f"row {where.start} of {self.shape} begins inside a block of {self.blocksize}")
        state = QuantState(
            absmax=self.absmax[start // self.blocksize : -(-end // self.blocksize)], shape=(where.stop - where.start, *self.shape[1:]),
            dtype=self.dtype, blocksize=self.blocksize, quant_type=self.quant_type,
        )
        return dequantize_4bit(self.packed[start // 2 : -(-end // 2)].view(-1, 1), state).cpu()


def quantize(weight: Tensor, dtype: Any, kind: str) -> FourBit:
    """Quantise to NF4 with double quantisation (arXiv 2305.14314) as `load.load_quantized` does, on the
    same kind of device. Block by block: the quantiser takes many times a weight's memory."""
    import torch
    from bitsandbytes.functional import dequantize_blockwise, quantize_4bit, quantize_blockwise

    packed, scales = [], []
    for where in row_blocks(tuple(weight.shape)):
        values, state = quantize_4bit(weight[where].to(kind, dtype), blocksize=_BLOCKSIZE, quant_type="nf4")
        packed.append(values.view(-1))
        scales.append(state.absmax)
    absmax = torch.cat(scales)
    offset = absmax.mean()
    absmax = dequantize_blockwise(*quantize_blockwise(absmax - offset, blocksize=_NESTED_BLOCKSIZE)) + offset
    return FourBit(torch.cat(packed), absmax, tuple(weight.shape), dtype, "nf4", _BLOCKSIZE)


def parts(weights: Weights, name: str) -> dict[str, str]:
    """Name the tensors beside a weight that unpack it (`weight.absmax`, …); none where it is not in 4 bit."""
    return {other.removeprefix(f"{name}."): other for other in weights.files if other.startswith(f"{name}.")}


def read_quantized(weights: Weights, name: str, kind: str) -> FourBit:
    """Read a weight that the folder holds in 4 bit."""
    import torch
    from bitsandbytes.functional import QuantState, dequantize_blockwise

    state = QuantState.from_dict({part: weights.read(other) for part, other in parts(weights, name).items()}, device=torch.device(kind))
    absmax = dequantize_blockwise(state.absmax, state.state2) + state.offset if state.nested else state.absmax
    packed = weights.read(name).to(kind).view(torch.uint8).view(-1)
    return FourBit(packed, absmax.float(), tuple(state.shape), state.dtype, state.quant_type, state.blocksize)
