"""Builds .itk files that are made to hurt: everything but the thing in question is right, checksums too.

`ATTACKS` maps a name to a function that returns the bytes of one file and a pattern for the one line that
must refuse it. None needs a model. Run this file to write all of them into a folder:

    PYTHONPATH=tests/support python tests/attacks/hostile.py FOLDER
"""

from __future__ import annotations

import struct
import sys
from collections.abc import Callable, Iterator, Sequence
from fractions import Fraction
from pathlib import Path
from typing import Any

from infotok_cli.container import layout
from infotok_cli.container.header import Header
from infotok_cli.container.layout import Counts, IndexEntry
from infotok_cli.container.tracks import pack_audio, pack_times
from infotok_cli.entropy.keep_map import encode_positions
from infotok_cli.sound import AudioTrack
from make_itk import Plan, itk_bytes, itk_header

Attack = Callable[[], bytes]

ATTACKS: dict[str, tuple[Attack, str]] = {}


def attack(pattern: str) -> Callable[[Attack], Attack]:
    """Register an attack under its name, with what the message must match."""

    def register(make: Attack) -> Attack:
        ATTACKS[make.__name__] = (make, pattern)
        return make

    return register


def section(kind: bytes, payload: bytes, length: int | None = None) -> bytes:
    """A section under a right checksum, whatever length it claims."""
    claimed = len(payload) if length is None else length
    return layout.SECTION_STRUCT.pack(kind, claimed, layout.section_crc(kind, claimed, payload)) + payload


def head(header: Header | None = None, **fields: int) -> bytes:
    """Magic and HEAD, with raw values for some fields."""
    payload = bytearray((header or itk_header()).pack())
    at = 0
    for name, code in layout.HEAD_FIELDS:
        if name in fields:
            struct.pack_into(f"<{code}", payload, at, fields[name])
        at += struct.calcsize(f"<{code}")
    return layout.MAGIC + section(layout.HEAD, bytes(payload))


def segment(number: int, counts: Counts, coded_map: bytes = b"", coded_ids: bytes = b"") -> bytes:
    return section(layout.SEGM, counts.pack(1, number, 0) + coded_map + coded_ids)


def with_index(start: bytes, rows: Sequence[tuple[int, ...]], **claims: int) -> bytes:
    """`start`, an index of these rows and a footer; `claims` change count, frames or the footer's offset."""
    body = b"".join(layout.INDEX_ENTRY_STRUCT.pack(*row) for row in rows)
    frames = claims.get("total_frames", sum(row[2] for row in rows) % (1 << 64))
    payload = layout.INDEX_STRUCT.pack(claims.get("segment_count", len(rows)), frames) + body
    return start + section(layout.INDX, payload) + layout.pack_footer(claims.get("offset", len(start)))


def one_segment(header: Header, counts: Counts, coded_map: bytes, coded_ids: bytes) -> bytes:
    """A whole file of one segment."""
    start = head(header)
    body = segment(0, counts, coded_map, coded_ids)
    row = (len(start), len(body), counts.frames, counts.tokens, counts.map_bytes, counts.token_bytes)
    return with_index(start + body, [row])


def good_rows(data: bytes) -> tuple[bytes, list[tuple[int, ...]]]:
    """A good file up to its index, and its index rows."""
    index_at = layout.FOOTER_STRUCT.unpack(data[-layout.FOOTER_STRUCT.size :])[0]
    count = layout.INDEX_STRUCT.unpack_from(data, index_at + layout.SECTION_STRUCT.size)[0]
    at = index_at + layout.SECTION_STRUCT.size + layout.INDEX_STRUCT.size
    size = layout.INDEX_ENTRY_STRUCT.size
    rows = [layout.INDEX_ENTRY_STRUCT.unpack_from(data, at + size * n) for n in range(count)]
    return data[:index_at], rows


GOOD = itk_bytes([Plan(8), Plan(8), Plan(3)], itk_header())


def changed(row: int, column: int, value: int, **claims: int) -> bytes:
    """A good file but for one value of its index."""
    start, rows = good_rows(GOOD)
    values = list(rows[row])
    values[column] = value
    rows[row] = tuple(values)
    return with_index(start, rows, **claims)


@attack("header .* damaged, its type or length is wrong")
def head_of_four_gigabytes() -> bytes:
    return layout.MAGIC + layout.SECTION_STRUCT.pack(layout.HEAD, 0xFFFFFFFF, 0) + bytes(200)


@attack("header .* damaged or the file truncated")
def head_longer_than_the_file() -> bytes:
    return layout.MAGIC + layout.SECTION_STRUCT.pack(layout.HEAD, layout.MAX_HEAD_BYTES, 0) + bytes(90)


@attack("index .* damaged, its type or length is wrong")
def index_of_four_gigabytes() -> bytes:
    start, _ = good_rows(GOOD)
    return start + layout.SECTION_STRUCT.pack(layout.INDX, 0xFFFFFFFF, 0) + layout.pack_footer(len(start))


@attack("counts contradict")
def count_of_two_to_the_31() -> bytes:
    start, rows = good_rows(GOOD)
    return with_index(start, rows, segment_count=1 << 31)


@attack("counts contradict")
def no_segments() -> bytes:
    return with_index(head(), [])


@attack("counts contradict")
def frames_of_two_to_the_63() -> bytes:
    start, rows = good_rows(GOOD)
    return with_index(start, rows, total_frames=1 << 63)


@attack("tokens for")
def tokens_of_two_to_the_31() -> bytes:
    return changed(1, 3, 1 << 31)


@attack("payloads of")
def payload_of_four_gigabytes() -> bytes:
    return changed(1, 4, 0xFFFFFFFF)


@attack("bytes at byte")
def length_that_overflows() -> bytes:
    """Offset and length add up to 2^64 and more."""
    start, rows = good_rows(GOOD)
    far = (0xFFFFFFFFFFFFFFF0, *rows[1][1:])
    return with_index(start, [rows[0], far, rows[2]])


@attack("bytes at byte")
def offset_of_two_to_the_63() -> bytes:
    return changed(0, 0, 1 << 63)


@attack("bytes at byte")
def overlapping_sections() -> bytes:
    start, rows = good_rows(GOOD)
    return with_index(start, [rows[0], (rows[0][0] + 1, *rows[1][1:]), rows[2]])


@attack("bytes at byte")
def the_same_segment_a_thousand_times() -> bytes:
    """A short file that claims to be long."""
    start, rows = good_rows(GOOD)
    return with_index(start, [rows[0]] * 1000)


@attack("segments end at byte|bytes at byte")
def segments_that_run_into_the_index() -> bytes:
    start, rows = good_rows(GOOD)
    return with_index(start[:-4], rows)


@attack("places the index at byte")
def index_inside_the_header() -> bytes:
    start, rows = good_rows(GOOD)
    return with_index(start, rows, offset=10)


@attack("places the index at byte")
def index_past_the_end() -> bytes:
    start, rows = good_rows(GOOD)
    return with_index(start, rows, offset=1 << 62)


@attack("places the index at byte|index .* damaged")
def footer_that_points_at_itself() -> bytes:
    start, rows = good_rows(GOOD)
    whole = with_index(start, rows)
    return whole[: -layout.FOOTER_STRUCT.size] + layout.pack_footer(len(whole) - layout.FOOTER_STRUCT.size)


@attack("index .* does not end at the footer")
def file_inside_the_tail_of_a_file() -> bytes:
    """Bytes between index and footer."""
    start, rows = good_rows(GOOD)
    whole = with_index(start, rows)
    return whole[: -layout.FOOTER_STRUCT.size] + GOOD + layout.pack_footer(len(start))


@attack("trailing bytes")
def trailing_bytes() -> bytes:
    return GOOD + bytes(4096)


@attack("trailing bytes|places the index|index .* damaged|does not end at the footer")
def file_after_a_file() -> bytes:
    return GOOD + GOOD


@attack("is truncated|damaged")
def recursion() -> bytes:
    """A thousand headers, each in front of the next; a reader takes one and looks for segments."""
    return head() * 1000


@attack("frame rate 1/0 is not in lowest terms")
def rate_with_zero_below() -> bytes:
    return head(frame_rate_num=1, frame_rate_den=0) + good_rows(GOOD)[0][100:]


@attack("is not in lowest terms")
def huge_rational_not_in_lowest_terms() -> bytes:
    return head(time_base_num=0xFFFFFFFE, time_base_den=0xFFFFFFFC)


@attack("frame rate 0 is out of range")
def rate_of_zero() -> bytes:
    return head(frame_rate_num=0, frame_rate_den=1)


@attack("width 0 is out of range")
def no_width() -> bytes:
    return head(width=0)


@attack("height 4294967295 is out of range")
def negative_height() -> bytes:
    """-1, were it signed."""
    return head(height=0xFFFFFFFF)


@attack("positions per segment .* is out of range")
def more_positions_than_allowed() -> bytes:
    return head(width=16384, height=16384, segment_frames=64)


@attack("target rate .* is out of range")
def negative_rate() -> bytes:
    return head(target_rate_ppm=0xFFFFFFFF)


@attack("not UTF-8")
def name_that_is_no_utf_8() -> bytes:
    payload = itk_header().pack().replace(b"made", b"\xc3\x28\xa0\xff")
    return layout.MAGIC + section(layout.HEAD, payload)


@attack("cannot be printed")
def name_that_commands_the_terminal() -> bytes:
    payload = itk_header().pack().replace(b"made", b"\x1b[2J")
    return layout.MAGIC + section(layout.HEAD, payload)


@attack("cannot be printed")
def name_that_reads_backwards() -> bytes:
    """U+202E turns the direction of what follows."""
    payload = itk_header(model_name="madee!").pack().replace(b"madee!", "\u202eabc".encode())
    return layout.MAGIC + section(layout.HEAD, payload)


@attack("bytes too few")
def name_longer_than_the_header() -> bytes:
    payload = bytearray(itk_header().pack())
    payload[layout.HEAD_STRUCT.size + 1 + 6] = 255
    return layout.MAGIC + section(layout.HEAD, bytes(payload))


@attack("product of quantizer levels")
def codebook_that_overflows() -> bytes:
    payload = itk_header().pack().replace(bytes((8, 8, 8, 5, 5, 5)), bytes([255] * 6))
    return layout.MAGIC + section(layout.HEAD, payload)


@attack("more than 0 tokens|0 tokens for")
def map_of_nothing_that_keeps_everything() -> bytes:
    """An empty code reads as ones without end: millions of kept positions from no byte at all."""
    header = itk_header(width=8192, height=8192, segment_frames=64, allocation="position")
    return one_segment(header, Counts(frames=64, tokens=0, map_bytes=0, token_bytes=0), b"", b"")


@attack("0 tokens for|tokens for .* blocks")
def blocks_of_nothing() -> bytes:
    """The same with blocks."""
    header = itk_header(width=8192, height=8192, segment_frames=64)
    return one_segment(header, Counts(frames=64, tokens=0, map_bytes=0, token_bytes=0), b"", b"")


@attack("range code|fewer than|more than")
def map_of_noise() -> bytes:
    header = itk_header(width=512, height=512, segment_frames=64, allocation="position")
    code = bytes((37 * n + n * n // 7) % 256 for n in range(2000))
    counts = Counts(frames=64, tokens=3000, map_bytes=len(code), token_bytes=6000)
    return one_segment(header, counts, code, bytes(6000))


@attack("has some left over|fewer than")
def map_with_bytes_left_over() -> bytes:
    import numpy as np

    keep = np.zeros((2, 2, 3), np.bool_)
    code = encode_positions(keep) + b"\x01\x02"
    counts = Counts(frames=8, tokens=0, map_bytes=len(code), token_bytes=0)
    return one_segment(itk_header(allocation="position"), counts, code, b"")


@attack("has id 65535")
def token_outside_the_codebook() -> bytes:
    code = b""
    counts = Counts(frames=8, tokens=12, map_bytes=0, token_bytes=24)
    return one_segment(itk_header(allocation="position"), counts, code, b"\xff" * 24)


@attack("differs from the index")
def segment_that_contradicts_the_index() -> bytes:
    start, rows = good_rows(GOOD)
    at, length = rows[1][:2]
    body = start[at + layout.SECTION_STRUCT.size : at + length]
    return with_index(
        start[:at] + section(layout.SEGM, struct.pack("<I", 7) + body[4:]) + start[at + length :], rows
    )


def tracks(
    audio: bytes | None = None, time: bytes | None = None, total: int = 300, tick: int = 0, **claims: int
) -> bytes:
    """A file of one segment, lost, with sound and frame times."""
    track = AudioTrack(
        codec="A_AAC", private=b"", sample_rate=48000, channels=2, bits=0, time_base=Fraction(1, 48000)
    )
    start = head(itk_header(format_version=2, has_times=True, audio=track))
    counts = Counts(frames=3, tokens=0, map_bytes=0, token_bytes=0, lost=True)
    segm = section(layout.SEGM, counts.pack(2, 0, 0))
    times = section(layout.TIME, pack_times(0, 0, [100, 100, 100]) if time is None else time)
    sound = section(layout.AUDI, pack_audio(0, []) if audio is None else audio)
    lengths = {"time_length": len(times), "audio_length": len(sound)} | claims
    entry = IndexEntry(**vars(counts), offset=len(start), length=len(segm), first_tick=tick, **lengths)
    rows = layout.INDEX_STRUCTS[layout.TRACKS].pack(1, 3, total) + entry.pack_tracks()
    body = start + segm + times + sound
    return body + section(layout.INDX, rows) + layout.pack_footer(len(body))


@attack("holds 4294967295 packets")
def packets_of_two_to_the_32() -> bytes:
    return tracks(layout.AUDIO_STRUCT.pack(0, (1 << 32) - 1) + bytes(100))


@attack("packets do not fill the section")
def packets_longer_than_the_section() -> bytes:
    return tracks(layout.AUDIO_STRUCT.pack(0, 1) + b"\0\0\xff\xff\xff\xff\x7f" + bytes(100))


@attack("a number in it is no code")
def a_number_without_an_end() -> bytes:
    return tracks(layout.AUDIO_STRUCT.pack(0, 1) + b"\xff" * 100)


@attack("a packet at time")
def sound_before_the_big_bang() -> bytes:
    return tracks(layout.AUDIO_STRUCT.pack(0, 1) + b"\xff" * 8 + b"\x7f" + b"\0\0")


@attack("a frame is shown for no time at all")
def frames_that_go_back_in_time() -> bytes:
    return tracks(time=layout.TIME_STRUCT.pack(0, 0) + b"\x0a\x0d")


@attack("times contradict each other")
def ticks_of_two_to_the_63() -> bytes:
    return tracks(total=1 << 63)


@attack("times contradict each other")
def a_start_that_overflows() -> bytes:
    return tracks(tick=(1 << 63) + 1)


@attack("times contradict each other")
def a_frame_that_is_shown_for_ages() -> bytes:
    return tracks(total=(1 << 60) - 1)


@attack("its times differ from the index")
def an_end_that_the_index_puts_elsewhere() -> bytes:
    return tracks(total=1 << 33)


@attack("audio length 4294967295, allowed are|bytes at byte|segments end")
def sound_of_four_gigabytes() -> bytes:
    return tracks(audio_length=(1 << 32) - 1)


@attack("bytes too few")
def a_sound_track_that_is_not_there() -> bytes:
    track = AudioTrack(
        codec="A_AAC", private=bytes(9), sample_rate=1, channels=1, bits=0, time_base=Fraction(1)
    )
    payload = itk_header(format_version=2, audio=track).pack()
    return layout.MAGIC + section(layout.HEAD, payload[:-1])


@attack("not in lowest terms")
def a_sound_clock_that_stands() -> bytes:
    track = AudioTrack(codec="A_AAC", private=b"", sample_rate=1, channels=1, bits=0, time_base=Fraction(1))
    payload = bytearray(itk_header(format_version=2, audio=track).pack())
    payload[-12:-8] = bytes(4)
    return layout.MAGIC + section(layout.HEAD, bytes(payload))


def everything() -> Iterator[tuple[str, bytes, str]]:
    """Name, bytes and pattern of each attack."""
    for name, (make, pattern) in ATTACKS.items():
        yield name, make(), pattern


def main(arguments: Sequence[Any]) -> None:
    folder = Path(arguments[0])
    folder.mkdir(parents=True, exist_ok=True)
    for name, data, _ in everything():
        (folder / f"{name}.itk").write_bytes(data)


if __name__ == "__main__":
    main(sys.argv[1:])
