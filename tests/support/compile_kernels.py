"""Compile every Triton kernel for sm_90; needs no GPU. Prints one line per kernel.

The interpreter runs kernels as Python and lets much pass that the compiler refuses. A process of its
own must run this, without TRITON_INTERPRET: python tests/support/compile_kernels.py
"""

from __future__ import annotations

from typing import Any

import torch
import triton
from triton.backends.compiler import GPUTarget
from triton.compiler import ASTSource

from infotok_kernels.error_map.kernels import error_map_kernel
from infotok_kernels.fsq.kernels import encode_kernel
from infotok_kernels.window_attention.fused import Blocks, backward_blocks, forward_blocks
from infotok_kernels.window_attention.kernels import (
    backward_key_kernel,
    backward_query_kernel,
    forward_kernel,
)

TARGET = GPUTarget("cuda", 90, 32)
FLOATS = {"scale": "fp32", "epsilon": "fp32"}
SLOTS = 512


def build(
    kernel: Any,
    pointers: dict[str, str],
    constants: dict[str, Any],
    warps: int,
    stages: int,
    *,
    sixteens: tuple[str, ...] = (),
) -> None:
    """Compile a kernel whose other arguments are 32-bit integers, `sixteens` among them multiples of 16.

    A launch makes constants of integers that are 1 and of None, so `constants` may name some of those, too.
    """
    signature = {
        name: "constexpr" if name in constants else pointers.get(name) or FLOATS.get(name, "i32")
        for name in kernel.arg_names
    }
    aligned = {
        (index,): [["tt.divisibility", 16]]
        for index, name in enumerate(kernel.arg_names)
        if name not in constants and (name in pointers or name in sixteens)
    }
    source = ASTSource(fn=kernel, signature=signature, constexprs=constants, attrs=aligned)
    built = triton.compile(source, target=TARGET, options={"num_warps": warps, "num_stages": stages})
    assert built.metadata.shared <= 227 << 10, "more shared memory than a block can have"
    print(f"{kernel.__name__} {constants}: {len(built.asm['cubin'])} bytes", flush=True)


def build_attention(kernel: Any, dtype: str, blocks: Blocks, half: int, *ones: str) -> None:
    """Compile an attention kernel; arguments named in `ones` are 1, and with them sizes multiples of 16."""
    pointers = dict.fromkeys(("qkv", "out", "grad_out", "grad_qkv"), f"*{dtype}")
    pointers |= dict.fromkeys(
        ("query_norm", "key_norm", "cosine", "sine", "log_sum", "inner", "grad_norm"), "*fp32"
    )
    constants = {
        "HALF": half, "PAIRS_T": half // 4, "PAIRS_Y": (half - half // 4) // 2,
        "BLOCK_M": blocks.queries, "BLOCK_N": blocks.keys,
    }  # fmt: skip
    sixteens = ("height", "width") if ones else ()
    constants |= dict.fromkeys(ones, 1)
    build(kernel, pointers, constants, blocks.warps, blocks.stages, sixteens=sixteens)


def main() -> None:
    build_attention(backward_query_kernel, "bf16", backward_blocks(torch.bfloat16, SLOTS), 32)
    for kernel, blocks in ((forward_kernel, forward_blocks), (backward_key_kernel, backward_blocks)):
        build_attention(kernel, "bf16", blocks(torch.bfloat16, SLOTS), 32)
        build_attention(kernel, "fp16", blocks(torch.float16, 9), 16)
        build_attention(kernel, "fp32", blocks(torch.float32, SLOTS), 32)
    # Many counts are 1 for a single picture.
    still = ("steps", "windows_y", "windows_x", "blocks")
    build_attention(forward_kernel, "bf16", forward_blocks(torch.bfloat16, SLOTS), 32, *still)
    digits = dict.fromkeys(("level_of", "radix_of"), "*i32")
    weights = dict.fromkeys(("weight", "bias", "values", "codes"), "*fp32") | digits | {"ids": "*i64"}
    shape = {"CHANNELS": 6, "PADDED": 16, "BLOCK": 64}
    for dtype, parts in (("bf16", 1), ("fp32", 3)):
        constants = shape | {"PARTS": parts, "SAVE": parts > 1, "BLOCK_D": 64}
        pointers = weights | {"hidden": f"*{dtype}", "gain": "*fp32"}
        build(encode_kernel, pointers, constants, 4, 3)
        build(encode_kernel, pointers, constants | {"gain": None}, 4, 3)
    constants = {
        "PATCH_T": 4, "PATCH_Y": 8, "SPAN": 24, "PADDED_LINES": 32, "PADDED_SPAN": 32, "CELLS": 8,
        "ALIGNED": 8,
    }  # fmt: skip
    build(error_map_kernel, {"video": "*fp32", "other": "*bf16", "out": "*fp32"}, constants, 8, 3)


if __name__ == "__main__":
    main()
