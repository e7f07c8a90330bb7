"""torch.compile for the transformer blocks of a model, and its failures as errors of ours."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from infotok_cli.errors import UsageError
from infotok_cli.model.tokenizer import Tokenizer

SHAPES = 64
"""Shapes and window positions a process compiles for; torch runs what comes later as it is."""


def compile_blocks(model: Tokenizer) -> None:
    """Have every block compiled when it is first called, once for each shape that comes.

    Blocks share code and differ in weights only, so what is compiled for one serves the others.
    """
    import torch._dynamo

    torch._dynamo.config.recompile_limit = max(torch._dynamo.config.recompile_limit, SHAPES)
    for stack in model.stacks():
        stack.is_compiled = True
    for block in model.blocks():
        block.compile(dynamic=False)


def forget_compiled() -> None:
    """Drop what was compiled so far: benchmarks compare ways to run the same code."""
    import torch.compiler

    torch.compiler.reset()


@contextmanager
def compile_errors_as_usage() -> Iterator[None]:
    """Turn what goes wrong while blocks are compiled into a UsageError on one line."""
    import torch._dynamo.exc

    try:
        yield
    except torch._dynamo.exc.TorchDynamoException as error:
        reason = next(
            (line.strip() for line in str(error).splitlines() if line.strip()), type(error).__name__
        )
        raise UsageError(
            f"torch cannot compile the model here ({reason.rstrip('.')})", way_out="turn `compile` off"
        ) from error
