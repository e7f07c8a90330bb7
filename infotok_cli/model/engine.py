"""A loaded model on a device: numpy in, numpy out, one segment at a time."""

from __future__ import annotations

import ctypes
import os
import sys
from dataclasses import dataclass
from functools import cache
from typing import Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from infotok_cli.errors import UsageError
from infotok_cli.model.refine import refine_codes
from infotok_cli.model.tokenizer import Analysis
from infotok_cli.model.weights import LoadedModel
from infotok_kernels import BackendError, codes_to_ids, error_map, select_backend, selected_backend
from infotok_kernels.window_attention import TRITON_HEAD_SIZES

DeviceName = Literal["auto", "cpu", "cuda"]

_M_TRIM_THRESHOLD, _M_TOP_PAD, _M_MMAP_MAX, _M_ARENA_MAX = -1, -2, -4, -8


@dataclass(frozen=True)
class Runtime:
    """Where and how a model runs."""

    device: torch.device
    precision: Literal["bf16", "fp32"]

    @property
    def backend(self) -> str:
        """Which kernels run on this device: reference (torch) or triton."""
        return selected_backend(self.device.type)

    def autocast(self) -> torch.autocast:
        """Context in which the network's matrix products run at this precision."""
        return torch.autocast(self.device.type, torch.bfloat16, enabled=self.precision == "bf16")


def choose_runtime(
    device: str = "auto", kernels: str | None = None, *, precision: str = "auto", deterministic: bool = False
) -> Runtime:
    """CUDA when asked for or found; bfloat16 wherever the processor multiplies it in hardware.

    kernels: reference or triton; None takes `INFOTOK_KERNELS`, else what suits the device. The choice
    holds for every model on that kind of device. precision: auto, bf16 or fp32. deterministic: float32
    without shortcuts, and only operations of torch that give the same bits each time, so that one input
    gives the same ids on one kind of device (with the same torch and number of threads).
    Raises UsageError for an unknown device or precision, CUDA that is not there, or kernels that cannot
    run.
    """
    if precision not in ("auto", "bf16", "fp32"):
        raise UsageError(f"--precision {precision!r} is unknown: choose auto, bf16 or fp32")
    if deterministic and precision == "bf16":
        raise UsageError("--deterministic means --precision fp32: leave --precision bf16 out")
    if device not in ("auto", "cpu", "cuda"):
        raise UsageError(f"--device {device!r} is unknown: choose auto, cpu or cuda")
    if device == "cuda" and not torch.cuda.is_available():
        raise UsageError("--device cuda: torch finds no CUDA device here; choose auto or cpu")
    on = torch.device("cuda" if device != "cpu" and torch.cuda.is_available() else "cpu")
    if deterministic:
        # cuBLAS reads this when it starts; it is what torch asks for.
        os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
        torch.use_deterministic_algorithms(True)
        torch.set_float32_matmul_precision("highest")
    half = on.type == "cuda" or torch.cpu._is_avx512_bf16_supported()
    wants_half = precision == "bf16" or (precision == "auto" and half and not deterministic)
    runtime = Runtime(on, "bf16" if wants_half else "fp32")
    try:
        select_backend(kernels, runtime.device.type)
    except BackendError as error:
        raise UsageError(str(error)) from error
    return runtime


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


class Engine:
    """Runs a model's three calls on segments; holds no state between them."""

    def __init__(self, loaded: LoadedModel, runtime: Runtime) -> None:
        head_size = loaded.config.head_dim
        if runtime.backend == "triton" and head_size not in TRITON_HEAD_SIZES:
            raise UsageError(
                f"model {loaded.config.name} has head size {head_size}, the triton kernels take "
                f"{' and '.join(map(str, TRITON_HEAD_SIZES))}: set INFOTOK_KERNELS=reference"
            )
        keep_freed_memory()
        self.loaded = loaded
        self.runtime = runtime
        self._model = loaded.tokenizer.to(runtime.device).eval().requires_grad_(False)
        if runtime.precision == "bf16":
            # Autocast would convert these weights anew for every segment.
            for stack in (
                self._model.encoder,
                self._model.compressor,
                self._model.decompressor,
                self._model.decoder,
            ):
                for layer in stack.modules():
                    if isinstance(layer, nn.Linear):
                        layer.to(torch.bfloat16)

    def _video(self, frames: NDArray[np.uint8]) -> Tensor:
        pixels = torch.from_numpy(frames)
        if self.runtime.device.type == "cuda":
            # From page-locked memory the copy does not hold up the next segment's reading.
            pixels = pixels.pin_memory().to(self.runtime.device, non_blocking=True)
        return pixels[None].float().div_(127.5).sub_(1)

    def _keep(self, keep: NDArray[np.bool_]) -> Tensor:
        return torch.from_numpy(keep).to(self.runtime.device)[None]

    @torch.inference_mode()
    def analyze(self, frames: NDArray[np.uint8]) -> Analysis:
        """Encoder on one segment `[T, H, W, 3]`, any T, H, W >= 1."""
        with self.runtime.autocast():
            return self._model.analyze(self._video(frames))

    @staticmethod
    def predicted_error(analysis: Analysis) -> NDArray[np.float32]:
        """The head's error map `[t, h, w]`: mean absolute error at full rate, pixels in [-1, 1]."""
        error: NDArray[np.float32] = analysis.log_error[0].exp().cpu().numpy()
        return error

    @torch.inference_mode()
    def exact_error(self, frames: NDArray[np.uint8], analysis: Analysis) -> NDArray[np.float32]:
        """The real error map `[t, h, w]`, from a full-rate reconstruction."""
        keep = torch.ones(analysis.log_error.shape, dtype=torch.bool, device=self.runtime.device)
        with self.runtime.autocast():
            codes, _ = self._model.compress(analysis, keep)
            shown = self._model.reconstruct(codes, keep)
        count, height, width, _ = frames.shape
        error: NDArray[np.float32] = (
            error_map(self._video(frames), shown[:, :count, :height, :width])[0].cpu().numpy()
        )
        return error

    @torch.inference_mode()
    def compress(self, analysis: Analysis, keep: NDArray[np.bool_]) -> NDArray[np.uint16]:
        """Token ids of the kept positions, in grid order."""
        with self.runtime.autocast():
            _, ids = self._model.compress(analysis, self._keep(keep))
        kept: NDArray[np.uint16] = ids[0].cpu().numpy()[keep].astype(np.uint16)
        return kept

    def refine(
        self, frames: NDArray[np.uint8], ids: NDArray[np.uint16], keep: NDArray[np.bool_], steps: int
    ) -> NDArray[np.uint16]:
        """Ids, in the order of `ids`, whose picture is closer to the segment `[T, H, W, 3]`.

        steps: tries, each as long as a decode and its gradient; see `refine_codes`.
        """
        kept = self._keep(keep)
        with self.runtime.autocast():
            codes = refine_codes(self._model, self._video(frames), self._codes(ids, keep), kept, steps)
        better: NDArray[np.uint16] = (
            codes_to_ids(codes, self.loaded.config.levels)[0].cpu().numpy()[keep].astype(np.uint16)
        )
        return better

    def _codes(self, ids: NDArray[np.uint16], keep: NDArray[np.bool_]) -> Tensor:
        whole = np.zeros(keep.shape, np.int64)
        whole[keep] = ids
        return self._model.codes_of(torch.from_numpy(whole).to(self.runtime.device)[None], self._keep(keep))

    @torch.inference_mode()
    def reconstruct(
        self, ids: NDArray[np.uint16], keep: NDArray[np.bool_], frames: int, height: int, width: int
    ) -> NDArray[np.uint8]:
        """Frames `[frames, height, width, 3]` of the ids of kept positions in grid order."""
        with self.runtime.autocast():
            shown = self._model.reconstruct(self._codes(ids, keep), self._keep(keep))
            shown = shown[0, :frames, :height, :width]
        pixels: NDArray[np.uint8] = shown.add_(1).mul_(127.5).round_().clamp_(0, 255).byte().cpu().numpy()
        return pixels
