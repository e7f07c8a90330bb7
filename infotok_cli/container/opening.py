"""Header and index of an .itk file: read and checked, or searched for where the index is lost."""

from __future__ import annotations

from collections.abc import Iterator

from infotok_cli.container import layout
from infotok_cli.container.cut_short import find_cut_segment
from infotok_cli.container.header import Header, unpack_header
from infotok_cli.container.index import SegmentIndex, index_of_payload
from infotok_cli.container.input_file import InputFile
from infotok_cli.container.layout import Segment
from infotok_cli.container.scan import explain_missing_end, find_segments
from infotok_cli.container.sections import (
    FRAME_BYTES,
    Frame,
    crc32c,
    passed_over,
    payload_of,
    unpack_frame,
)
from infotok_cli.container.tags import tags_of
from infotok_cli.errors import InputError
from infotok_cli.tags import NO_TAGS, Tags

COPY = "copy the file again, or encode the video again"
REPAIR = f"{COPY}; 'infotok repair' saves what is whole"
"""Ways out of damage, to one segment or the header and to what holds segments together."""


def read_head(file: InputFile) -> tuple[Header, int]:
    """The header and the offset after its section; InputError where magic or header is not whole."""
    file.check_magic(COPY)
    at = len(layout.MAGIC)
    payload = file.section(layout.HEAD, at, "header", COPY)
    try:
        header = unpack_header(payload)
    except InputError as error:
        way_out = error.way_out or "encode the video again"
        raise file.error(f"header (byte {at}): {error.what}", way_out) from error
    return header, at + FRAME_BYTES + len(payload)


def read_tags(file: InputFile, at: int) -> tuple[Tags, str | None, int]:
    """The tags behind the header, which ends at `at`; what is wrong with them, if anything; their end.

    Where another section begins, or the file ends, there are none.
    """
    room = file.size_bytes - at
    frame = unpack_frame(file.read(at, min(room, FRAME_BYTES)))
    if frame.kind != layout.TAGS or not frame.is_possible or frame.total > room:
        return NO_TAGS, None, at
    try:
        tags = tags_of(payload_of(file.read(at, frame.total), layout.TAGS), at)
    except InputError as error:
        return NO_TAGS, error.what, at + frame.total
    return tags, None, at + frame.total


def read_index(file: InputFile, header: Header, head_end: int) -> SegmentIndex:
    """The index that the footer leads to, consistent with the header and the size of the file.

    Raises:
        InputError: there is none, it is damaged, or it leads past sections that must be understood.
    """
    footer_at = file.size_bytes - layout.FOOTER_STRUCT.size
    footer = file.read(max(0, footer_at), min(file.size_bytes, layout.FOOTER_STRUCT.size))
    if footer_at < head_end or not footer.endswith(layout.END_MAGIC):
        raise _missing_end(file, header, head_end)
    offset, check, _ = layout.FOOTER_STRUCT.unpack(footer)
    if check != crc32c(footer[:8]):
        raise file.error(f"footer (byte {footer_at}) is damaged, checksum differs", REPAIR)
    if not head_end <= offset < footer_at:
        raise file.error(f"footer (byte {footer_at}) places the index at byte {offset}", REPAIR)
    payload = file.section(layout.INDX, offset, "index", REPAIR)
    if offset + FRAME_BYTES + len(payload) != footer_at:
        raise file.error(f"index (byte {offset}) does not end at the footer (byte {footer_at})", REPAIR)
    try:
        index = index_of_payload(payload, header, head_end, offset)
    except InputError as error:
        raise file.error(f"index (byte {offset}), {error.what}", REPAIR) from error
    for _ in other_sections(file, index, head_end):  # looking at each is the check
        pass
    return index


def other_sections(file: InputFile, index: SegmentIndex, head_end: int) -> Iterator[tuple[int, Frame]]:
    """Offset and frame of the sections of unknown types; InputError where one must be understood."""
    try:
        for start, end in index.others(head_end):
            yield from passed_over(file.read, start, end)
    except InputError as error:
        if error.where:
            raise
        raise file.error(error.what, error.way_out or REPAIR) from error


def search_index(file: InputFile, header: Header, head_end: int) -> tuple[SegmentIndex, Segment | None]:
    """Index of the whole segments that a search finds, lost ones between them, and the one that the end cuts.

    Raises:
        InputError: there is none, or a section is whole that must be understood.
    """
    try:
        index, end = find_segments(file.stream, head_end, header)
    except OSError as error:
        raise file.error(f"cannot be read ({error.strerror})", "check the disk") from error
    except InputError as error:
        raise error.at(file.name) from error
    cut = find_cut_segment(file, end, header, index)
    if not len(index) and cut is None:
        raise file.error("has no whole segment left", COPY)
    return index, cut


def _missing_end(file: InputFile, header: Header, head_end: int) -> InputError:
    """The error that says how a file without a footer ends."""
    try:
        return file.error(explain_missing_end(file.stream, head_end, header), REPAIR)
    except OSError as error:
        return file.error(f"cannot be read ({error.strerror})", "check the disk")
    except InputError as error:
        return error.at(file.name)
