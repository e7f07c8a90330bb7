"""What the reports of an encode and of a decode have in common."""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction

from infotok_cli.container.header import Header
from infotok_cli.model.engine import Engine


@dataclass(frozen=True, kw_only=True)
class RunReport:
    """What went in and came out, and what computed it."""

    input: str
    output: str
    input_bytes: int | None
    """None for a video from a pipe."""
    width: int
    height: int
    frames: int
    frame_rate: Fraction
    duration_seconds: float
    audio_codec: str | None
    """Matroska codec ID of the sound that was copied; None without sound."""
    model: str
    device: str
    precision: str
    backend: str
    """Kernels that ran: reference or triton."""
    batch_segments: int
    """Segments that went through the network at once, where there were as many of one shape."""
    compiled: bool
    """Whether torch.compile took the transformer blocks."""
    seconds: float
    """Wall-clock time, without loading the model."""

    @property
    def speed(self) -> float:
        """Multiple of real time."""
        return self.duration_seconds / self.seconds if self.seconds else 0.0

    @classmethod
    def of_run(
        cls,
        header: Header,
        engine: Engine,
        *,
        source: str,
        target: str,
        input_bytes: int | None,
        frames: int,
        duration_seconds: Fraction,
        has_sound: bool,
        batch: int,
        seconds: float,
    ) -> RunReport:
        """The common part; `batch` is the size that was planned, which memory may have halved."""
        return RunReport(
            input=source,
            output=target,
            input_bytes=input_bytes,
            width=header.width,
            height=header.height,
            frames=frames,
            frame_rate=header.frame_rate,
            duration_seconds=float(duration_seconds),
            audio_codec=header.audio.codec if has_sound and header.audio is not None else None,
            model=header.model_name,
            device=engine.runtime.device.type,
            precision=engine.runtime.precision,
            backend=engine.runtime.backend,
            batch_segments=min(batch, engine.batch(header.positions())),
            compiled=engine.runtime.compiled,
            seconds=seconds,
        )
