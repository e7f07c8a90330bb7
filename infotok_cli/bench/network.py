"""Speed of the whole model on a GPU: the Triton kernels against the reference under torch.compile.

Whole encodes and decodes, files in and out, are timed by infotok_cli.bench.files.

Run: make bench-kernels, or, from the root of the checkout, python -m infotok_cli.bench.network

Times the network's part of encode (head and closed loop at half the positions) and of
decode (unpacking and decoder) of a batch of 256p segments in bfloat16, with the packaged
model. Rows go to the kernels' CSV file. Without a GPU nothing is measured.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Iterator
from pathlib import Path

import torch
from torch import Tensor

import infotok_weights
from infotok_cli.bench.ways import WAYS, way_name
from infotok_cli.blocks import token_grid
from infotok_cli.model.compiling import compile_blocks, forget_compiled
from infotok_cli.model.grid import with_lead
from infotok_cli.model.motion import estimate_motion
from infotok_cli.model.tokenizer import Tokenizer
from infotok_cli.model.weights import load_model
from infotok_kernels import select_backend
from infotok_kernels.bench import CSV, Row, append, line, obstacle, this_run, times

SEGMENTS, FRAMES, HEIGHT, WIDTH = 8, 32, 256, 456


def prepared(compiled: bool) -> Tokenizer:
    """The packaged model as an engine runs it."""
    model = load_model(infotok_weights.path(infotok_weights.DEFAULT)).tokenizer.cuda().eval()
    model.halve_blocks()
    if compiled:
        compile_blocks(model)
    return model


def passes(model: Tokenizer, video: Tensor, keep: Tensor) -> Iterator[tuple[str, Callable[[], object]]]:
    """Encode and decode, ready to be called."""

    def encode() -> Tensor:
        with torch.inference_mode(), torch.autocast("cuda", torch.bfloat16):
            moves = estimate_motion(video)
            model.predict(video, moves)
            return model.encode(video, keep, moves)[0]

    with torch.inference_mode():
        ids, motion = encode(), estimate_motion(video)

    def decode() -> Tensor:
        with torch.inference_mode(), torch.autocast("cuda", torch.bfloat16):
            return model.decode(ids, keep, motion)

    yield "model encode", encode
    yield "model decode", decode


def main() -> None:
    """Measure every way and append the rows."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--csv", type=Path, default=CSV, help="file the rows are appended to")
    chosen = parser.parse_args()
    if reason := obstacle():
        print(f"no benchmark of the model on this machine: {reason}; nothing was measured")
        return
    torch.manual_seed(0)
    video = torch.rand(SEGMENTS, FRAMES, HEIGHT, WIDTH, 3, device="cuda") * 2 - 1
    video = with_lead(video)
    keep = torch.rand(SEGMENTS, *token_grid(FRAMES, HEIGHT, WIDTH), device="cuda") < 0.5
    facts = this_run()
    for backend, compiled in WAYS:
        forget_compiled()
        select_backend(backend, "cuda")
        rows = []
        for operation, run in passes(prepared(compiled), video, keep):
            case = f"{SEGMENTS}x{FRAMES}x{HEIGHT}x{WIDTH}"
            rows.append(Row.of(facts, operation, case, way_name(backend, compiled), times(run)))
        append(chosen.csv, rows)
        print("\n".join(map(line, rows)), flush=True)


if __name__ == "__main__":
    main()
