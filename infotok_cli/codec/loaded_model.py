"""A model for Python: frames to tokens and back, in arrays; and files to files."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager, nullcontext
from dataclasses import dataclass
from fractions import Fraction
from typing import BinaryIO, ClassVar

import numpy as np
from numpy.typing import NDArray

from infotok_cli.allocation.budgets import Budget
from infotok_cli.codec.ahead import ahead
from infotok_cli.codec.decode_inputs import Selection, playing_reader
from infotok_cli.codec.encode import encode_input
from infotok_cli.codec.frame_input import FramesInput, FrameSource, frame_rate_of
from infotok_cli.codec.load_engine import check_model, load_engine
from infotok_cli.codec.options import DEFAULT_RATE, EncodeOptions
from infotok_cli.itk.files import Tokens, source_of
from infotok_cli.itk.frame_times import frame_range
from infotok_cli.itk.token_file import TokenFile
from infotok_cli.model.engine import Engine
from infotok_cli.places import PathName, path_of, spool
from infotok_cli.routers import AllocationName


@dataclass(frozen=True)
class _SpoolOutput:
    """A file without a name."""

    stream: BinaryIO
    name: ClassVar[str] = "tokens"
    is_stream: ClassVar[bool] = False

    def opened(self) -> AbstractContextManager[BinaryIO]:
        return nullcontext(self.stream)


class Model:
    """A model on a device, as `load` gives it. Not to be used by several threads at once."""

    def __init__(self, engine: Engine) -> None:
        self.engine = engine
        """What computes; of no use to most callers."""

    @property
    def name(self) -> str:
        """Name of the model, which its files tell."""
        return self.engine.loaded.config.name

    @property
    def sha256(self) -> str:
        """SHA-256 of the weights file, in hexadecimal; files are decoded with the same weights only."""
        return self.engine.loaded.sha256

    @property
    def device(self) -> str:
        """cpu or cuda."""
        return self.engine.runtime.device.type

    def __repr__(self) -> str:
        return f"<Model {self.name} {self.sha256[:12]} on {self.device}>"

    def encode_frames(
        self,
        video: FrameSource,
        rate: float = DEFAULT_RATE,
        fps: float | Fraction = 30,
        *,
        budget: Budget | None = None,
        router: str = "fast",
        allocation: AllocationName | None = None,
        short_side: int | None = None,
        segment_frames: int | None = None,
        refine: int = 0,
        start_seconds: float | None = None,
        end_seconds: float | None = None,
        frames: int | None = None,
    ) -> TokenFile:
        """Encode frames, uint8, RGB, into a file without a name: the bytes that a lossless video would give.

        video: a numpy array or torch tensor `[T, H, W, 3]`, or an iterable of frames `[H, W, 3]` or of such
            arrays. An iterator is read as it comes, by another thread, in constant memory; a file beyond
            64 MiB lies in a temporary one.
        rate: average token rate, 1/8 to 1; not used when there is a `budget`.
        fps: frames per second, 1/3600 to 1000.
        frames: stop after this many, 1 or more; of an iterator one more is read.

        The others are those of `EncodeOptions`. What was asked for and could not be done is a warning.

        Raises InputError for what are no frames of one size, UsageError for options out of range, also for a
        `budget` that needs two passes where `video` is an iterator, ModelError when the weights do not suit
        the options, and TypeError for what holds no arrays.
        """
        options = EncodeOptions(
            rate=rate,
            budget=budget,
            router=router,
            allocation=allocation,
            short_side=short_side,
            segment_frames=segment_frames,
            refine=refine,
            start_seconds=start_seconds,
            end_seconds=end_seconds,
            frames=frames,
        )
        given = FramesInput(video, frame_rate_of(fps))
        if given.reads_once:
            options.check_single_pass("an iterator", "give an array or a list")
        with ExitStack() as undo:
            stream = spool()
            undo.callback(stream.close)
            report = encode_input(given, _SpoolOutput(stream), self.engine, options, None)
            for warning in report.warnings:
                warnings.warn(str(warning), stacklevel=2)
            made = TokenFile.of_spool(stream, model=self.engine.loaded.path)
            undo.pop_all()
        return made

    def decode_frames(
        self, file: Tokens, start: float | None = None, end: float | None = None, frames: int | None = None
    ) -> Iterator[NDArray[np.uint8]]:
        """Frames shown at start <= seconds < end, in parts `[T, H, W, 3]`, uint8, RGB, a few frames each.

        At most `frames` of them, 1 or more. Only the segments between them are read, each when it is asked
        for. `file` is a `TokenFile`, a path, bytes or a binary stream.

        Raises InputError, ModelError when other weights made the file, UsageError when nothing is shown
        then, and TypeError for what names no file; all but damage at once.
        """
        undo = ExitStack()
        with undo:
            opened = undo.enter_context(_opened(file))
            check_model(self.engine, opened.header, opened.name)
            wanted = Selection(start_seconds=start, end_seconds=end, frames=frames, audio=False)
            frame_range(opened.reader, start, end, frames)
            return _parts(
                self.engine,
                opened,
                wanted,
                undo.pop_all(),
            )

    def decode(
        self, file: Tokens, start: float | None = None, end: float | None = None, frames: int | None = None
    ) -> NDArray[np.uint8]:
        """All frames of `decode_frames` in one array `[T, H, W, 3]`; raises what that raises."""
        with _opened(file) as opened:
            header = opened.header
            count = len(frame_range(opened.reader, start, end, frames))
            whole = np.empty((count, header.height, header.width, 3), np.uint8)
            at = 0
            for part in self.decode_frames(opened, start, end, frames):
                whole[at : at + len(part)] = part
                at += len(part)
        return whole


def load(
    name_or_path: PathName | None = None,
    device: str = "auto",
    kernels: str | None = None,
    *,
    precision: str = "auto",
    deterministic: bool = False,
    compiled: bool = False,
) -> Model:
    """Load a model, by its name or the path of its weights, and put it on a device.

    name_or_path: None takes the environment's INFOTOK_MODEL, then the default model.
    device: auto, cpu or cuda. kernels: reference or triton; None takes what suits the device.
    precision: auto, or one that `infotok encode --help` names. deterministic: the same bytes whatever is
    batched. compiled: let torch.compile take the transformer blocks.

    Raises ModelError when there is no such model, UsageError for what is out of range or not to be had here,
    and TypeError for what names no model.
    """
    if name_or_path is not None:
        path_of(name_or_path, "name_or_path")
    return Model(
        load_engine(
            name_or_path, device, kernels, precision=precision, deterministic=deterministic, compiled=compiled
        )
    )


@contextmanager
def _opened(file: Tokens) -> Iterator[TokenFile]:
    """The file itself, or one that is open for a while."""
    if isinstance(file, TokenFile):
        with file.reader.opened():
            yield file
        return
    with TokenFile(source_of(file, "file")) as opened:
        yield opened


def _parts(
    engine: Engine, file: TokenFile, wanted: Selection, held: ExitStack
) -> Iterator[NDArray[np.uint8]]:
    """What `file` shows; lets go of `held` in the end."""
    with (
        held,
        playing_reader(file.reader, engine, wanted, []) as playback,
        ahead(playback.chunks, playback.batch) as chunks,
    ):
        for chunk in chunks:
            if chunk.frames is not None:
                yield chunk.frames
