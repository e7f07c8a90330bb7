"""VMAF through the FFmpeg program that the package imageio-ffmpeg carries, its model compiled in.

Li, Aaron, Katsavounidis, Moorthy, Manohara, "Toward a practical perceptual video quality metric", Netflix
2016; model vmaf_v0.6.1. Nothing is downloaded. The model looks at brightness only, so that is all that
is sent: BT.601 luma in limited range, as 8-bit video carries it, at the size of the clip.
"""

from __future__ import annotations

import contextlib
import json
import subprocess
import tempfile
from pathlib import Path
from types import TracebackType
from typing import Self

import numpy as np
from numpy.typing import NDArray

from infotok_cli.errors import UsageError
from infotok_cli.metrics import luma

MODEL = "vmaf_v0.6.1"

MIN_SIDE = 17
"""Pixels a side; libvmaf refuses anything smaller."""

LOG = "vmaf.json"


def find_ffmpeg() -> str:
    """The FFmpeg program; UsageError when imageio-ffmpeg is missing or its FFmpeg cannot measure VMAF."""
    try:
        import imageio_ffmpeg
    except ImportError as error:
        raise UsageError(
            "`vmaf` needs the package imageio-ffmpeg",
            way_out="install it with pip install 'infotok[vmaf]', or leave `vmaf` out",
        ) from error
    try:
        program = str(imageio_ffmpeg.get_ffmpeg_exe())
        shown = subprocess.run(
            [program, "-hide_banner", "-h", "filter=libvmaf"], capture_output=True, text=True, check=False
        ).stdout
    except (RuntimeError, OSError) as error:
        raise UsageError(
            f"`vmaf`: the FFmpeg of imageio-ffmpeg cannot run ({error})", way_out="leave `vmaf` out"
        ) from error
    if "vmaf" not in shown.lower().replace("unknown filter 'libvmaf'", ""):
        raise UsageError(
            f"`vmaf`: {program} has no libvmaf filter", way_out="install imageio-ffmpeg 0.8.1 or newer"
        )
    return program


class VmafMeter:
    """One run of FFmpeg that is fed pairs of frames; a context manager that ends it in any case.

    Both pictures travel as one, the source above the decoded, so that one pipe is enough.
    """

    def __init__(self, program: str, height: int, width: int) -> None:
        self._folder = tempfile.TemporaryDirectory(prefix="infotok-vmaf-")
        self._errors = (Path(self._folder.name) / "errors.txt").open("w+")
        self._grey = np.full((2 * height, width), 128, np.uint8).tobytes()
        crop = f"crop={width}:{height}:0"
        graph = (
            f"split[a][b];[a]{crop}:0[source];[b]{crop}:{height}[decoded];"
            f"[decoded][source]libvmaf=model=version={MODEL}:n_threads=1:log_fmt=json:log_path={LOG}"
        )
        # Whole chroma planes, so that odd sizes can be cropped.
        layout = ["-f", "rawvideo", "-pix_fmt", "yuv444p", "-s", f"{width}x{2 * height}", "-r", "25"]
        command = [program, "-v", "error", "-nostdin", *layout, "-i", "pipe:0", "-filter_complex", graph]
        self._process = subprocess.Popen(
            [*command, "-f", "null", "-"],
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=self._errors,
            cwd=self._folder.name,
        )

    def add(self, source: NDArray[np.uint8], decoded: NDArray[np.uint8]) -> None:
        """Send frames `[T, H, W, 3]`, RGB 0..255."""
        assert self._process.stdin is not None
        try:
            for pair in zip(source, decoded, strict=True):
                for picture in pair:
                    self._process.stdin.write(_limited_luma(picture))
                self._process.stdin.write(self._grey)
                self._process.stdin.write(self._grey)
        except OSError as error:
            raise self._failure() from error

    def score(self) -> float:
        """Mean over all frames sent, 0..100; UsageError if FFmpeg failed."""
        assert self._process.stdin is not None
        try:
            self._process.stdin.close()
            if self._process.wait():
                raise self._failure()
            log = json.loads((Path(self._folder.name) / LOG).read_text("utf-8"))
            return float(log["pooled_metrics"]["vmaf"]["mean"])
        except (OSError, ValueError, KeyError) as error:
            raise self._failure() from error

    def _failure(self) -> UsageError:
        self._process.kill()
        self._process.wait()
        self._errors.seek(0)
        said = self._errors.read().strip().splitlines()
        return UsageError(
            f"`vmaf`: FFmpeg failed ({said[-1] if said else 'silently'})", way_out="leave `vmaf` out"
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._process.poll() is None:
            self._process.kill()
        self._process.wait()
        if self._process.stdin is not None and not self._process.stdin.closed:
            # What was still to be sent has no reader any more.
            with contextlib.suppress(OSError):
                self._process.stdin.close()
        self._errors.close()
        self._folder.cleanup()


def _limited_luma(picture: NDArray[np.uint8]) -> bytes:
    samples: NDArray[np.uint8] = np.rint(luma(picture) * np.float32(219 / 255) + 16).astype(np.uint8)
    return samples.tobytes()
