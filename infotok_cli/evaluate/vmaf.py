"""VMAF through the FFmpeg program that the package imageio-ffmpeg carries, its models compiled in.

Li, Aaron, Katsavounidis, Moorthy, Manohara, "Toward a practical perceptual video quality metric", Netflix
2016, model vmaf_v0.6.1; and version 1 of 2026, model vmaf_v1.0.16_3d0h, for 1080p seen from three times its
height, which also looks at colour and at banding. Nothing is downloaded. Pictures are sent as 8-bit video
carries them, BT.601 in limited range, at the size of the clip; FFmpeg then halves the chroma.
"""

from __future__ import annotations

import contextlib
import json
import subprocess
import tempfile
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import Self

import numpy as np
from numpy.typing import NDArray

from infotok_cli.errors import UsageError
from infotok_cli.evaluate.metric_table import METRIC_NAMES
from infotok_cli.metrics import luma

MODELS = {"vmaf": "vmaf_v0.6.1", "vmaf-v1": "vmaf_v1.0.16_3d0h"}
"""By the name of the metric."""

LOG = "vmaf.json"


def find_ffmpeg() -> str:
    """The FFmpeg program; UsageError when imageio-ffmpeg is missing or its FFmpeg cannot measure VMAF."""
    try:
        import imageio_ffmpeg
    except ImportError as error:
        raise UsageError(
            "`metrics` vmaf needs the package imageio-ffmpeg",
            way_out="install it with pip install 'infotok[vmaf]', or leave it out",
        ) from error
    try:
        program = str(imageio_ffmpeg.get_ffmpeg_exe())
        shown = subprocess.run(
            [program, "-hide_banner", "-h", "filter=libvmaf"], capture_output=True, text=True, check=False
        ).stdout
    except (RuntimeError, OSError) as error:
        raise UsageError(
            f"`metrics` vmaf: the FFmpeg of imageio-ffmpeg cannot run ({error})", way_out="leave it out"
        ) from error
    if "vmaf" not in shown.lower().replace("unknown filter 'libvmaf'", ""):
        raise UsageError(
            f"`metrics` vmaf: {program} has no libvmaf filter",
            way_out="install imageio-ffmpeg 0.8.1 or newer",
        )
    return program


def check_models(program: str, names: Sequence[str]) -> None:
    """Raise UsageError when the FFmpeg lacks one of the models, found by measuring one frame."""
    side = max(METRIC_NAMES[name].smallest_side for name in names)
    grey = np.full((1, side, side, 3), 128, np.uint8)
    with VmafMeter(program, side, side, names) as meter:
        meter.add(grey, grey)
        meter.scores()


class VmafMeter:
    """One run of FFmpeg that is fed pairs of frames; a context manager that ends it in any case.

    Both pictures travel as one, the source above the decoded, so that one pipe is enough.
    """

    def __init__(
        self, program: str, height: int, width: int, names: Sequence[str] = ("vmaf",), threads: int = 1
    ) -> None:
        """names: keys of `MODELS`, all measured in the one run."""
        self._names = names
        self._folder = tempfile.TemporaryDirectory(prefix="infotok-vmaf-")
        self._errors = (Path(self._folder.name) / "errors.txt").open("w+")
        # Whole chroma planes are sent, so that odd sizes can be cropped.
        crop, chroma = f"crop={width}:{height}:0", "format=yuv420p"
        models = "|".join(f"version={MODELS[name]}\\\\:name={_score_name(name)}" for name in names)
        graph = (
            f"split[a][b];[a]{crop}:0,{chroma}[source];[b]{crop}:{height},{chroma}[decoded];"
            f"[decoded][source]libvmaf=model={models}:n_threads={threads}:log_fmt=json:log_path={LOG}"
        )
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
                above, below = (_limited_planes(picture) for picture in pair)
                self._process.stdin.write(np.concatenate([above, below], axis=1).tobytes())
        except OSError as error:
            raise self._failure() from error

    def scores(self) -> dict[str, float]:
        """Means over all frames sent, by name, 0..100; UsageError if FFmpeg failed."""
        assert self._process.stdin is not None
        try:
            self._process.stdin.close()
            if self._process.wait():
                raise self._failure()
            log = json.loads((Path(self._folder.name) / LOG).read_text("utf-8"))
            return {name: float(log["pooled_metrics"][_score_name(name)]["mean"]) for name in self._names}
        except (OSError, ValueError, KeyError) as error:
            raise self._failure() from error

    def _failure(self) -> UsageError:
        self._process.kill()
        self._process.wait()
        self._errors.seek(0)
        said = self._errors.read().strip().splitlines()
        names = ", ".join(self._names)
        return UsageError(
            f"`metrics` {names}: FFmpeg failed ({said[-1] if said else 'silently'})",
            way_out="leave it out, or install imageio-ffmpeg 0.8.1 or newer",
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


def _score_name(name: str) -> str:
    return name.replace("-", "_")


def _limited_planes(picture: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """BT.601 in limited range, `[3, H, W]`: luma 16..235, chroma 16..240, of RGB `[H, W, 3]`."""
    bright = luma(picture)
    blue, red = (picture[..., channel] - bright for channel in (2, 0))
    scaled = (bright * (219 / 255) + 16, blue * (112 / 255 / 0.886) + 128, red * (112 / 255 / 0.701) + 128)
    planes: NDArray[np.uint8] = np.rint(np.stack(scaled)).astype(np.uint8)
    return planes
