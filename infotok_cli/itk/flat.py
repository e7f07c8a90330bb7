"""`infotok export` and `import`: an .itk file as flat ids in a file other tools read, and back.

Neither loads torch. Export holds 2 bytes for each id, import the whole file; only .jsonl goes segment by
segment both ways.
"""

from __future__ import annotations

import dataclasses
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from infotok_cli.container.header import Header, unpack_header
from infotok_cli.container.reader import ItkReader
from infotok_cli.container.writer import ItkWriter
from infotok_cli.entropy.flat_ids import MAX_TOKEN_IDS, Flat, FlatSegment, flatten, unflatten
from infotok_cli.entropy.token_ids import codebook_size
from infotok_cli.entropy.token_net import TokenNet
from infotok_cli.errors import InputError, OutputError
from infotok_cli.files import write_all
from infotok_cli.itk.find_weights import token_net_for
from infotok_cli.itk.flat_files import DEFAULT_FORMAT, FORMATS, flat_format, format_of
from infotok_cli.itk.tokens import Payloads, pack_tokens, unpack_tokens
from infotok_cli.places import Output, PathName, Place, Source, Spooled, output_of, source_name

_COPIED_BYTES = 1 << 20


@dataclass(frozen=True, kw_only=True)
class FlatReport:
    """What an export or an import wrote."""

    input: str
    output: str
    format: str
    segments: int
    tokens: int
    ids: int
    """Flat ids of all segments: tokens, motion, runs and marks."""
    size_bytes: int
    left_out: tuple[str, ...] = ()
    """An export: what the file holds that flat ids do not, see `left_out`."""


def export_file(
    source: Source,
    target: Place,
    format_name: str | None = None,
    *,
    model: PathName | None = None,
    overwrite: bool = False,
) -> FlatReport:
    """Write the flat ids of an .itk file as `format_name` (default: by the suffix, npz for a stream).

    model: name or path of the weights whose token net the file needs, unless they are packaged.
    Raises InputError (also for any damage), UsageError, ModelError or OutputError.
    """
    # 1. Where it goes says in which format.
    output = output_of(target, overwrite=overwrite)
    kind = flat_format(output.name, format_name or (DEFAULT_FORMAT if output.is_stream else None))
    with ItkReader(source) as reader:
        # 2. The ids must leave some for the marks, and the weights that code them must be found.
        _check_levels(reader)
        export = _Export(reader, token_net_for(reader.header, model))
        # 3. Segments are flattened as the file asks for them.
        with _seekable(output) as stream:
            try:
                FORMATS[kind].write(stream, plain_header(reader.header), export.sequences())
                stream.flush()
            except OSError as error:  # reading raises InputError
                raise _unwritable(output, error) from error
            size_bytes = stream.tell()
        # 4. What came of it.
        return FlatReport(
            input=source_name(source),
            output=output.name,
            format=kind,
            segments=len(reader.index),
            tokens=export.tokens,
            ids=export.ids,
            size_bytes=size_bytes,
            left_out=left_out(reader),
        )


class _Export:
    """The flat ids of a file, counted as they are handed out."""

    def __init__(self, reader: ItkReader, net: TokenNet | None) -> None:
        self._reader = reader
        self._net = net
        self.tokens = self.ids = 0

    def sequences(self) -> Iterator[Flat]:
        """Those of one segment after the other."""
        for segment in self._reader.segments():
            content = None if segment.lost else unpack_tokens(self._reader, segment, self._net)
            flat = flatten(FlatSegment(segment.frames, segment.trim_start, segment.trim_end, content))
            self.tokens += segment.tokens
            self.ids += len(flat)
            yield flat


def _check_levels(reader: ItkReader) -> None:
    """Raise InputError where token ids leave none for marks."""
    if codebook_size(reader.header.levels) > MAX_TOKEN_IDS:
        raise InputError(
            f"quantizer levels {reader.header.levels} have more than {MAX_TOKEN_IDS:,} ids, "
            "which leaves none for the marks of flat ids",
            way_out="encode it with other weights",
            where=reader.name,
        )


@contextmanager
def _seekable(output: Output) -> Iterator[BinaryIO]:
    """Lend a file to write at any place; what it holds then goes to `output`, as a whole."""
    if not output.is_stream:
        with output.opened() as stream:
            yield stream
        return
    with tempfile.TemporaryFile(prefix="infotok-") as held, output.opened() as stream:
        yield held
        held.seek(0)
        try:
            while part := held.read(_COPIED_BYTES):
                write_all(stream, part)
            stream.flush()
        except OSError as error:
            raise _unwritable(output, error) from error


def _unwritable(output: Output, error: OSError) -> OutputError:
    return OutputError(
        f"cannot be written ({error.strerror or error})", way_out="check the disk", where=output.name
    )


def left_out(reader: ItkReader) -> tuple[str, ...]:
    """What a file holds that flat ids do not."""
    held = {
        "sound": reader.header.audio is not None,
        "frame times": reader.header.has_times,
        "title and date": bool(reader.tags),
        "sections unknown here": reader.other_bytes > 0,
    }
    return tuple(name for name, present in held.items() if present)


def plain_header(header: Header) -> Header:
    """Header of a file of the same tokens alone."""
    return dataclasses.replace(header, has_times=False, audio=None)


def import_file(
    source: PathName | Spooled,
    target: Place,
    format_name: str | None = None,
    *,
    model: PathName | None = None,
    overwrite: bool = False,
) -> FlatReport:
    """Write the .itk file whose flat ids `source` holds, a file of `format_name`.

    Without one the suffix tells the format, and where that does not, the first bytes.

    What was exported comes back byte for byte, but for what an export leaves out.
    Raises InputError when the file cannot be read or breaks the grammar, or UsageError, ModelError,
    OutputError.
    """
    kind = format_of(source, format_name)
    output = output_of(target, overwrite=overwrite)
    tokens = ids = 0
    with _named(source), FORMATS[kind].read(_path_of(source)) as (head, sequences):
        header = unpack_header(head)
        net = token_net_for(header, model)
        with output.opened() as stream:
            writer = ItkWriter(stream, header, output.name)
            for flat in sequences:
                tokens += _write_segment(writer, flat, net)
                ids += len(flat)
            size_bytes = writer.finish()
    return FlatReport(
        input=source_name(source),
        output=output.name,
        format=kind,
        segments=writer.segments,
        tokens=tokens,
        ids=ids,
        size_bytes=size_bytes,
    )


def _path_of(source: PathName | Spooled) -> Path:
    """A name by which libraries can open it."""
    if isinstance(source, Spooled):
        source.stream.seek(0)
        return Path(f"/dev/fd/{source.stream.fileno()}")
    return Path(source)


def _write_segment(writer: ItkWriter, flat: Flat, net: TokenNet | None) -> int:
    """Write the segment of a flat sequence; returns its tokens."""
    header = writer.header
    try:
        segment = unflatten(flat, header.height, header.width)
        coded = Payloads(b"", b"", b"")
        count = 0
        if segment.tokens is not None:
            coded = pack_tokens(segment.tokens, header, net)
            count = len(segment.tokens.ids)
        writer.write_segment(
            frames=segment.frames,
            tokens=count,
            map_payload=coded.keep,
            motion_payload=coded.motion,
            token_payload=coded.ids,
            trim_start=segment.trim_start,
            trim_end=segment.trim_end,
            lost=segment.tokens is None,
        )
    except (InputError, ValueError) as error:
        fault = error if isinstance(error, InputError) else InputError(str(error))
        raise fault.at(f"flat ids of segment {writer.segments}", way_out="export them again") from error
    return count


@contextmanager
def _named(source: Source) -> Iterator[None]:
    """Put the name of the file before what is wrong with it."""
    try:
        yield
    except InputError as error:
        name = str(source) if str(source).isprintable() else repr(str(source))
        raise error.at(name) from error
