"""Says what became of a file that does not end with a footer: truncated, continued or damaged."""

from __future__ import annotations

from typing import BinaryIO

from infotok_cli.container import layout
from infotok_cli.container.header import Header


def explain_missing_end(file: BinaryIO, head_end: int, header: Header) -> str:
    """Walk the sections of `file` from the byte after its header and describe, on one line, where they end.

    Memory is bounded by the largest section that the header allows; an OSError of `file` is not caught.
    """
    size = file.seek(0, 2)
    at, whole, frames = head_end, 0, 0
    has_index = False
    limit = layout.SEGMENT_STRUCT.size + 2 * layout.max_coded_bytes(header.positions())
    while not has_index:
        found = _whole_section(file, at, size, limit)
        if found is None:
            break
        kind, length, payload = found
        at += layout.SECTION_STRUCT.size + length
        if kind == layout.INDX:
            has_index = True
        else:
            whole += 1
            frames += layout.SEGMENT_STRUCT.unpack_from(payload)[1]
    seconds = float(frames / header.frame_rate)
    kept = f"{whole} whole segment{'s' if whole != 1 else ''} ({seconds:.3f} s)"
    if has_index:
        footer_end = at + layout.FOOTER_STRUCT.size
        file.seek(at)
        if size > footer_end and file.read(layout.FOOTER_STRUCT.size).endswith(layout.END_MAGIC):
            return f"has {size - footer_end} trailing bytes after its end at byte {footer_end}"
        if size >= footer_end:
            return f"has a damaged footer at byte {at}, after {kept}"
    return f"is truncated at byte {size} (no footer), with {kept} before byte {at}"


def _whole_section(file: BinaryIO, at: int, size: int, segment_limit: int) -> tuple[bytes, int, bytes] | None:
    """Type, payload length and payload of an intact SEGM or INDX section at `at`, or None."""
    file.seek(at)
    frame = file.read(layout.SECTION_STRUCT.size)
    if len(frame) < layout.SECTION_STRUCT.size:
        return None
    kind, length, check = layout.SECTION_STRUCT.unpack(frame)
    limit = {layout.SEGM: segment_limit, layout.INDX: layout.MAX_INDEX_BYTES}.get(kind, -1)
    smallest = layout.SEGMENT_STRUCT.size if kind == layout.SEGM else layout.INDEX_STRUCT.size
    if not smallest <= length <= min(limit, size - at - layout.SECTION_STRUCT.size):
        return None
    payload = file.read(length)
    if len(payload) != length or check != layout.section_crc(kind, length, payload):
        return None
    return kind, length, payload
