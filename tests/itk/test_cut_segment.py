"""Files and streams that end inside a segment: its whole latent steps are there, and nothing else of it."""

from __future__ import annotations

import io

import numpy as np
import pytest

from infotok_cli.container.reader import ItkReader
from infotok_cli.container.stream import ItkStream
from infotok_cli.errors import InputError
from infotok_cli.itk.cut_segment import segments_and_cut, show_cut_segment
from infotok_cli.itk.edit import repair_file
from infotok_cli.itk.keep_maps import noted_damage
from infotok_cli.itk.report import stats_of
from infotok_cli.itk.token_file import TokenFile
from infotok_cli.itk.tokens import unpack_tokens
from infotok_cli.segment_tokens import Tokens
from make_itk import Plan, itk_bytes, itk_header

HEADER = itk_header(allocation="position")
PLANS = [Plan(8, rate=1), Plan(8, trim_start=5, rate=1), Plan(7, rate=1)]
WHOLE = itk_bytes(PLANS, HEADER)
POSITIONS = 2 * 3
"""Of a latent step."""


def tokens_of(reader: ItkReader, number: int) -> Tokens:
    return unpack_tokens(reader, reader.read_segment(number), None)


def cut_at(number: int, tokens: int) -> bytes:
    """The file up to the second byte of the id of a segment's token."""
    with ItkReader(WHOLE) as reader:
        end = reader.index[number].offset + reader.index[number].length
        return WHOLE[: end - 2 * reader.index[number].counts.tokens + 2 * tokens + 1]


@pytest.mark.parametrize(
    ("number", "tokens", "shown"),
    [
        (2, 2 * POSITIONS, 4),
        (2, 2 * POSITIONS - 1, 0),
        (2, POSITIONS, 0),  # the lead alone
        (2, 3 * POSITIONS - 1, 4),
        (1, 2 * POSITIONS, 0),  # the first 5 frames are not shown
        (0, 0, 0),
    ],
)
def test_whole_steps_are_shown(number: int, tokens: int, shown: int) -> None:
    with ItkReader(WHOLE) as reader:
        expected, before = tokens_of(reader, number), int(reader.index.starts[number])
    data = cut_at(number, tokens)
    with ItkReader(data, recover=True) as reader:
        if not before + shown:
            with pytest.raises(InputError, match="ends before its first latent step"):
                show_cut_segment(reader, None)
            return
        show_cut_segment(reader, None)
        show_cut_segment(reader, None)  # once more changes nothing
        assert reader.total_frames == before + shown
        notes = noted_damage(reader)
        assert "is truncated" in notes[0]
        assert len(notes) == 1 + (shown > 0)
        if shown:
            assert f"segment {number} (" in notes[1]
            assert f"is cut short: {shown} frames of it are shown" in notes[1]
            found = tokens_of(reader, number)
            assert np.array_equal(found.keep, expected.keep)
            assert np.array_equal(found.motion, expected.motion)
            steps = 1 + -(-(PLANS[number].trim_start + shown) // 4)
            whole = int(found.keep[:steps].sum())
            assert np.array_equal(found.ids[:whole], expected.ids[:whole])


def test_no_step_is_shown_where_a_map_is_not_whole() -> None:
    """Nor where it is no code of one: no checksum covers the start of a section alone."""
    whole = itk_bytes([Plan(8), Plan(8), Plan(7)], HEADER)
    with ItkReader(whole) as reader:
        entry = reader.index[2]
    assert min(entry.counts.map_bytes, entry.counts.motion_bytes) > 0
    end = entry.offset + entry.length
    ids_at = end - entry.counts.token_bytes
    for length, is_there in ((ids_at, True), (ids_at - 1, False)):
        with ItkReader(whole[:length], recover=True) as reader:
            assert (reader.cut is not None) == is_there
    for map_end in (ids_at - entry.counts.motion_bytes, ids_at):
        changed = bytearray(whole[: end - 1])
        changed[map_end - 1] = 0
        with ItkReader(bytes(changed), recover=True) as reader:
            assert reader.cut is not None
            show_cut_segment(reader, None)
            assert len(reader.index) == 2
        segments = segments_and_cut(ItkStream(io.BytesIO(changed), "pipe"), None)
        assert [next(segments).segment.number for _ in range(2)] == [0, 1]
        with pytest.raises(InputError, match="truncated"):
            next(segments)


def test_a_stream_shows_them_before_it_fails() -> None:
    with ItkReader(WHOLE) as reader:
        expected = list(reader.segments())
    data = cut_at(2, 2 * POSITIONS)
    stream = ItkStream(io.BytesIO(data), "pipe")
    segments = segments_and_cut(stream, None)
    found = [next(segments).segment for _ in range(3)]
    with pytest.raises(InputError, match=r"pipe: is truncated at byte .* with 2 whole segments before"):
        next(segments)
    assert found[:2] == expected[:2]
    assert (found[2].number, found[2].trim_end) == (2, 3)
    tokens = unpack_tokens(stream, found[2], None)
    assert len(tokens.ids) == 3 * POSITIONS
    assert np.array_equal(tokens.motion, tokens_of(ItkReader(WHOLE), 2).motion)


def test_a_changed_byte_in_a_stream_is_not_taken_for_its_end() -> None:
    with ItkReader(WHOLE) as reader:
        at = reader.index[1].offset + reader.index[1].length - 1
    data = bytearray(WHOLE)
    data[at] ^= 1
    segments = segments_and_cut(ItkStream(io.BytesIO(data), "pipe"), None)
    assert next(segments).segment.number == 0
    with pytest.raises(InputError, match="checksum differs"):
        next(segments)


def test_a_report_counts_what_is_there() -> None:
    data = cut_at(2, 2 * POSITIONS)
    with ItkReader(data, recover=True) as reader:
        show_cut_segment(reader, None)
        sizes = stats_of("cut.itk", reader).file.bytes
    assert min(sizes.header, sizes.map, sizes.tokens, sizes.index) >= 0
    assert sizes.motion > 0
    assert sizes.header + sizes.map + sizes.motion + sizes.tokens + sizes.index == len(data)


def test_an_api_file_needs_a_whole_segment() -> None:
    with pytest.raises(InputError, match="has no whole segment left"):
        TokenFile(cut_at(0, POSITIONS), recover=True)


def test_an_index_that_is_whole_ends_the_search() -> None:
    """Also where something that looks like a segment follows."""
    with ItkReader(WHOLE) as reader:
        index_at = reader.index[2].offset + reader.index[2].length
        start = reader.index[2].offset
    shown = 8 + 3 + 7
    like = bytearray(WHOLE[start : index_at - 1])
    like[12:16] = shown.to_bytes(4, "little")
    footer = 28
    data = WHOLE[:-footer] + bytes(like)
    with ItkReader(data, recover=True) as reader:
        show_cut_segment(reader, None)
        assert reader.total_frames == shown


def test_times_of_a_cut_segment_are_spread_evenly_in_a_stream_as_in_a_file() -> None:
    header = itk_header(has_times=True)
    whole = itk_bytes(PLANS, header)
    with ItkReader(whole) as reader:
        entry = reader.index[2]
        in_last_id, times_at = entry.offset + entry.length - 1, entry.offset + entry.length
    for end in (in_last_id, times_at, times_at + entry.time_length - 1):
        with ItkReader(whole[:end], recover=True) as reader:
            show_cut_segment(reader, None)
            expected = reader.times_at_any_rate(2)
            frames = reader.index[2].counts.shown
        segments = segments_and_cut(ItkStream(io.BytesIO(whole[:end]), "pipe"), None)
        *_, last = (next(segments) for _ in range(3))
        assert last.segment.counts.shown == frames
        assert list(last.durations) == expected
        with pytest.raises(InputError, match="truncated"):
            next(segments)


def test_damaged_times_of_a_stream_are_not_its_end() -> None:
    whole = bytearray(itk_bytes(PLANS, itk_header(has_times=True)))
    with ItkReader(bytes(whole)) as reader:
        entry = reader.index[1]
    whole[entry.offset + entry.length + entry.time_length - 1] ^= 1
    segments = segments_and_cut(ItkStream(io.BytesIO(whole), "pipe"), None)
    assert next(segments).segment.number == 0
    with pytest.raises(InputError, match="checksum differs"):
        next(segments)


def test_a_repair_leaves_them_out() -> None:
    """It copies payloads, and there is no whole one."""
    target = io.BytesIO()
    repair_file(cut_at(2, POSITIONS), target)
    with ItkReader(target.getvalue()) as reader:
        assert len(reader.index) == 2
    with pytest.raises(InputError, match="has no whole segment left"):
        repair_file(cut_at(0, 1), io.BytesIO())
