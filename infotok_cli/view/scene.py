"""What a view shows of an .itk file: its frames, where their tokens are, and what they are compared with."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from infotok_cli.blocks import block_capacity, step_of_frame
from infotok_cli.codec.ahead import ahead
from infotok_cli.codec.decode_segments import decoded_segments
from infotok_cli.codec.load_engine import check_model
from infotok_cli.colour import BT709
from infotok_cli.container.reader import ItkReader
from infotok_cli.errors import UsageError
from infotok_cli.evaluate.anchors import anchor_writer, check_anchor
from infotok_cli.itk.cut_segment import show_cut_segment
from infotok_cli.itk.frame_times import frame_at, frame_range
from infotok_cli.itk.keep_maps import damaged_segments, keep_maps, noted_damage
from infotok_cli.metrics import psnr
from infotok_cli.model.engine import Engine
from infotok_cli.video.video_info import Frame
from infotok_cli.view.drawing import Pane, Picture, Sheet, Timeline, hatched, heat_over, legend
from infotok_cli.view.report_source import source_frames
from infotok_cli.view.same_clip import longer_source
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
    lost: tuple[int, ...]
    """Numbers of the segments without tokens: lost before a repair, or damaged."""
    lost_steps: NDArray[np.bool_]
    """`[steps]` whether the step is of one of these."""
    tokens: int
    positions: int

    def timeline(self, seconds: float) -> Timeline:
        """Tokens over time; steps of which no frame is shown take no room."""
        frames = np.bincount(self.step_of_frame, minlength=len(self.rates))
        return Timeline(self.rates, np.cumsum(frames) / len(self.step_of_frame), self.lost_steps, seconds)

    def telling_frame(self) -> int:
        """The frame whose tokens are spread most unevenly over the picture, the first of those alike."""
        uneven = np.array([share.std() for share in self.shares])
        best = int(uneven[self.step_of_frame].argmax())
        same = np.flatnonzero(self.step_of_frame == self.step_of_frame[best])
        return int(same[len(same) // 2])


def where_tokens_are(reader: ItkReader, damaged: Collection[int] = ()) -> Where:
    """Read all keep maps of a file but those of the segments in `damaged`.

    Lost and damaged segments keep nothing. Raises InputError for damage elsewhere.
    """
    shares: list[NDArray[np.float64]] = []
    rates: list[float] = []
    lost: list[int] = []
    lost_steps: list[bool] = []
    steps = []
    tokens = positions = 0
    for segment, keep in keep_maps(reader, damaged):
        blocks = _block_shares(keep)
        shown = step_of_frame(np.arange(segment.trim_start, segment.frames - segment.trim_end))
        steps.append(len(shares) + shown)
        shares += [blocks[step // 2] for step in range(len(keep))]
        rates += keep.mean(axis=(1, 2)).tolist()
        lost += [segment.number] if segment.lost else []
        lost_steps += [segment.lost] * len(keep)
        tokens += int(keep.sum())
        positions += keep.size
    return Where(
        shares=shares,
        rates=np.array(rates),
        step_of_frame=np.concatenate(steps),
        lost=tuple(lost),
        lost_steps=np.array(lost_steps),
        tokens=tokens,
        positions=positions,
    )


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
    skip_bad: bool = False
    """Whether damaged segments are shown as lost ones, instead of InputError."""

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

    notes: list[str]
    """What was found damaged so far, and what else a person should know, a line for each thing."""

    def __init__(self, path: Path, reader: ItkReader, engine: Engine, wish: Wish, scratch: Path) -> None:
        """scratch: a folder for the encodes of `against`. With `skip_bad` the reader must recover.

        Raises InputError for a damaged file or a source that is not its video, ModelError for other weights,
        UsageError for what cannot be shown.
        """
        check_model(engine, reader.header, str(path))
        if wish.skip_bad:
            show_cut_segment(reader, engine.loaded.token_net)
        self._path, self._reader, self._engine, self._wish = path, reader, engine, wish
        damaged = damaged_segments(reader, engine.loaded.token_net) if wish.skip_bad else {}
        self.where = where_tokens_are(reader, damaged)
        self.notes = [*noted_damage(reader), *longer_source(wish.source, reader.total_frames)]
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
        where = self.where
        lost = lost_in_words(where, len(self._reader.index))
        numbers = numbers_in_words(self._reader.size_bytes, where)
        return " · ".join([self._path.name, f"{self.seconds:.1f} s", *lost, *numbers])

    def still(self) -> tuple[int, Picture]:
        """Number and view of the frame wished for, else of the most telling one."""
        number = chosen_frame(self._reader, self.where, self._wish.frame, self._wish.at_seconds)
        return number, next(iter(self._views(range(number, number + 1))))

    def wanted(self) -> range:
        """Numbers of the frames that a moving view shows."""
        return frame_range(self._reader, self._wish.start_seconds, self._wish.end_seconds)

    def moving(self) -> Iterator[Picture]:
        """Views of `wanted`, one after the other."""
        yield from self._views(self.wanted())

    def _views(self, wanted: range) -> Iterator[Picture]:
        header = self._reader.header
        others = [("source", self._wish.source)] if self._wish.source is not None else []
        if self._rival is not None:
            others.append((self._rival.label, self._rival.path))
        streams = [source_frames(path, header, wanted) for _, path in others]
        sizes = [(header.width, header.height)] * (len(others) + 2)
        sheet = Sheet(sizes, self.headline, self.timeline, height=self.height)
        for number, frame in zip(wanted, self._decoded(wanted), strict=True):
            pictures = [next(stream) for stream in streams]
            source = pictures[0] if pictures else None
            panes = [
                Pane(label if picture is source else _judged(label, source, picture), picture)
                for (label, _), picture in zip(others, pictures, strict=True)
            ]
            at = (number + 0.5) / self._reader.total_frames
            yield sheet.draw([*panes, *self._own_panes(number, frame, source)], at)

    def _decoded(self, wanted: range) -> Iterator[Frame]:
        """The frames of the file, the next ones decoded while one is drawn."""
        lost = self.notes if self._wish.skip_bad or self.where.lost else None
        with ahead(decoded_segments(self._reader, self._engine, wanted, lost)) as parts:
            for part in parts:
                yield from part

    def _own_panes(self, number: int, frame: Frame, source: Frame | None) -> list[Pane]:
        """Frame `number` as decoded, and its heat."""
        step = int(self.where.step_of_frame[number])
        own = f"infotok · {size_in_words(self._size_bytes)}"
        return panes_of(frame, self.where, step, _judged(own, source, frame))

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


def chosen_frame(reader: ItkReader, where: Where, frame: int | None, at_seconds: float | None) -> int:
    """Number of the frame wished for, else of the most telling one; UsageError where it is not there."""
    total, seconds = reader.total_frames, float(reader.duration_seconds)
    number = where.telling_frame() if frame is None else frame
    if at_seconds is not None:
        if at_seconds > seconds:
            raise UsageError(f"`at` {at_seconds:g} is after the end", way_out=f"choose 0 to {seconds:.3f}")
        number = min(frame_at(at_seconds, total / reader.duration_seconds), total - 1)
    if not 0 <= number < total:
        raise UsageError(f"`frame` {number} is out of range", way_out=f"choose 0 to {total - 1}")
    return number


def panes_of(frame: Frame, where: Where, step: int, label: str) -> list[Pane]:
    """A decoded frame of this latent step, and its heat; striped where its tokens are lost."""
    if where.lost_steps[step]:
        shown, heat = "lost · a good frame stands here", "no tokens are left"
        return [Pane(shown, frame, hatched), Pane(heat, frame, hatched)]
    heat_map = heat_over(frame, where.shares[step])
    return [Pane(label, frame), Pane("where the tokens went", heat_map, legend)]


def numbers_in_words(size_bytes: int, where: Where) -> list[str]:
    """Size, tokens and their share of a file."""
    share = f"{100 * where.tokens / where.positions:.0f} % of full"
    return [size_in_words(size_bytes), f"{where.tokens:,} tokens", share]


def lost_in_words(where: Where, segments: int) -> list[str]:
    """How many segments are lost; nothing where all are whole."""
    plural = "s" if segments != 1 else ""
    return [f"{len(where.lost)} of {segments} segment{plural} lost"] if where.lost else []


def _judged(label: str, source: Frame | None, shown: Frame) -> str:
    """The label with the frame's PSNR, where there is a source to measure it by."""
    return label if source is None else f"{label} · {float(psnr(source[None], shown[None])[0]):.1f} dB"
