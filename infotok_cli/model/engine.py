"""A loaded model on a device: numpy in, numpy out, one segment or several of one shape at a time."""

from __future__ import annotations

import copy
import ctypes
import math
import os
import sys
from collections.abc import Callable, Hashable, Iterator, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from functools import cache, partial
from itertools import islice
from typing import Literal, NamedTuple, TypeVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from infotok_cli.blocks import LEAD_FRAMES, LEAD_STEPS, token_grid
from infotok_cli.config import PATCH
from infotok_cli.errors import UsageError
from infotok_cli.model.compiling import compile_blocks, compile_errors_as_usage
from infotok_cli.model.dynamic_batching import DynamicBatcher
from infotok_cli.model.grid import with_lead
from infotok_cli.model.motion import estimate_motion
from infotok_cli.model.pixels import to_pixels, to_signal
from infotok_cli.model.transfer import download, mark, pinned, upload
from infotok_cli.model.weights import LoadedModel
from infotok_cli.motion import Motion
from infotok_cli.segment_tokens import Tokens
from infotok_kernels import BackendError, error_map, select_backend, selected_backend
from infotok_kernels.window_attention import TRITON_HEAD_SIZES

Video = NDArray[np.uint8]
"""Frames `[T, H, W, 3]`, RGB, 0..255."""

Keep = NDArray[np.bool_]
"""Keep map `[t, h, w]`."""

ErrorMap = NDArray[np.float32]
"""Error of each position, `[t, h, w]`."""


class Footage(NamedTuple):
    """A segment that is to be coded."""

    frames: Video
    motion: Motion
    """As `Engine.motion` finds it."""


Item = TypeVar("Item")
Result = TypeVar("Result")

BATCH_POSITIONS = 1 << 18
"""Token-grid positions that go through the network at once on CUDA: 8 segments of 60x256x456 pixels.

A constant, not a share of the free memory, so that results do not depend on what else runs on the device;
where it is too much, batches are halved.
"""

_M_TRIM_THRESHOLD, _M_TOP_PAD, _M_MMAP_MAX, _M_ARENA_MAX = -1, -2, -4, -8


@dataclass(frozen=True)
class Runtime:
    """Where and how a model runs."""

    device: torch.device
    precision: Literal["bf16", "fp32"]
    deterministic: bool = False
    """Segments go through the network one by one, so that none depends on what it is batched with."""
    compiled: bool = False
    """Whether torch.compile takes the transformer blocks."""
    batch_segments: int | None = None
    """Segments of one shape in a batch; None lets the device decide."""

    @property
    def backend(self) -> str:
        """Which kernels run on this device: reference (torch) or triton."""
        return selected_backend(self.device.type)

    def autocast(self) -> torch.autocast:
        """Context in which the network's matrix products run at this precision."""
        return torch.autocast(self.device.type, torch.bfloat16, enabled=self.precision == "bf16")


def choose_runtime(
    device: str = "auto",
    kernels: str | None = None,
    *,
    precision: str = "auto",
    deterministic: bool = False,
    compiled: bool = False,
) -> Runtime:
    """CUDA when asked for or found; bfloat16 wherever the processor multiplies it in hardware.

    kernels: reference or triton; None takes `INFOTOK_KERNELS`, else what suits the device. The choice
    holds for every model on that kind of device. precision: auto, bf16 or fp32. deterministic: float32
    without shortcuts, segment by segment, and only operations of torch that give the same bits each time,
    so that one input gives the same ids on one kind of device (with the same torch and number of threads).
    compiled: torch.compile takes the transformer blocks.
    Raises UsageError for an unknown device or precision, CUDA that is missing, kernels that cannot run,
    or options that exclude each other.
    """
    if precision not in ("auto", "bf16", "fp32"):
        raise UsageError(f"`precision` {precision!r} is unknown", way_out="choose auto, bf16 or fp32")
    if deterministic and precision == "bf16":
        raise UsageError("`precision` bf16 does not go with `deterministic`", way_out="leave `precision` out")
    if deterministic and compiled:
        raise UsageError("`compile` does not go with `deterministic`", way_out="leave `compile` out")
    if device not in ("auto", "cpu", "cuda"):
        raise UsageError(f"`device` {device!r} is unknown", way_out="choose auto, cpu or cuda")
    if device == "cuda" and not torch.cuda.is_available():
        raise UsageError("`device` cuda: torch finds no CUDA device here", way_out="choose auto or cpu")
    on = torch.device("cpu")
    if device != "cpu" and torch.cuda.is_available():
        # By number, as which device is meant without one differs between threads.
        on = torch.device("cuda", torch.cuda.current_device())
        # cuBLAS reads this when it starts, and torch asks for it in whatever is deterministic later.
        os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
    if deterministic:
        torch.use_deterministic_algorithms(True)
        torch.set_float32_matmul_precision("highest")
    wants_half = precision == "bf16" or (precision == "auto" and not deterministic and _multiplies_half(on))
    runtime = Runtime(on, "bf16" if wants_half else "fp32", deterministic, compiled)
    try:
        select_backend(kernels, runtime.device.type)
    except BackendError as error:
        what = error.what if kernels is None else f"`kernels`: {error.what}"
        raise UsageError(what, way_out=error.way_out) from error
    return runtime


def _multiplies_half(device: torch.device) -> bool:
    """Whether the device multiplies bfloat16 in hardware."""
    if device.type == "cuda":
        return bool(torch.cuda.is_bf16_supported(including_emulation=False))
    return bool(torch.cpu._is_avx512_bf16_supported())


@cache
def keep_freed_memory() -> None:
    """Ask glibc to hold on to freed memory instead of giving each large tensor back.

    Without it every large tensor costs a page fault per 4 KiB, which more than halves the speed of
    attention on CPUs (docs/LOG.md). Does nothing on other C libraries.
    """
    if not sys.platform.startswith("linux"):
        return
    try:
        mallopt = ctypes.CDLL("libc.so.6").mallopt
    except (OSError, AttributeError):
        return
    mallopt(_M_MMAP_MAX, 0)
    # What the thread that works ahead frees would stay in an arena of its own.
    mallopt(_M_ARENA_MAX, 1)
    mallopt(_M_TRIM_THRESHOLD, 512 << 20)
    mallopt(_M_TOP_PAD, 64 << 20)


@dataclass(frozen=True)
class Coded:
    """A segment's tokens, and what a decoder shows of them."""

    tokens: Tokens
    shown: Video


class Engine:
    """Finds motion and runs a model's three calls, each on one segment or on several of one shape.

    A method whose name starts with `start_` begins the work and returns a function that waits for the
    results; on a CUDA device the caller can do something else meanwhile. Every call raises UsageError when
    one segment is too large for the device's memory, or the model cannot be compiled here.
    """

    def __init__(self, loaded: LoadedModel, runtime: Runtime) -> None:
        head_size = loaded.config.head_dim
        if runtime.backend == "triton" and head_size not in TRITON_HEAD_SIZES:
            raise UsageError(
                f"model {loaded.config.name} has head size {head_size}, and the triton kernels take only "
                f"{' and '.join(map(str, TRITON_HEAD_SIZES))}",
                way_out="choose `kernels` reference",
            )
        keep_freed_memory()
        self.loaded = loaded
        self.runtime = runtime
        self._most = sys.maxsize
        self._batcher: DynamicBatcher | None = None
        self._model = loaded.tokenizer.to(runtime.device).eval().requires_grad_(False)
        if runtime.precision == "bf16":
            self._model.halve_blocks()
        if runtime.compiled:
            compile_blocks(self._model)

    def batch(self, positions: int) -> int:
        """How many segments of `positions` token-grid positions each to give at once.

        One on CPUs, and wherever results must not depend on the batch.
        """
        if self.runtime.deterministic:
            return 1
        wanted = self.runtime.batch_segments
        if wanted is None:
            wanted = BATCH_POSITIONS // positions if self.runtime.device.type == "cuda" else 1
        return max(1, min(wanted, self._most))

    @property
    def memory_bytes(self) -> int | None:
        """Memory of a CUDA device, free or not; None for a CPU."""
        device = self.runtime.device
        return torch.cuda.get_device_properties(device).total_memory if device.type == "cuda" else None

    def pinned(self, frames: Video) -> Video:
        """The frames `[T, H, W, 3]` in memory the device fetches from unaided; for the reading thread."""
        return pinned(frames, self.runtime.device)

    def shared(self) -> Engine:
        """The same model for calls from several threads, such as encodes of several files.

        Calls of one kind, on segments of one shape, that wait for the device at the same time go through
        the network together, at most `batch` segments at once.
        """
        twin = copy.copy(self)
        twin._batcher = DynamicBatcher(partial(mark, self.runtime.device))
        return twin

    def _running(self) -> AbstractContextManager[object]:
        return compile_errors_as_usage() if self.runtime.compiled else nullcontext()

    def _start(
        self,
        kind: Hashable,
        positions: int,
        start: Callable[[Sequence[Item]], Callable[[], list[Result]]],
        items: Sequence[Item],
    ) -> Callable[[], list[Result]]:
        """Start on items of `positions` token-grid positions each, perhaps with those of other threads.

        kind: what `start` does, and the shape that it does it to.
        """
        run = partial(self._in_parts, start)
        if self._batcher is None:
            return run(items)
        return self._batcher.start(kind, items, run, most=self.batch(positions))

    def _in_parts(
        self, start: Callable[[Sequence[Item]], Callable[[], list[Result]]], items: Sequence[Item]
    ) -> Callable[[], list[Result]]:
        """Start on all items at once, or on fewer at a time where the device's memory demands it."""
        begun: list[Callable[[], list[Result]]] = []
        at = 0
        while at < len(items):
            part = items[at : at + self._most]
            try:
                with self._running():
                    begun.append(start(part))
                at += len(part)
            except (RuntimeError, MemoryError) as error:
                if not _lacks_memory(error):
                    raise
                if len(part) == 1:
                    raise self._too_large() from error
                self._most = len(part) // 2
        return lambda: [result for fetch in begun for result in fetch()]

    def _too_large(self) -> UsageError:
        smaller = "encode with a smaller `short_side` or `segment_frames`, or without `refine`"
        kind = self.runtime.device.type
        return UsageError(
            f"{kind} has too little memory for one segment",
            way_out=smaller if kind == "cpu" else f"choose `device` cpu, or {smaller}",
        )

    @torch.inference_mode()
    def motion(self, segments: Sequence[Video]) -> list[Motion]:
        """Motion maps `[t, bh, bw]` of segments of one shape `[T, H, W, 3]`."""

        def start(some: Sequence[Video]) -> Callable[[], list[Motion]]:
            fetch = download(estimate_motion(with_lead(upload(some, self.runtime.device))))
            return lambda: list(fetch())

        return self._start(("motion", segments[0].shape), _positions(segments[0]), start, segments)()

    @torch.inference_mode()
    def predicted_errors(self, segments: Sequence[Footage]) -> list[ErrorMap]:
        """The head's error maps `[t, h, w]` of segments of one shape, any T, H, W >= 1.

        Mean absolute error that coding at rate 1 would leave, pixels in [-1, 1].
        """

        def start(some: Sequence[Footage]) -> Callable[[], list[ErrorMap]]:
            with self.runtime.autocast():
                log_error = self._model.predict(*self._given(some))
            fetch = download(log_error.exp())
            return lambda: list(fetch())

        frames = segments[0].frames
        return self._start(("predict", frames.shape), _positions(frames), start, segments)()

    @torch.inference_mode()
    def exact_errors(self, segments: Sequence[Footage]) -> list[ErrorMap]:
        """The real error maps `[t, h, w]` of segments of one shape, coded at rate 1.

        Mean absolute error, pixels in [-1, 1].
        """
        count, height, width, _ = segments[0].frames.shape

        def start(some: Sequence[Footage]) -> Callable[[], list[ErrorMap]]:
            video, motion = self._given(some)
            grid = token_grid(count, height, width)
            keep = torch.ones(len(some), *grid, dtype=torch.bool, device=video.device)
            with self.runtime.autocast():
                steps = self._model.encode_steps(video, keep, motion)
                errors = [
                    error_map(to_signal(source), picture[:, : source.shape[1], :height, :width])
                    for source, (_, picture) in zip(torch.split(video, PATCH[0], dim=1), steps, strict=True)
                ]
            fetch = download(torch.cat(errors, dim=1))
            return lambda: list(fetch())

        frames = segments[0].frames
        return self._start(("exact", frames.shape), _positions(frames), start, segments)()

    def _given(self, segments: Sequence[Footage]) -> tuple[Tensor, Tensor]:
        """Videos with leads, uint8 `[B, 4 + T, H, W, 3]`, and motion `[B, t, bh, bw]`, on the device."""
        device = self.runtime.device
        video = with_lead(upload([one.frames for one in segments], device))
        return video, upload([one.motion for one in segments], device)

    def footage(self, frames: Video) -> Footage:
        """One segment's frames `[T, H, W, 3]` with their motion."""
        return Footage(frames, self.motion([frames])[0])

    def encode(self, footage: Footage, keep: Keep, refine: int = 0) -> Coded:
        """Tokens of one segment's kept positions, and what they show; refine: see `start_encode`."""
        return self.start_encode([(footage, keep)], refine)()[0]

    def start_encode(
        self, segments: Sequence[tuple[Footage, Keep]], refine: int = 0
    ) -> Callable[[], list[Coded]]:
        """Begin to code segments of one shape: the tokens of each, and what they show.

        segments: footage and keep map `[t, h, w]` of each.
        refine: tries per latent step to improve its tokens, each as long as a decode and its gradient.
        """
        count, height, width, _ = segments[0][0].frames.shape

        def start(some: Sequence[tuple[Footage, Keep]]) -> Callable[[], list[Coded]]:
            keeps = [keep for _, keep in some]
            with torch.no_grad() if refine else torch.inference_mode(), self.runtime.autocast():
                video, motion = self._given([footage for footage, _ in some])
                kept = upload(keeps, self.runtime.device)
                steps = self._model.encode_steps(video, kept, motion, refine)
                ids, pictures = zip(
                    *((ids, to_pixels(picture[:, :, :height, :width])) for ids, picture in steps), strict=True
                )
            fetch_ids = download(torch.stack(ids, dim=1))
            fetch_shown = download(torch.cat(pictures[LEAD_STEPS:], dim=1)[:, :count])
            return lambda: [
                Coded(Tokens(keep, footage.motion, whole[keep].astype(np.uint16)), frames)
                for whole, frames, (footage, keep) in zip(fetch_ids(), fetch_shown(), some, strict=True)
            ]

        kind = ("encode", segments[0][0].frames.shape, refine)
        return self._start(kind, segments[0][1].size, start, segments)

    def start_tokens(
        self, segments: Sequence[tuple[Footage, Keep]], refine: int = 0
    ) -> Callable[[], list[Tokens]]:
        """As `start_encode`, for the tokens alone: no picture is fetched, and none made of the last step."""

        def start(some: Sequence[tuple[Footage, Keep]]) -> Callable[[], list[Tokens]]:
            keeps = [keep for _, keep in some]
            with torch.no_grad() if refine else torch.inference_mode(), self.runtime.autocast():
                video, motion = self._given([footage for footage, _ in some])
                ids = self._model.tokens(video, upload(keeps, self.runtime.device), motion, refine)
            fetch = download(ids)
            return lambda: [
                Tokens(keep, footage.motion, whole[keep].astype(np.uint16))
                for whole, (footage, keep) in zip(fetch(), some, strict=True)
            ]

        kind = ("tokens", segments[0][0].frames.shape, refine)
        return self._start(kind, segments[0][1].size, start, segments)

    def decode(self, tokens: Tokens, frames: int, height: int, width: int) -> Video:
        """Frames `[frames, height, width, 3]` of one segment."""
        return self.start_decode([tokens], frames, height, width)()[0]

    def decode_steps(self, tokens: Tokens, frames: int, height: int, width: int) -> Iterator[Video]:
        """The frames of `decode` as soon as each latent step is decoded: `[4, H, W, 3]`, at the end fewer.

        Holds the memory of one step, whatever the length of the segment.
        """
        steps = self._model.decode_steps(*self._held([tokens]), LEAD_FRAMES + frames)
        for step in range(tokens.keep.shape[0]):
            # Entered anew for each step: whoever takes the frames runs in between, in the same thread.
            try:
                with self._running(), torch.inference_mode(), self.runtime.autocast():
                    picture = next(steps)[0, :, :height, :width]
                    if step < LEAD_STEPS:
                        continue
                    fetch = download(to_pixels(picture))
            except (RuntimeError, MemoryError) as error:
                if not _lacks_memory(error):
                    raise
                raise self._too_large() from error
            yield fetch()

    @torch.inference_mode()
    def start_decode(
        self, segments: Sequence[Tokens], frames: int, height: int, width: int
    ) -> Callable[[], list[Video]]:
        """Begin to decode segments of one shape: frames `[T, H, W, 3]` of each.

        frames, height, width: T, H, W of every segment; the grid may reach beyond them.
        """

        def start(some: Sequence[Tokens]) -> Callable[[], list[Video]]:
            with self.runtime.autocast():
                steps = self._model.decode_steps(*self._held(some), LEAD_FRAMES + frames)
                shown = islice(steps, LEAD_STEPS, None)
                pictures = [to_pixels(picture[:, :, :height, :width]) for picture in shown]
            fetch = download(torch.cat(pictures, dim=1))
            return lambda: list(fetch())

        keep = segments[0].keep
        kind = ("decode", keep.shape, frames, height, width)
        return self._start(kind, keep.size, start, segments)

    def _held(self, segments: Sequence[Tokens]) -> tuple[Tensor, Tensor, Tensor]:
        """Ids `[B, t, h, w]`, keep maps and motion maps of segments, on the device."""
        device = self.runtime.device
        return (
            upload([_spread(one) for one in segments], device),
            upload([one.keep for one in segments], device),
            upload([one.motion for one in segments], device),
        )


def _lacks_memory(error: Exception) -> bool:
    """Whether this is torch's way of saying that the device's memory, or the machine's, does not suffice."""
    if isinstance(error, (torch.OutOfMemoryError, MemoryError)):
        return True
    # Elsewhere it is a RuntimeError like any other: of CPUs, of cuBLAS, of drivers.
    said = ("DefaultCPUAllocator: can't allocate memory", "ALLOC_FAILED", "CUDA error: out of memory")
    return isinstance(error, RuntimeError) and any(words in str(error) for words in said)


def _positions(frames: Video) -> int:
    """Token-grid positions of a segment."""
    return math.prod(token_grid(*frames.shape[:3]))


def _spread(tokens: Tokens) -> NDArray[np.int64]:
    """Ids at their places on the grid, 0 where nothing is kept."""
    whole = np.zeros(tokens.keep.shape, np.int64)
    whole[tokens.keep] = tokens.ids
    return whole
