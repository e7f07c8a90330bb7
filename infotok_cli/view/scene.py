"""What a view shows of an .itk file: its frames, where their tokens are, and what they are compared with."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from infotok_cli.blocks import block_capacity
from infotok_cli.codec.decode_segments import decoded_segments
from infotok_cli.codec.load_engine import check_model
from infotok_cli.colour import BT709
from infotok_cli.config import PATCH
from infotok_cli.container.reader import ItkReader
from infotok_cli.errors import UsageError
from infotok_cli.evaluate.anchors import anchor_writer, check_anchor
from infotok_cli.itk.frame_times import frame_at, frame_range
from infotok_cli.itk.tokens import unpack_keep_map
from infotok_cli.metrics import psnr
from infotok_cli.model.engine import Engine
from infotok_cli.video.video_info import Frame
from infotok_cli.view.drawing import Pane, Picture, Timeline, compose, heat_over, legend
from infotok_cli.view.report_source import source_frames
from infotok_cli.wording import size_in_words

SHORTEST, TALLEST = 256, 540
"""Rows of a pane: smaller pictures are enlarged, larger ones shrunk."""


@dataclass(frozen=True)
class Where:
    """Tokens over the whole file, read without decoding a single one."""

    shares: list[NDArray[np.float64]]
    """For each latent step, in order, the share of its positions that each block keeps, `[bh, bw]`."""
    rates: NDArray[np.float64]
    """`[steps]` share of the step's positions that are kept."""
    step_of_frame: NDArray[np.int64]
    """`[frames]` the step that each shown frame belongs to."""
    tokens: int
    positions: int

    def timeline(self, seconds: float) -> Timeline:
        """Tokens over time; steps of which no frame is shown take no room."""
        frames = np.bincount(self.step_of_frame, minlength=len(self.rates))
        return Timeline(self.rates, np.cumsum(frames) / len(self.step_of_frame), seconds)

    def telling_frame(self) -> int:
        """The frame whose tokens are spread most unevenly over the picture, the first of those alike."""
        uneven = np.array([share.std() for share in self.shares])
        best = int(uneven[self.step_of_frame].argmax())
        same = np.flatnonzero(self.step_of_frame == self.step_of_frame[best])
        return int(same[len(same) // 2])


def where_tokens_are(reader: ItkReader) -> Where:
    """Read all keep maps of a file; InputError for a damaged one. Lost segments keep nothing."""
    shares: list[NDArray[np.float64]] = []
    rates: list[float] = []
    steps = []
    tokens = positions = 0
    for segment in reader.segments():
        grid = reader.header.grid(segment.frames)
        keep = np.zeros(grid, np.bool_) if segment.lost else unpack_keep_map(reader, segment)
        blocks = _block_shares(keep)
        shown = np.arange(segment.trim_start, segment.frames - segment.trim_end) // PATCH[0]
        steps.append(len(shares) + shown)
        shares += [blocks[step // 2] for step in range(grid[0])]
        rates += keep.mean(axis=(1, 2)).tolist()
        tokens += int(keep.sum())
        positions += keep.size
    return Where(shares, np.array(rates), np.concatenate(steps), tokens, positions)


def _block_shares(keep: NDArray[np.bool_]) -> NDArray[np.float64]:
    """Share of each block's positions that are kept, `[bt, bh, bw]`."""
    padded = np.zeros([side + side % 2 for side in keep.shape], np.float64)
    padded[tuple(slice(side) for side in keep.shape)] = keep
    bt, bh, bw = (side // 2 for side in padded.shape)
    kept = padded.reshape(bt, 2, bh, 2, bw, 2).sum(axis=(1, 3, 5))
    shares: NDArray[np.float64] = kept / block_capacity(keep.shape)
    return shares


@dataclass(frozen=True, kw_only=True)
class Wish:
    """What to show; UsageError for wishes that contradict each other."""

    source: Path | None = None
    """The video that was encoded."""
    against: str | None = None
    """An ordinary codec in a pane of its own, at no more bytes; needs `source`."""
    frame: int | None = None
    at_seconds: float | None = None
    start_seconds: float | None = None
    end_seconds: float | None = None

    def __post_init__(self) -> None:
        if self.against is not None and self.source is None:
            raise UsageError("`against` encodes the source", way_out="give the video with `source`")
        if self.frame is not None and self.at_seconds is not None:
            raise UsageError("`frame` and `at` exclude each other", way_out="give one of them")


@dataclass(frozen=True)
class _Rival:
    """An ordinary codec's version of the source."""

    label: str
    path: Path


class Scene:
    """An .itk file ready to be viewed; reads its keep maps at once and decodes what is asked for."""

    def __init__(self, path: Path, reader: ItkReader, engine: Engine, wish: Wish, scratch: Path) -> None:
        """scratch: a folder for the encodes of `against`.

        Raises InputError for a damaged file or a source that is not its video, ModelError for other weights,
        UsageError for what cannot be shown.
        """
        check_model(engine, reader.header, str(path))
        self._path, self._reader, self._engine, self._wish = path, reader, engine, wish
        self.where = where_tokens_are(reader)
        self.seconds = float(reader.duration_seconds)
        self.timeline = self.where.timeline(self.seconds)
        self._rival = self._encoded_by_rival(scratch) if wish.against is not None else None

    @property
    def rate(self) -> Fraction:
        """Frames per second; on average in a file with frame times."""
        return Fraction(self._reader.total_frames) / self._reader.duration_seconds

    @property
    def height(self) -> int:
        """Rows of a pane, even."""
        return min(max(self._reader.header.height, SHORTEST), TALLEST) // 2 * 2

    @property
    def headline(self) -> str:
        """The file in a line of numbers."""
        where, size = self.where, size_in_words(self._reader.size_bytes)
        share = f"{100 * where.tokens / where.positions:.0f} % of full"
        return f"{self._path.name} · {self.seconds:.1f} s · {size} · {where.tokens:,} tokens · {share}"

    def still(self) -> tuple[int, Picture]:
        """Number and view of the frame wished for, else of the most telling one."""
        total, wish = self._reader.total_frames, self._wish
        number = self.where.telling_frame() if wish.frame is None else wish.frame
        if wish.at_seconds is not None:
            number = min(frame_at(wish.at_seconds, self.rate), total - 1)
            if wish.at_seconds > self.seconds:
                raise UsageError(
                    f"`at` {wish.at_seconds:g} is after the end", way_out=f"choose 0 to {self.seconds:.3f}"
                )
        if not 0 <= number < total:
            raise UsageError(f"`frame` {number} is out of range", way_out=f"choose 0 to {total - 1}")
        return number, next(iter(self._views(range(number, number + 1))))

    def wanted(self) -> range:
        """Numbers of the frames that a moving view shows."""
        return frame_range(self._reader, self._wish.start_seconds, self._wish.end_seconds)

    def moving(self) -> Iterator[Picture]:
        """Views of `wanted`, one after the other."""
        yield from self._views(self.wanted())

    def _views(self, wanted: range) -> Iterator[Picture]:
        decoded = (f for part in decoded_segments(self._reader, self._engine, wanted) for f in part)
        others = [("source", self._wish.source)] if self._wish.source is not None else []
        if self._rival is not None:
            others.append((self._rival.label, self._rival.path))
        streams = [source_frames(path, self._reader.header, wanted) for _, path in others]
        for number, frame in zip(wanted, decoded, strict=True):
            pictures = [next(stream) for stream in streams]
            source = pictures[0] if pictures else None
            panes = [
                Pane(label if picture is source else _judged(label, source, picture), picture)
                for (label, _), picture in zip(others, pictures, strict=True)
            ]
            own = f"infotok · {size_in_words(self._size_bytes)}"
            heat = heat_over(frame, self.where.shares[self.where.step_of_frame[number]])
            panes += [Pane(_judged(own, source, frame), frame), Pane("where the tokens went", legend(heat))]
            at = (number + 0.5) / self._reader.total_frames
            yield compose(panes, self.headline, self.timeline, at=at, height=self.height)

    @property
    def _size_bytes(self) -> int:
        """Of the file without its sound, which no pane shows."""
        return self._reader.size_bytes - int(self._reader.index.column("audio_length").sum())

    def _encoded_by_rival(self, folder: Path) -> _Rival:
        """The source by an ordinary codec in at most the bytes of the file, by the lowest CRF that fits."""
        source = self._wish.source
        assert source is not None
        assert self._wish.against is not None
        anchor = check_anchor(self._wish.against)
        header = self._reader.header

        def size_at(crf: int) -> int:
            target = folder / f"{crf}.mkv"
            if not target.exists():
                frames = source_frames(source, header, range(self._reader.total_frames))
                writer = anchor_writer(
                    anchor, crf, target, size=(header.width, header.height), rate=self.rate, colour=BT709
                )
                with writer as video:
                    for frame in frames:
                        video.write(frame[None])
            return target.stat().st_size

        low, high = 0, anchor.highest_crf
        while low < high:
            middle = (low + high) // 2
            low, high = (low, middle) if size_at(middle) <= self._size_bytes else (middle + 1, high)
        size = size_at(low)
        least = "" if size <= self._size_bytes else ", its smallest"
        return _Rival(f"{anchor.name} crf {low}{least} · {size_in_words(size)}", folder / f"{low}.mkv")


def _judged(label: str, source: Frame | None, shown: Frame) -> str:
    """The label with the frame's PSNR, where there is a source to measure it by."""
    return label if source is None else f"{label} · {float(psnr(source[None], shown[None])[0]):.1f} dB"
