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

import numpy as np

from infotok_cli.container import layout
from infotok_cli.container.header import Header
from infotok_cli.container.layout import Counts, IndexEntry
from infotok_cli.container.sections import FRAME_BYTES, pack_footer, section_crc
from infotok_cli.container.tracks import pack_audio, pack_times
from infotok_cli.entropy.keep_map import encode_positions
from infotok_cli.entropy.motion_map import CONTEXTS, pack_motion
from infotok_cli.entropy.range_coder import encode_bits
from infotok_cli.motion import Motion, no_motion
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
    return layout.SECTION_STRUCT.pack(kind, claimed, section_crc(kind, claimed, payload)) + payload


def head(header: Header | None = None, **fields: int) -> bytes:
    """Magic and HEAD, with raw values for some fields."""
    payload = bytearray((header or itk_header()).pack())
    at = 0
    for name, code in layout.HEAD_FIELDS:
        if name in fields:
            struct.pack_into(f"<{code}", payload, at, fields[name])
        at += struct.calcsize(f"<{code}")
    return layout.MAGIC + section(layout.HEAD, bytes(payload))


def segment(counts: Counts, *payloads: bytes) -> bytes:
    return section(layout.SEGM, counts.pack(0) + b"".join(payloads))


Row = dict[str, int]


def with_index(start: bytes, rows: Sequence[Row], offset: int | None = None) -> bytes:
    """`start`, an index of these rows and a footer that leads to `offset` (default: the right one)."""
    body = b"".join(layout.INDEX_ENTRY_STRUCT.pack(*row.values()) for row in rows)
    return start + section(layout.INDX, body) + pack_footer(len(start) if offset is None else offset)


def one_segment(header: Header, counts: Counts, *payloads: bytes) -> bytes:
    """A whole file of one segment."""
    start, body = head(header), segment(counts, *payloads)
    entry = IndexEntry(counts=counts, offset=len(start), length=len(body))
    index = section(layout.INDX, entry.pack(header.index_fields))
    return start + body + index + pack_footer(len(start) + len(body))


def good_rows(data: bytes) -> tuple[bytes, list[Row]]:
    """A good file up to its index, and its index rows."""
    index_at = layout.FOOTER_STRUCT.unpack(data[-layout.FOOTER_STRUCT.size :])[0]
    body = data[index_at + FRAME_BYTES : -layout.FOOTER_STRUCT.size]
    names = [name for name, _ in layout.INDEX_ENTRY_FIELDS]
    rows = layout.INDEX_ENTRY_STRUCT.iter_unpack(body)
    return data[:index_at], [dict(zip(names, row, strict=True)) for row in rows]


GOOD = itk_bytes([Plan(8), Plan(8), Plan(3)], itk_header())


def changed(number: int, **values: int) -> bytes:
    """A good file but for values of its index."""
    start, rows = good_rows(GOOD)
    rows[number] |= values
    return with_index(start, rows)


@attack("header .* damaged, its type or length is wrong")
def head_of_four_gigabytes() -> bytes:
    return layout.MAGIC + layout.SECTION_STRUCT.pack(layout.HEAD, 0xFFFFFFFF, 0) + bytes(200)


@attack("header .* damaged or the file truncated")
def head_longer_than_the_file() -> bytes:
    return layout.MAGIC + layout.SECTION_STRUCT.pack(layout.HEAD, layout.MAX_HEAD_BYTES, 0) + bytes(90)


@attack("index .* damaged, its type or length is wrong")
def index_of_four_gigabytes() -> bytes:
    start, _ = good_rows(GOOD)
    return start + layout.SECTION_STRUCT.pack(layout.INDX, 0xFFFFFFFF, 0) + pack_footer(len(start))


@attack("not a whole number of entries")
def no_segments() -> bytes:
    return with_index(head(), [])


@attack("not a whole number of entries")
def half_an_entry() -> bytes:
    start, rows = good_rows(GOOD)
    body = b"".join(layout.INDEX_ENTRY_STRUCT.pack(*row.values()) for row in rows)
    return start + section(layout.INDX, body[:-1]) + pack_footer(len(start))


@attack("tokens for")
def tokens_of_two_to_the_31() -> bytes:
    return changed(1, tokens=1 << 31)


@attack("payloads of")
def payload_of_four_gigabytes() -> bytes:
    return changed(1, map_bytes=0xFFFFFFFF)


@attack("allowed are 1..8")
def frames_beyond_the_longest_segment() -> bytes:
    return changed(1, frames=255)


@attack("leave none to show")
def trims_beyond_the_segment() -> bytes:
    return changed(1, trim_start=255, trim_end=255)


@attack("before the index")
def sections_of_four_gigabytes() -> bytes:
    return changed(1, length=0xFFFFFFFF)


@attack("its known sections take")
def a_segment_of_no_bytes() -> bytes:
    return changed(1, length=0)


@attack("before the index")
def the_same_segment_a_thousand_times() -> bytes:
    """A short file that claims to be long."""
    start, rows = good_rows(GOOD)
    return with_index(start, [rows[0]] * 1000)


@attack("before the index")
def segments_that_run_into_the_index() -> bytes:
    start, rows = good_rows(GOOD)
    return with_index(start[:-4], rows)


@attack("is out of place")
def a_segment_that_the_index_passes_over() -> bytes:
    start, rows = good_rows(GOOD)
    return with_index(start, rows[1:])


@attack("there is no section at byte")
def bytes_that_are_no_section() -> bytes:
    start, rows = good_rows(GOOD)
    rows[-1]["length"] += 40
    return with_index(start + b"\0" * 40, rows)


@attack("section noth .* checksum differs")
def an_unknown_section_with_a_wrong_checksum() -> bytes:
    start, rows = good_rows(GOOD)
    other = bytearray(section(b"noth", bytes(20)))
    other[-1] ^= 1
    rows[-1]["length"] += len(other)
    return with_index(start + other, rows)


def _tagged(payload: bytes) -> bytes:
    """The file with a section of tags behind its header, under a right checksum."""
    start, rows = good_rows(GOOD)
    tags = section(b"tags", payload)
    return with_index(start[: len(head())] + tags + start[len(head()) :], rows)


@attack(r"section tags \(byte \d+\): title '.*' holds characters that cannot be printed")
def a_title_that_clears_the_screen() -> bytes:
    return _tagged(b"\x07\x00\x1b[2J\r\nx\x00\x00")


@attack(r"section tags .*: date b'.*' is not UTF-8")
def a_date_that_is_no_text() -> bytes:
    return _tagged(b"\x01\x00a\x02\x00\xff\xfe")


@attack(r"section tags .*: bytes of the title 1025 is out of range")
def a_title_that_is_too_long() -> bytes:
    return _tagged(struct.pack("<H", 1025) + b"a" * 1025 + bytes(2))


@attack(r"section tags .*: \d+ bytes too few")
def a_title_that_ends_beyond_its_section() -> bytes:
    return _tagged(struct.pack("<H", 65535) + b"a" * 10)


@attack(r"section tags .*: 3 bytes too many")
def tags_with_something_behind_them() -> bytes:
    return _tagged(b"\x01\x00a\x00\x00xyz")


@attack(r"section tags .*: neither title nor date")
def tags_that_say_nothing() -> bytes:
    return _tagged(bytes(4))


@attack("section tags .* out of place")
def tags_twice() -> bytes:
    once = _tagged(b"\x01\x00a\x00\x00")
    tags = section(b"tags", b"\x01\x00a\x00\x00")
    _, rows = good_rows(GOOD)
    return with_index(once[: once.index(b"INDX")].replace(tags, tags + tags), rows)


@attack("there is no section at byte")
def tags_longer_than_they_may_be() -> bytes:
    return _tagged(bytes(5000))


@attack("section PICT .* newer than format version 1: update infotok")
def a_section_that_must_be_understood() -> bytes:
    start, rows = good_rows(GOOD)
    other = section(b"PICT", bytes(20))
    rows[0]["length"] += len(other)
    end = len(head()) + good_rows(GOOD)[1][0]["length"]
    return with_index(start[:end] + other + start[end:], rows)


@attack("segment 2 .* checksum differs")
def thousands_of_empty_sections() -> bytes:
    """Each may be passed over; then a damaged segment."""
    start, rows = good_rows(GOOD)
    many = section(b"noth", b"") * 5_000
    rows[0]["length"] += len(many)
    end = len(head()) + good_rows(GOOD)[1][0]["length"]
    return with_index(start[:end] + many + start[end:-1] + b"\xee", rows)


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
    return whole[: -layout.FOOTER_STRUCT.size] + pack_footer(len(whole) - layout.FOOTER_STRUCT.size)


@attack("index .* does not end at the footer")
def file_inside_the_tail_of_a_file() -> bytes:
    """Bytes between index and footer."""
    start, rows = good_rows(GOOD)
    whole = with_index(start, rows)
    return whole[: -layout.FOOTER_STRUCT.size] + GOOD + pack_footer(len(start))


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
    return head(frame_rate_num=1, frame_rate_den=0) + good_rows(GOOD)[0][88:]


def with_head(**fields: int) -> bytes:
    """A good file but for values of its header."""
    start, rows = good_rows(GOOD)
    return with_index(head(**fields) + start[len(head()) :], rows)


@attack("sample aspect 4294967295 is out of range")
def pixels_of_endless_width() -> bytes:
    return with_head(sample_aspect_num=4294967295)


@attack("sample aspect 4294967291/4294967279 is out of range")
def pixels_of_a_shape_beyond_32_bits() -> bytes:
    return with_head(sample_aspect_num=4294967291, sample_aspect_den=4294967279)


@attack("frame rate 4294967291 is out of range")
def four_billion_frames_a_second() -> bytes:
    return with_head(frame_rate_num=4294967291, frame_rate_den=1)


@attack("frame rate 1/4294967291 is out of range")
def a_frame_in_a_hundred_years() -> bytes:
    return with_head(frame_rate_num=1, frame_rate_den=4294967291)


@attack("frame rate 4294967291/4294967279 is out of range")
def rate_beyond_32_bits() -> bytes:
    return with_head(frame_rate_num=4294967291, frame_rate_den=4294967279)


@attack("time base 4294967291 is out of range")
def ticks_of_a_hundred_years() -> bytes:
    return with_head(time_base_num=4294967291, time_base_den=1)


@attack("time base 1/4294967291 is out of range")
def ticks_too_short() -> bytes:
    return with_head(time_base_num=1, time_base_den=4294967291)


@attack("time base 4294967291/4294967279 is out of range")
def ticks_beyond_32_bits() -> bytes:
    return with_head(time_base_num=4294967291, time_base_den=4294967279)


@attack("is not in lowest terms")
def huge_rational_not_in_lowest_terms() -> bytes:
    return head(time_base_num=0xFFFFFFFE, time_base_den=0xFFFFFFFC)


@attack("frame rate 0 is out of range")
def rate_of_zero() -> bytes:
    return head(frame_rate_num=0, frame_rate_den=1)


@attack("width 0 is out of range")
def no_width() -> bytes:
    return head(width=0)


@attack("height 65535 is out of range")
def negative_height() -> bytes:
    """-1, were it signed."""
    return head(height=0xFFFF)


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
    header = itk_header(width=8192, height=8192, segment_frames=60, allocation="position")
    return one_segment(header, Counts(frames=60, tokens=0, map_bytes=0, token_bytes=0), b"", b"")


@attack("0 tokens for|tokens for .* blocks")
def blocks_of_nothing() -> bytes:
    """The same with blocks."""
    header = itk_header(width=8192, height=8192, segment_frames=60)
    return one_segment(header, Counts(frames=60, tokens=0, map_bytes=0, token_bytes=0), b"", b"")


@attack("range code|fewer than|more than")
def map_of_noise() -> bytes:
    header = itk_header(width=512, height=512, segment_frames=64, allocation="position")
    code = bytes((37 * n + n * n // 7) % 256 for n in range(2000))
    counts = Counts(frames=64, tokens=3000, map_bytes=len(code), token_bytes=6000)
    return one_segment(header, counts, code, bytes(6000))


@attack("has some left over|fewer than")
def map_with_bytes_left_over() -> bytes:
    keep = np.zeros((3, 2, 3), np.bool_)
    code = encode_positions(keep) + b"\x01\x02"
    counts = Counts(frames=8, tokens=0, map_bytes=len(code), token_bytes=0)
    return one_segment(itk_header(allocation="position"), counts, code, b"")


def moving(coded_motion: bytes) -> bytes:
    """A file of one segment of 8 frames without tokens, so of a motion map `[3, 1, 2]`."""
    code = encode_positions(np.zeros((3, 2, 3), np.bool_))
    counts = Counts(frames=8, tokens=0, map_bytes=len(code), motion_bytes=len(coded_motion), token_bytes=0)
    return one_segment(itk_header(allocation="position"), counts, code, coded_motion)


def some_motion() -> Motion:
    motion = no_motion((3, 2, 3))
    motion[1:] = [[[3, 150]], [[150, 224]]]
    return motion


@attack("payloads of 0, 4294967295 and")
def motion_of_four_gigabytes() -> bytes:
    return changed(1, map_bytes=0, motion_bytes=0xFFFFFFFF)


@attack(r"payloads of \d+, 53 and 0 bytes, allowed are 52 each")
def motion_longer_than_it_may_be() -> bytes:
    return moving(b"\xa5" * 53)


@attack("range code of 52 bytes has some left over")
def motion_as_long_as_it_may_be() -> bytes:
    """A code that ends long before its bytes do."""
    return moving(pack_motion(some_motion()).ljust(52, b"\x01"))


@attack("range code .* has some left over")
def motion_of_a_zero() -> bytes:
    """It would say what no byte says: that nothing moves."""
    return moving(b"\0")


@attack("range code .* is damaged|has some left over|spells out|does not exist")
def motion_that_is_cut() -> bytes:
    return moving(pack_motion(some_motion())[:-1])


@attack("range code .* is damaged|spells out|does not exist")
def motion_of_noise() -> bytes:
    code = bytes((37 * n + n * n // 7 + 90) % 256 for n in range(2000))
    header = itk_header(width=512, height=512, segment_frames=64, allocation="position")
    keep = encode_positions(np.zeros(header.grid(), np.bool_))
    counts = Counts(frames=64, tokens=0, map_bytes=len(keep), motion_bytes=len(code), token_bytes=0)
    return one_segment(header, counts, keep, code)


def _in_full(down: int, across: int) -> bytes:
    """A first block that is said not to be still, then its vector in full, of displacements 0..15."""
    trees = len(CONTEXTS) - 6 * 15
    bits, contexts = [0], [7]
    for axis, number in enumerate((down, across)):
        node = 1
        for place in (3, 2, 1, 0):
            bits.append(number >> place & 1)
            contexts.append(trees + 15 * (3 * axis + 1) + node - 1)
            node = 2 * node + bits[-1]
    return encode_bits(bits, contexts, CONTEXTS)


@attack("a displacement that does not exist")
def motion_by_a_displacement_that_does_not_exist() -> bytes:
    return moving(_in_full(15, 0))


@attack("spells out a vector that has a shorter code")
def motion_that_is_none_in_full() -> bytes:
    return moving(_in_full(7, 7))


@attack("tokens in a lost segment")
def a_lost_segment_that_moves() -> bytes:
    counts = Counts(frames=8, tokens=0, map_bytes=0, motion_bytes=2, token_bytes=0, lost=True)
    return one_segment(itk_header(), counts, b"\x01\x02")


@attack("differs from the index")
def motion_that_the_index_counts_to_the_keep_map() -> bytes:
    start, rows = good_rows(GOOD)
    rows[0]["map_bytes"] += rows[0]["motion_bytes"]
    rows[0]["motion_bytes"] = 0
    return with_index(start, rows)


@attack("has id 65535")
def token_outside_the_codebook() -> bytes:
    code = b""
    counts = Counts(frames=8, tokens=18, map_bytes=0, token_bytes=36)
    return one_segment(itk_header(allocation="position"), counts, code, b"\xff" * 36)


@attack("differs from the index")
def segment_that_contradicts_the_index() -> bytes:
    start, rows = good_rows(GOOD)
    at = len(head()) + rows[0]["length"]
    end = at + rows[1]["length"]
    body = start[at + FRAME_BYTES : end]
    return with_index(start[:at] + section(layout.SEGM, struct.pack("<I", 7) + body[4:]) + start[end:], rows)


def tracks(audio: bytes | None = None, time: bytes | None = None, **claims: int) -> bytes:
    """A file of one segment of 3 frames, lost, with sound and frame times; `claims` are of its index."""
    track = AudioTrack(
        codec="A_AAC", private=b"", sample_rate=48000, channels=2, bits=0, time_base=Fraction(1, 48000)
    )
    header = itk_header(has_times=True, audio=track)
    start = head(header)
    counts = Counts(frames=3, tokens=0, map_bytes=0, token_bytes=0, lost=True)
    segm = segment(counts)
    times = section(layout.TIME, pack_times(0, 0, [100, 100, 100]) if time is None else time)
    sound = section(layout.AUDI, pack_audio(0, []) if audio is None else audio)
    lengths = {"time_length": len(times), "audio_length": len(sound), "ticks": 300}
    entry = IndexEntry(counts=counts, offset=len(start), length=len(segm), **lengths)
    names = [name for name, _ in header.index_fields]
    packed = layout.layout_of(header.index_fields)
    row = dict(zip(names, packed.unpack(entry.pack(header.index_fields)), strict=True)) | claims
    body = start + segm + times + sound
    return body + section(layout.INDX, packed.pack(*row.values())) + pack_footer(len(body))


@attack("holds 4294967295 packets")
def packets_of_two_to_the_32() -> bytes:
    return tracks(layout.AUDIO_STRUCT.pack(0, (1 << 32) - 1) + bytes(100))


@attack("packets that do not fill the section")
def packets_longer_than_the_section() -> bytes:
    return tracks(layout.AUDIO_STRUCT.pack(0, 1) + b"\0\0\xff\xff\xff\xff\x7f" + bytes(100))


@attack("an invalid variable-length integer")
def a_number_without_an_end() -> bytes:
    return tracks(layout.AUDIO_STRUCT.pack(0, 1) + b"\xff" * 100)


@attack("a packet at time")
def sound_before_the_big_bang() -> bytes:
    return tracks(layout.AUDIO_STRUCT.pack(0, 1) + b"\xff" * 8 + b"\x7f" + b"\0\0")


@attack("a frame that is shown for no time at all")
def frames_that_go_back_in_time() -> bytes:
    return tracks(time=layout.TIME_STRUCT.pack(0, 0) + b"\x0a\x0d")


@attack("segment 0: ticks .*, allowed are 3..12884901885")
def ticks_of_two_to_the_63() -> bytes:
    return tracks(ticks=1 << 63)


@attack("segment 0: ticks 1152921504606846975, allowed are 3..12884901885")
def a_frame_that_is_shown_for_ages() -> bytes:
    return tracks(ticks=(1 << 60) - 1)


@attack("its times differ from the index")
def an_end_that_the_index_puts_elsewhere() -> bytes:
    return tracks(ticks=1 << 33)


@attack("its known sections take")
def sound_of_four_gigabytes() -> bytes:
    return tracks(audio_length=(1 << 32) - 1)


@attack("bytes too few")
def a_sound_track_that_is_not_there() -> bytes:
    track = AudioTrack(
        codec="A_AAC", private=bytes(9), sample_rate=1, channels=1, bits=0, time_base=Fraction(1)
    )
    payload = itk_header(audio=track).pack()
    return layout.MAGIC + section(layout.HEAD, payload[:-1])


@attack("not in lowest terms")
def a_sound_clock_that_stands() -> bytes:
    track = AudioTrack(codec="A_AAC", private=b"", sample_rate=1, channels=1, bits=0, time_base=Fraction(1))
    payload = bytearray(itk_header(audio=track).pack())
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
