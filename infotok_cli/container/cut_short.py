"""What is left of the segment inside which a file or a stream ends."""

from __future__ import annotations

from infotok_cli.container import layout
from infotok_cli.container.header import Header, counts_fault
from infotok_cli.container.index import SegmentIndex
from infotok_cli.container.input_file import InputFile
from infotok_cli.container.layout import Segment, segment_of_payload, unpack_segment_start
from infotok_cli.container.sections import FRAME_BYTES, unpack_frame


def segment_cut_short(
    payload: bytes, length: int, header: Header, number: int, first_frame: int
) -> Segment | None:
    """The segment whose SEGM payload of `length` bytes begins with `payload` and misses some token ids.

    number, first_frame: its place in the file. None where not even its maps are whole, or its start says
    what that of the segment at this place cannot say. The checksum is of the whole payload, so nothing tells
    whether these bytes are right.
    """
    found = unpack_segment_start(payload, length)
    if found is None or found[0] != first_frame or counts_fault(header, found[1]) is not None:
        return None
    return segment_of_payload(payload, found[1], number, missing_bytes=length - len(payload))


def find_cut_segment(file: InputFile, at: int, header: Header, index: SegmentIndex) -> Segment | None:
    """What is left of the segment at `at`, behind those of `index`, where the file ends inside it."""
    room = file.size_bytes - at
    frame = unpack_frame(file.read(at, min(room, FRAME_BYTES)))
    if frame.kind != layout.SEGM or not frame.is_possible or frame.total <= room:
        return None
    payload = file.read(at + FRAME_BYTES, room - FRAME_BYTES)
    return segment_cut_short(payload, frame.length, header, len(index), int(index.starts[-1]))
