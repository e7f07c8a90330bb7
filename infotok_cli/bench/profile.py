"""Where the time of an encode and a decode goes, by operation.

Run: make profile, or python -m infotok_cli.bench.profile [--seconds 10] [--device cuda]

Encodes and decodes made-up video of 256 rows through files, once to warm up and once under torch's
profiler. Nothing overlaps meanwhile: reading, computing, packing and writing take turns in one thread, so
that shares add up. On a CUDA device the first column is the device's time, in which that of reading,
packing and writing is not contained. An operation of more than a tenth of it deserves a kernel of its own.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from collections.abc import Callable, Iterable, Iterator
from contextlib import AbstractContextManager, ExitStack, nullcontext
from pathlib import Path
from typing import TypeVar
from unittest.mock import patch

from infotok_cli.allocation.rate_planners import RatePlanner
from infotok_cli.bench.commands import long_clip
from infotok_cli.bench.regions import NETWORK, Place, Profile, marked, profiled, region
from infotok_cli.codec import decode, decode_segments, encode, endpoints, group_coder, groups
from infotok_cli.codec.load_engine import load_engine
from infotok_cli.codec.options import EncodeOptions
from infotok_cli.errors import InfotokError
from infotok_cli.model.engine import Engine
from infotok_cli.routers import ROUTERS
from infotok_cli.video.writer import VideoWriter

Item = TypeVar("Item")

SECONDS = {"cuda": 10.0, "cpu": 2.0}

VIDEO = "video in and out"

FILES: tuple[Place, ...] = (
    (endpoints, "open_video", VIDEO),
    (VideoWriter, "__init__", VIDEO),
    (VideoWriter, "write", VIDEO),
    (VideoWriter, "close", VIDEO),
    (group_coder, "pack_tokens", "token coding"),
    (decode_segments, "unpack_tokens", "token coding"),
    (RatePlanner, "plan", "allocation"),
)
"""What the codec does around the model; the rest of reading is `_reading`."""


def _reading(items: Iterable[Item], depth: int = 1) -> AbstractContextManager[Iterator[Item]]:
    """Instead of `ahead` around what is read: in turn, as a region."""

    def in_turn() -> Iterator[Item]:
        source = iter(items)
        while True:
            with region(VIDEO):
                try:
                    item = next(source)
                except StopIteration:
                    return
            yield item

    return nullcontext(in_turn())


def _in_turn(items: Iterable[Item], depth: int = 1) -> AbstractContextManager[Iterator[Item]]:
    """Instead of `ahead` around what is decoded."""
    return nullcontext(iter(items))


def profiles(
    clip: Path, folder: Path, engine: Engine, options: EncodeOptions
) -> Iterator[tuple[str, Profile]]:
    """Of an encode and of a decode of a clip."""
    tokens, shown = folder / "profile.itk", folder / "profile.mp4"
    runs: dict[str, Callable[[], object]] = {
        "encode": lambda: encode.encode_file(clip, tokens, engine, options, overwrite=True),
        "decode": lambda: decode.decode_file(tokens, shown, engine, overwrite=True),
    }
    with ExitStack() as stack:
        stack.enter_context(patch.object(groups, "ahead", _reading))
        stack.enter_context(patch.object(decode, "ahead", _in_turn))
        for name, run in runs.items():
            run()
            with marked(NETWORK + FILES):
                found = profiled(run)
            yield name, found


def table(name: str, found: Profile) -> str:
    """A profile for people."""
    whole, device = found.host_seconds, found.device_seconds
    lines = [
        f"{name:<18}" + (f"{'device':>12} {'share':>7}" if device else "") + f"{'host':>12} {'share':>7}"
    ]
    for share in found.shares:
        on_device = (
            f"{share.device_seconds * 1e3:9.1f} ms {share.device_seconds / device:7.1%}" if device else ""
        )
        on_host = f"{share.host_seconds * 1e3:9.1f} ms {share.host_seconds / whole:7.1%}"
        lines.append(f"{share.region:<18}{on_device}{on_host}")
    return "\n".join(lines)


def main() -> None:
    """Profile and print."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--seconds", type=float, help="length of the clip; 10, or 2 on a CPU")
    parser.add_argument("--device", default="auto", help="auto, cpu or cuda")
    parser.add_argument("--kernels", help="reference or triton")
    parser.add_argument("--precision", default="auto", help="auto, bf16 or fp32")
    parser.add_argument("--router", default="fast", choices=ROUTERS)
    parser.add_argument("--model", help="name or .safetensors file")
    parser.add_argument("--operations", action="store_true", help="show torch's longest operations too")
    chosen = parser.parse_args()
    try:
        engine = load_engine(chosen.model, chosen.device, chosen.kernels, precision=chosen.precision)
        runtime = engine.runtime
        kind = runtime.device.type
        if kind == "cpu":
            print("no CUDA device is used: this measures the CPU, which says nothing about a GPU")
        print(f"{kind}, kernels {runtime.backend}, {runtime.precision}, model {engine.loaded.config.name}")
        with tempfile.TemporaryDirectory(prefix="infotok-profile-") as name:
            clip = Path(name) / "clip.mp4"
            long_clip(clip, SECONDS[kind] if chosen.seconds is None else chosen.seconds)
            for command, found in profiles(clip, Path(name), engine, EncodeOptions(router=chosen.router)):
                print(f"\n{table(command, found)}")
                if chosen.operations:
                    print(found.longest)
    except InfotokError as error:
        sys.exit(f"profile: {error}")


if __name__ == "__main__":
    main()
