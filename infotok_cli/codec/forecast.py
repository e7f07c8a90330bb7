"""What an encode will take, before the model runs: computed from sizes, and memory from measurements."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from fractions import Fraction

from infotok_cli.allocation.allocate import least_tokens
from infotok_cli.allocation.budgets import make_planner
from infotok_cli.allocation.byte_fit import ByteFit, fixed_bytes
from infotok_cli.allocation.planner import SEGMENT_OVERHEAD
from infotok_cli.codec.endpoints import FileInput, Place, StreamInput, input_of
from infotok_cli.codec.job import EncodeJob
from infotok_cli.codec.load_engine import check_masking
from infotok_cli.codec.options import EncodeOptions
from infotok_cli.container.header import Header
from infotok_cli.errors import UsageError
from infotok_cli.model.bands import BAND_POSITIONS
from infotok_cli.model.engine import Engine

BASE_BYTES = 400_000_000
"""Memory of the program and the packaged model, whatever is encoded."""

POSITION_BYTES = 40_000
"""Memory for each position of a latent step that goes through the network at once, in float32 on a CPU."""

FURTHER_BYTES = 6_000
"""Memory for each position of a step beyond those, as large steps go through the network in bands of rows.

Measured (peak resident memory, one thread): 0.39 GB at 64x48, 0.64 GB at 456x256 and 1.32 GB at 1276x720, 32
frames each, 1.95 GB for a picture of 4000x3000. Half of both is counted in bfloat16.
"""

PIXEL_COPIES = 3
"""Copies of a segment's pixels: as it was read, as it waits for its tokens, and behind its lead."""

LARGE_BYTES = 2_000_000_000
"""Memory of an encode that is told before it starts."""

LARGE_POSITIONS = 1 << 22
"""The same for positions: 5 minutes at 456x256 and 30 frames per second."""


@dataclass(frozen=True, kw_only=True)
class Forecast:
    """What an encode is expected to do and to take."""

    input: str
    width: int
    height: int
    """Of the frames as they will be encoded."""
    frame_rate: Fraction
    frames: int | None
    """None, and all that follows from it, where the input does not tell how long it is."""
    duration_seconds: float | None
    segments: int | None
    positions: int | None
    tokens: int | None
    """None where only the budget's bytes or quality are set."""
    size_bytes: int | None
    """Without sound; of tokens as they are usually coded, or what the budget allows; None for a quality."""
    memory_bytes: int | None
    """At least, on a CPU; None where nothing was measured."""
    model: str
    device: str
    precision: str
    seconds: float | None = None
    """About what it takes on this machine, without loading the model; None where that was not tried."""

    @property
    def is_large(self) -> bool:
        """Whether a person should know what it takes before it starts."""
        return (self.memory_bytes or 0) >= LARGE_BYTES or (self.positions or 0) >= LARGE_POSITIONS


def forecast_file(
    source: Place,
    engine: Engine,
    options: EncodeOptions,
    *,
    fps: Fraction | None = None,
    skip_bad: bool = False,
    seconds_of: Callable[[FileInput, EncodeJob], float | None] | None = None,
) -> Forecast:
    """What `encode_file` would do with the same arguments; reads no more of the video than its first frame
    and what `seconds_of` reads.

    seconds_of: tells how long that takes; None leaves it open.

    Raises what that would raise before its first segment, and UsageError for a stream, which it would use up.
    """
    given = input_of(source, fps=fps, skip_bad=skip_bad)
    if isinstance(given, StreamInput):
        raise UsageError("a dry run would use up the pipe", way_out="save it to a file first")
    check_masking(engine, options)
    with given.glimpse() as video:
        job = EncodeJob.of(video, engine, options, is_live=False)
        # Only a look at all packets would tell whether there are times to write.
        job = replace(job, header=replace(job.header, has_times=False))
        make_planner(options, job.header, engine.loaded.fits, str(engine.loaded.path))
        expected = forecast(job, given.name)
        return expected if seconds_of is None else replace(expected, seconds=seconds_of(given, job))


def forecast(job: EncodeJob, name: str) -> Forecast:
    """What an encode of the input `name` is expected to do and to take, before its first segment."""
    header, options, engine = job.header, job.options, job.engine
    frames = job.expected_frames
    positions = None if frames is None else total_positions(header, frames)
    seconds = None if frames is None else float(frames / header.frame_rate)
    tokens = size_bytes = None
    if frames is not None and positions is not None and seconds is not None:
        tokens, size_bytes = _spent(header, options, frames, positions, seconds)
    return Forecast(
        input=name,
        width=header.width,
        height=header.height,
        frame_rate=header.frame_rate,
        frames=frames,
        duration_seconds=seconds,
        segments=None if frames is None else -(-frames // header.segment_frames),
        positions=positions,
        tokens=tokens,
        size_bytes=size_bytes,
        memory_bytes=memory_bytes(job, frames),
        model=engine.loaded.config.name,
        device=engine.runtime.device.type,
        precision=engine.runtime.precision,
    )


def total_positions(header: Header, frames: int) -> int:
    """Token-grid positions of this many frames."""
    whole, rest = divmod(frames, header.segment_frames)
    return whole * header.positions() + (header.positions(rest) if rest else 0)


def _spent(
    header: Header, options: EncodeOptions, frames: int, positions: int, seconds: float
) -> tuple[int | None, int | None]:
    """Tokens and bytes by the budget."""
    whole, rest = divmod(frames, header.segment_frames)
    least = whole * least_tokens(header.grid(), header.allocation)
    least += least_tokens(header.grid(rest), header.allocation) if rest else 0
    wanted: float | None = options.rate * positions
    if options.budget is not None:
        planner, value = options.budget.planner, options.budget.value
        wanted, expected = (
            planner.expected_tokens(value, positions, seconds),
            planner.expected_bytes(value, seconds),
        )
        if expected is not None:
            return None, round(expected)
    if wanted is None:
        return None, None
    tokens = max(least, min(positions, math.floor(wanted)))
    size = fixed_bytes(header) + ByteFit(header).bytes_for(tokens, positions)
    return tokens, size + -(-frames // header.segment_frames) * SEGMENT_OVERHEAD


def memory_bytes(job: EncodeJob, frames: int | None) -> int | None:
    """Memory that an encode takes at least on a CPU; None where that was not measured."""
    header, engine = job.header, job.engine
    if engine.runtime.device.type != "cpu" or job.options.refine or engine.runtime.compiled:
        return None
    longest = header.segment_frames if frames is None else min(frames, header.segment_frames)
    share = 2 if engine.runtime.precision == "bf16" else 1
    _, rows, columns = header.grid()
    step = rows * columns
    at_once = step if step <= 2 * BAND_POSITIONS else BAND_POSITIONS
    pixels = 3 * longest * header.height * header.width
    network = (POSITION_BYTES * at_once + FURTHER_BYTES * (step - at_once)) // share
    return BASE_BYTES + PIXEL_COPIES * pixels + network
