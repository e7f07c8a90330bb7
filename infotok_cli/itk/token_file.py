"""An .itk file for Python: its tokens as arrays, without torch; cut by seconds, kept as bytes, saved."""

from __future__ import annotations

import operator
import weakref
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from types import TracebackType
from typing import BinaryIO, Self

import numpy as np
from numpy.typing import NDArray

from infotok_cli.blocks import Grid
from infotok_cli.container.header import Header
from infotok_cli.container.index import SegmentIndex
from infotok_cli.container.reader import ItkReader
from infotok_cli.entropy.token_net import TokenNet
from infotok_cli.errors import InputError, OutputError
from infotok_cli.files import write_all
from infotok_cli.itk.edit import cut_file
from infotok_cli.itk.find_weights import token_net_for
from infotok_cli.itk.frame_times import shown_ticks
from infotok_cli.itk.tokens import unpack_keep_map, unpack_motion_map, unpack_tokens
from infotok_cli.motion import Motion
from infotok_cli.places import PathName, Place, Source, check_target, output_of, spool
from infotok_cli.segment_tokens import Tokens
from infotok_cli.wording import counted

COPY_BYTES = 1 << 20


@dataclass(frozen=True, kw_only=True)
class TokenSegment:
    """A run of frames that is coded on its own."""

    number: int
    """Place in the file, from 0."""
    start_seconds: float
    """When its first shown frame is shown, from the first frame of the file on."""
    end_seconds: float
    """When its last shown frame ends."""
    frames: int
    """Frames that are shown."""
    trim_start: int
    """Coded frames before them that a cut hides; they have tokens, too."""
    trim_end: int
    """Coded frames after them that a cut hides."""
    token_grid: Grid
    """`(t, h, w)` positions of the lead and of all coded frames: 4 frames of 8x8 pixels each."""
    tokens: int
    """Positions that have a token."""
    size_bytes: int
    """Bytes of its keep map, motion map and ids as coded."""
    lost: bool
    """Whether its tokens were lost before the file was repaired."""

    @property
    def positions(self) -> int:
        """Positions of the token grid."""
        t, h, w = self.token_grid
        return t * h * w


class TokenFile:
    """An open .itk file; a context manager. No torch is needed.

    Opening checks header and index, everything else is checked when it is read. `file[1.0:2.5]` is the file
    of what is shown at 1.0 <= seconds < 2.5, as `slice` makes it.
    """

    def __init__(self, source: Source, *, model: PathName | None = None, recover: bool = False) -> None:
        """Open a file by its path (`str` or `os.PathLike`), its bytes, or a binary stream of them.

        A stream is read from its start and stays open; one that does not seek is read to its end at once.

        model: name or path of the weights that made the file, whose token net decodes its ids; needed for a
            file with coded tokens only, and only where the model is not a packaged one.
        recover: open a file without a good index too, and find what is whole.

        Raises InputError when it is no whole .itk file, TypeError for what names none.
        """
        self._model = model
        self._spooled: BinaryIO | None = None
        self._net: TokenNet | None = None
        self._net_is_known = False
        self._reader = ItkReader(source, recover=recover)
        if not len(self._reader.index):
            self._reader.close()
            raise InputError("has no whole segment left", way_out="copy it again", where=self._reader.name)

    @classmethod
    def of_spool(cls, stream: BinaryIO, *, model: PathName | None = None) -> Self:
        """The file that was written to a stream of `spool`, which is closed with it, or when it goes."""
        made = cls(stream, model=model)
        made._spooled = stream
        weakref.finalize(made, stream.close)
        return made

    @property
    def header(self) -> Header:
        """What all segments have in common: `width`, `height`, `frame_rate`, `model_name` and more."""
        return self._reader.header

    @property
    def index(self) -> SegmentIndex:
        """The index as it is stored; `segments` has it in plain values."""
        return self._reader.index

    @property
    def reader(self) -> ItkReader:
        """What reads the segments as they are coded."""
        return self._reader

    @property
    def source(self) -> Source:
        """What opens the same file once more; a path, or the stream that its bytes are in."""
        return self._reader.source

    @property
    def name(self) -> str:
        """The path as it stands in messages; "bytes" or "stream" for what has none."""
        return self._reader.name

    @property
    def total_frames(self) -> int:
        """Frames that are shown."""
        return self._reader.total_frames

    @property
    def duration_seconds(self) -> float:
        """How long they are shown."""
        return float(self._reader.duration_seconds)

    @property
    def size_bytes(self) -> int:
        """Bytes of the whole file."""
        return self._reader.size_bytes

    @property
    def total_tokens(self) -> int:
        """Tokens of all segments."""
        return int(self.index.column("tokens").sum())

    @property
    def token_rate(self) -> float:
        """Share of positions that have a token, 0..1."""
        return self.total_tokens / int(self.index.positions(self.header).sum())

    @property
    def token_grid(self) -> Grid:
        """`(t, h, w)` positions of a full segment: its lead, then 4 frames of 8x8 pixels each."""
        return self.header.grid()

    @cached_property
    def segments(self) -> tuple[TokenSegment, ...]:
        """What the index says of each segment, in order."""
        return tuple(self._segment(number) for number in range(len(self.index)))

    def _segment(self, number: int) -> TokenSegment:
        counts = self.index[number].counts
        start, end = self._reader.time_range_seconds(number)
        return TokenSegment(
            number=number,
            start_seconds=start,
            end_seconds=end,
            frames=counts.shown,
            trim_start=counts.trim_start,
            trim_end=counts.trim_end,
            token_grid=self.header.grid(counts.frames),
            tokens=counts.tokens,
            size_bytes=counts.map_bytes + counts.motion_bytes + counts.token_bytes,
            lost=counts.lost,
        )

    @property
    def times(self) -> NDArray[np.float64]:
        """`[total_frames]` seconds at which each frame is shown, from the first one on; InputError."""
        header, frames = self.header, range(self.total_frames)
        if not header.has_times:
            rate = header.frame_rate
            return np.arange(len(frames)) * rate.denominator / rate.numerator
        ticks = np.fromiter(shown_ticks(self._reader, frames, None), np.int64, len(frames))
        return ticks * header.time_base.numerator / header.time_base.denominator

    def keep_map(self, number: int) -> NDArray[np.bool_]:
        """`[t, h, w]` True where a position of segment `number` has a token; negative counts from the end.

        Raises IndexError, and InputError when the segment is damaged or lost.
        """
        return unpack_keep_map(self._reader, self._reader.read_segment(self._number(number)))

    def motion_map(self, number: int) -> Motion:
        """`[t, ceil(h / 2), ceil(w / 2)]` how the blocks of segment `number` move, as vectors of `motion`.

        Vector v moves a block by `DISPLACEMENTS[v // 15]` pixels down and `DISPLACEMENTS[v % 15]` to the
        right within four frames (`infotok_cli.motion`). Raises IndexError, and InputError when the segment
        is damaged or lost.
        """
        return unpack_motion_map(self._reader, self._reader.read_segment(self._number(number)))

    def tokens(self, number: int) -> NDArray[np.uint16]:
        """`[n]` ids of the kept positions of segment `number`, in the order of `keep_map(number)`.

        `ids = np.zeros(keep.shape, np.uint16); ids[keep] = file.tokens(number)` puts them in their places.
        Raises IndexError, InputError when the segment is damaged or lost, and ModelError when the ids are
        coded with a token net that is not to be had.
        """
        return self.token_layer(number).ids

    def token_layer(self, number: int) -> Tokens:
        """Keep map, motion map and ids of segment `number` in one; raises as `tokens`."""
        segment = self._reader.read_segment(self._number(number))
        return unpack_tokens(self._reader, segment, self._token_net())

    def _number(self, number: int) -> int:
        count = len(self.index)
        if not -count <= operator.index(number) < count:
            raise IndexError(f"there is no segment {number}: those of {self.name} are 0 to {count - 1}")
        return number % count

    def _token_net(self) -> TokenNet | None:
        if not self._net_is_known:
            self._net = token_net_for(self.header, self._model)
            self._net_is_known = True
        return self._net

    def __getitem__(self, seconds: slice) -> TokenFile:
        """`file[start:end]` in seconds, either of which may be left out; see `slice`."""
        if not isinstance(seconds, slice):
            raise TypeError(
                "a TokenFile is cut by seconds, as in file[1.0:2.5]; its segments are in file.segments"
            )
        if seconds.step is not None:
            raise TypeError("a TokenFile is cut by seconds without a step, as in file[1.0:2.5]")
        return self.slice(seconds.start, seconds.stop)

    def slice(self, start: float | None = None, end: float | None = None) -> TokenFile:
        """A file of its own with what is shown at start <= seconds < end: that of `infotok cut`.

        Segments that a cut goes through are kept whole, and what is not shown of them is hidden.
        Raises UsageError when nothing is shown then, InputError when a segment is damaged.
        """
        stream = spool()
        try:
            cut_file(self.source, stream, start_seconds=start, end_seconds=end)
        except BaseException:
            stream.close()
            raise
        return TokenFile.of_spool(stream, model=self._model)

    def verify(self) -> None:
        """Check every byte against its checksum; raises InputError naming the first damaged part."""
        self._reader.verify()

    def to_bytes(self) -> bytes:
        """The whole file as it is; raises InputError when it cannot be read any more."""
        return b"".join(self._pieces())

    def save(self, target: Place, overwrite: bool = False) -> None:
        """Write the file as it is to a path, where it appears whole or not at all, or to a binary stream.

        Raises OutputError when `target` exists, unless `overwrite` is true, or cannot be written.
        """
        check_target(target)
        output = output_of(target, overwrite=overwrite)
        with output.opened() as stream:
            try:
                for piece in self._pieces():
                    write_all(stream, piece)
            except OSError as error:
                raise OutputError(
                    f"cannot be written ({error.strerror or error})",
                    way_out="check the disk",
                    where=output.name,
                ) from error

    def _pieces(self) -> Iterator[bytes]:
        for at in range(0, self.size_bytes, COPY_BYTES):
            yield self._reader.read_bytes(at, min(COPY_BYTES, self.size_bytes - at))

    def close(self) -> None:
        """Close the file; what the index says can still be read."""
        self._reader.close()
        if self._spooled is not None:
            self._spooled.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def __repr__(self) -> str:
        header = self.header
        sound = "" if header.audio is None else f", sound {header.audio.codec}"
        name = f" {self.name}" if self._spooled is None else ""
        return (
            f"<TokenFile{name}: {header.width}x{header.height}, {float(header.frame_rate):g} fps, "
            f"{counted(self.total_frames, 'frame')} ({self.duration_seconds:.3f} s), "
            f"{counted(len(self.index), 'segment')}, {counted(self.total_tokens, 'token')} "
            f"(rate {self.token_rate:.3f}), {self.size_bytes:,} bytes{sound}>"
        )
