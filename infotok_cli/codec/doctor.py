"""A look at the installation: versions, devices, kernels, weights, codecs, and a short trial of it all.

Nothing here fails because something is wrong: what is wrong is collected and reported.
"""

from __future__ import annotations

import platform
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from importlib import metadata
from itertools import islice
from pathlib import Path

import infotok_weights
from infotok_cli import __version__
from infotok_cli.codec.decode import decode_file
from infotok_cli.codec.demo_clip import FRAME_RATE, PHASE_FRAMES, SIDE, sample_frames
from infotok_cli.codec.encode import encode_file
from infotok_cli.codec.options import EncodeOptions
from infotok_cli.codec.video_psnr import pooled_psnr_db
from infotok_cli.errors import InfotokError, ModelError
from infotok_cli.itk.find_weights import find_model
from infotok_cli.model.devices import Device, cuda_version, devices, triton_obstacle
from infotok_cli.model.engine import Engine, Runtime, choose_runtime
from infotok_cli.model.weights import file_sha256, load_model
from infotok_cli.video.encoders import ENCODERS, has_encoder
from infotok_cli.video.writer import VideoWriter

PACKAGES = ("torch", "triton", "numpy", "av", "safetensors", "typer", "rich")

WORST_PSNR = 20.0
"""In dB, on the trial's clip at rate 1: what a packaged model makes on every machine, with room to spare."""


@dataclass(frozen=True, kw_only=True)
class Weights:
    """A packaged model."""

    name: str
    size_bytes: int
    whole: bool
    """Whether the file is the one the manifest names."""


@dataclass(frozen=True, kw_only=True)
class SelfTest:
    """A made-up clip, encoded and decoded again."""

    model: str
    frames: int
    tokens: int
    psnr: float
    """In dB, the decoded clip against the clip."""
    load_seconds: float
    encode_seconds: float
    decode_seconds: float


@dataclass(kw_only=True)
class DoctorReport:
    """All that was found; `problems` is empty when everything works."""

    versions: dict[str, str | None] = field(default_factory=dict)
    devices: tuple[Device, ...] = ()
    device: str | None = None
    """The device that `--device` chooses."""
    precision: str | None = None
    backend: str | None = None
    """Kernels that run there: reference or triton."""
    triton_obstacle: str | None = None
    """Why triton cannot run there; None when it can."""
    weights: tuple[Weights, ...] = ()
    codecs: dict[str, bool] = field(default_factory=dict)
    """Short codec names, and whether this FFmpeg has an encoder for each."""
    self_test: SelfTest | None = None
    problems: list[str] = field(default_factory=list)
    exit_code: int = 0
    """Of the first problem."""

    @contextmanager
    def noting(self) -> Iterator[None]:
        """Turn an InfotokError into a problem."""
        try:
            yield
        except InfotokError as error:
            self.problems.append(str(error))
            self.exit_code = self.exit_code or error.exit_code


def examine(
    model: str | None = None,
    device: str = "auto",
    kernels: str | None = None,
    progress: Callable[[str], None] | None = None,
) -> DoctorReport:
    """Look at everything, and encode and decode a second of made-up video.

    progress is called with what is being done.
    """
    tell = progress or (lambda _: None)
    report = DoctorReport()
    tell("looking around")
    report.versions = versions()
    report.devices = devices()
    runtime = None
    with report.noting():
        runtime = choose_runtime(device, kernels)
        report.device, report.precision = runtime.device.type, runtime.precision
        report.backend, report.triton_obstacle = runtime.backend, triton_obstacle(runtime)
    with report.noting():
        report.weights = tuple(packaged_weights())
        for entry in report.weights:
            if not entry.whole:
                raise ModelError(
                    f"packaged model {entry.name} is not the file its manifest names",
                    way_out="reinstall infotok",
                )
    report.codecs = {name: has_encoder(encoder.name) for name, encoder in ENCODERS.items()}
    if runtime is not None:
        with report.noting():
            report.self_test = self_test(model, runtime, tell)
    return report


def versions() -> dict[str, str | None]:
    """Versions of infotok, Python and the packages it uses; None for one that is not installed."""
    found: dict[str, str | None] = {"infotok": __version__, "python": platform.python_version()}
    for name in PACKAGES:
        try:
            found[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            found[name] = None
    return found | {"cuda": cuda_version(), "system": platform.platform()}


def packaged_weights() -> Iterator[Weights]:
    """The packaged models, each read in whole."""
    for name in infotok_weights.names():
        path = infotok_weights.path(name)
        whole = path.is_file() and file_sha256(path) == infotok_weights.manifest()[name]["sha256"]
        yield Weights(name=name, size_bytes=path.stat().st_size if path.is_file() else 0, whole=whole)


def self_test(model: str | None, runtime: Runtime, tell: Callable[[str], None]) -> SelfTest:
    """Encode and decode the demo clip's second phase through real files, and compare.

    Raises InfotokError when a step fails, or ModelError when what comes back is not the clip.
    """
    tell("loading the model")
    began = time.perf_counter()
    path = find_model(model)
    engine = Engine(load_model(path), runtime)
    loaded = time.perf_counter() - began
    with tempfile.TemporaryDirectory(prefix="infotok-doctor-") as name:
        clip, tokens, decoded = (Path(name) / part for part in ("clip.mkv", "clip.itk", "decoded.mkv"))
        with VideoWriter(clip, SIDE, SIDE, FRAME_RATE, codec="ffv1") as video:
            for frame in islice(sample_frames(), PHASE_FRAMES, 2 * PHASE_FRAMES):
                video.write(frame[None])
        tell("encoding")
        encoded = encode_file(clip, tokens, engine, EncodeOptions(rate=1))
        tell("decoding")
        shown = decode_file(tokens, decoded, engine, codec="ffv1")
        if (shown.frames, shown.height, shown.width) != (PHASE_FRAMES, SIDE, SIDE):
            raise ModelError(
                f"self test: {PHASE_FRAMES} frames of {SIDE}x{SIDE} came back as "
                f"{shown.frames} of {shown.width}x{shown.height}"
            )
        psnr = pooled_psnr_db(clip, decoded)
    known = {infotok_weights.path(name) for name in infotok_weights.names()}
    if path in known and not psnr >= WORST_PSNR:
        raise ModelError(
            f"self test: the clip came back at {psnr:.1f} dB, expected {WORST_PSNR:g} or more",
            way_out="try `device` cpu, or `kernels` reference",
        )
    return SelfTest(
        model=engine.loaded.config.name,
        frames=shown.frames,
        tokens=encoded.tokens,
        psnr=psnr,
        load_seconds=loaded,
        encode_seconds=encoded.seconds,
        decode_seconds=shown.seconds,
    )
