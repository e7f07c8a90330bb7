"""Cut, concat and repair: the frames shown are those of the whole file, and no model is asked."""

from __future__ import annotations

import re
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from infotok_cli.colour import Colour
from infotok_cli.container.input_file import InputFile
from infotok_cli.container.reader import ItkReader
from infotok_cli.errors import InputError, UsageError
from infotok_cli.itk import edit
from infotok_cli.itk.edit import concat_files, cut_file, repair_file
from infotok_cli.itk.flat import export_file, import_file
from infotok_cli.itk.token_file import TokenFile
from infotok_cli.motion import STILL
from make_itk import Plan, itk_bytes, itk_header

Shown = Callable[..., Any]

RATE = Fraction(30000, 1001)
PLANS = [Plan(8), Plan(8), Plan(8), Plan(3)]
FRAMES = 27


@pytest.fixture
def film(tmp_path: Path) -> Path:
    path = tmp_path / "film.itk"
    path.write_bytes(itk_bytes(PLANS, itk_header()))
    return path


def seconds(frame: int) -> float:
    return float(frame / RATE)


def test_every_cut_shows_the_frames_of_the_whole(film: Path, shown: Shown) -> None:
    whole = shown(film)
    assert len(whole) == FRAMES
    target = film.with_name("part.itk")
    for first in range(FRAMES):
        for last in range(first + 1, FRAMES + 1, 3):
            report = cut_file(
                film, target, start_seconds=seconds(first), end_seconds=seconds(last), overwrite=True
            )
            assert report.frames == last - first
            assert np.array_equal(shown(target), whole[first:last])
            end_of_segment = min(FRAMES, -(-last // 8) * 8)
            assert report.hidden_frames == first % 8 + end_of_segment - last
            with ItkReader(target) as reader:
                reader.verify()
                assert len(reader.index) == -(-last // 8) - first // 8


@given(st.lists(st.integers(1, FRAMES - 1), unique=True, max_size=6).map(sorted))
@settings(max_examples=30, deadline=None)
def test_parts_join_to_the_very_file(tmp_path_factory: pytest.TempPathFactory, places: list[int]) -> None:
    folder = tmp_path_factory.mktemp("parts")
    film = folder / "film.itk"
    film.write_bytes(itk_bytes(PLANS, itk_header(allocation="position")))
    parts = []
    for first, last in zip([0, *places], [*places, FRAMES], strict=True):
        parts.append(folder / f"{first}.itk")
        cut_file(film, parts[-1], start_seconds=seconds(first), end_seconds=seconds(last))
    concat_files(parts, folder / "again.itk")
    assert (folder / "again.itk").read_bytes() == film.read_bytes()


def test_motion_goes_with_its_segment(film: Path) -> None:
    """Through a cut, a join and a repair."""
    parts = [film.with_name("1.itk"), film.with_name("2.itk")]
    cut_file(film, parts[0], end_seconds=seconds(11))
    cut_file(film, parts[1], start_seconds=seconds(16))
    concat_files(parts, film.with_name("joined.itk"))
    data = film.with_name("joined.itk").read_bytes()
    repair_file(data[: data.index(b"INDX")], film.with_name("repaired.itk"))
    with TokenFile(film) as whole, TokenFile(film.with_name("repaired.itk")) as again:
        assert len(again.segments) == len(whole.segments)
        for number in range(len(whole.segments)):
            motion = whole.motion_map(number)
            assert (motion != STILL).any()
            assert np.array_equal(again.motion_map(number), motion)


def test_segments_that_move_in_another_way_are_not_joined(film: Path) -> None:
    """They differ in nothing but one vector, in payloads of the same length."""
    film.write_bytes(itk_bytes([Plan(8)], itk_header()))
    flat, other, target = film.with_name("flat.npy"), film.with_name("other.itk"), film.with_name("x.itk")
    export_file(film, flat)
    ids = np.load(flat)
    vector = np.flatnonzero((ids >= 65_024) & (ids < 65_249))[-1]
    with ItkReader(film) as reader:
        size = reader.index[0].counts.motion_bytes
    for number in range(225):
        ids[vector] = 65_024 + number
        np.save(flat, ids)
        if number == STILL:
            continue
        import_file(flat, other, overwrite=True)
        with ItkReader(other) as reader:
            if reader.index[0].counts.motion_bytes == size and other.read_bytes() != film.read_bytes():
                break
    else:
        pytest.fail("every other vector changes the length")
    parts = [film.with_name("1.itk"), film.with_name("2.itk")]
    cut_file(film, parts[0], end_seconds=seconds(5))
    for source, segments in ((film, 1), (other, 2)):
        cut_file(source, parts[1], start_seconds=seconds(5), overwrite=True)
        assert concat_files(parts, target, overwrite=True).segments == segments


def test_a_cut_of_a_cut(film: Path, shown: Shown) -> None:
    first, second = film.with_name("1.itk"), film.with_name("2.itk")
    cut_file(film, first, start_seconds=seconds(3), end_seconds=seconds(22))
    cut_file(first, second, start_seconds=seconds(2), end_seconds=seconds(4))
    assert np.array_equal(shown(second), shown(film)[5:7])
    with ItkReader(second) as reader:
        assert (reader.index[0].counts.trim_start, reader.index[0].counts.trim_end) == (5, 1)


def test_join_in_any_order_and_twice(film: Path, shown: Shown) -> None:
    other = film.with_name("other.itk")
    other.write_bytes(itk_bytes([Plan(4), Plan(2)], itk_header(segment_frames=4, router="fixed"), seed=1))
    target = film.with_name("joined.itk")
    report = concat_files([other, film, other], target)
    assert np.array_equal(shown(target), np.concatenate([shown(other), shown(film), shown(other)]))
    assert (report.segments, report.frames) == (8, 39)
    with ItkReader(target) as reader:
        assert (reader.header.segment_frames, reader.header.router) == (8, "fixed")
    full = film.with_name("full.itk")
    cut_file(film, full, end_seconds=seconds(16))
    concat_files([full, film], target, overwrite=True)
    assert np.array_equal(shown(target), np.concatenate([shown(film)[:16], shown(film)]))


@pytest.mark.parametrize(
    "changes",
    [
        {"width": 32},
        {"frame_rate": Fraction(25)},
        {"allocation": "position"},
        {"model_sha256": bytes(32)},
        {"levels": (8, 8)},
        {"sample_aspect": Fraction(4, 3)},
        {"colour": Colour(matrix=1)},
    ],
)
def test_files_that_differ_are_not_joined(film: Path, changes: dict[str, Any]) -> None:
    other, target = film.with_name("other.itk"), film.with_name("joined.itk")
    other.write_bytes(itk_bytes([Plan(8)], itk_header(**changes)))
    name = next(iter(changes)).replace("_", " ")
    with pytest.raises(InputError, match=f"other.itk: {name} is"):
        concat_files([film, other], target)
    assert not target.exists()


def test_a_file_that_changes_while_it_is_joined(film: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Files are read again once the last one has been looked at: what is no longer the same is refused."""
    other, target = film.with_name("other.itk"), film.with_name("joined.itk")
    other.write_bytes(film.read_bytes())
    same = edit._check_same

    def changed(first: ItkReader, second: ItkReader) -> None:
        same(first, second)
        film.write_bytes(itk_bytes(PLANS, itk_header(), seed=1))

    monkeypatch.setattr(edit, "_check_same", changed)
    with pytest.raises(InputError, match=r"film.itk: segment 0 .* differs"):
        concat_files([film, other], target)
    monkeypatch.setattr(edit, "_check_same", lambda first, second: film.unlink())
    with pytest.raises(InputError, match=r"film.itk: does not exist"):
        concat_files([film, other], target)
    assert not target.exists()


def test_nothing_to_cut(film: Path) -> None:
    with pytest.raises(UsageError, match="no frame lies between"):
        cut_file(film, film.with_name("x.itk"), start_seconds=1)


def damaged(path: Path, number: int) -> None:
    with ItkReader(path) as reader:
        at = reader.index[number].offset + reader.index[number].length - 1
    data = bytearray(path.read_bytes())
    data[at] ^= 1
    path.write_bytes(data)


def test_a_damaged_segment_is_not_copied_on(film: Path, shown: Shown) -> None:
    damaged(film, 1)
    target = film.with_name("part.itk")
    with pytest.raises(InputError, match=r"segment 1 \(0\.267 s to 0\.534 s"):
        cut_file(film, target, start_seconds=seconds(7), end_seconds=seconds(9))
    assert not target.exists()
    cut_file(film, target, end_seconds=seconds(8))
    assert len(shown(target)) == 8


def test_skipping_repeats_the_last_good_frame_and_keeps_the_length(film: Path, shown: Shown) -> None:
    whole = shown(film)
    damaged(film, 1)
    damaged(film, 2)
    lost: list[str] = []
    got = shown(film, None, lost)
    assert len(got) == FRAMES
    assert np.array_equal(got[:8], whole[:8])
    assert np.array_equal(got[24:], whole[24:])
    assert (got[8:24] == whole[7]).all()
    place = r"segment 1 \(0\.267 s to 0\.534 s, byte \d+\) is damaged, checksum differs"
    assert re.fullmatch(f"{place}: a good frame stands for its 8 frames", lost[0])
    assert len(lost) == 2
    # A part shows the same as that part of the whole, also when it starts in the damage.
    for wanted in (range(9, 26), range(3, 12), range(17, 18)):
        assert np.array_equal(shown(film, wanted, []), got[wanted.start : wanted.stop])


def test_damage_at_the_start_shows_the_first_good_frame(film: Path, shown: Shown) -> None:
    whole = shown(film)
    damaged(film, 0)
    got = shown(film, None, [])
    assert (got[:8] == whole[8]).all()
    assert np.array_equal(got[8:], whole[8:])
    for number in (1, 2, 3):
        damaged(film, number)
    with pytest.raises(InputError, match="no segment that can be decoded"):
        shown(film, None, [])


def test_repair_of_a_lost_index_gives_the_same_file(film: Path) -> None:
    whole = film.read_bytes()
    target = film.with_name("whole.itk")
    with ItkReader(film) as reader:
        end = reader.index[3].offset + reader.index[3].length
    for data in (
        whole[:end],
        whole[: end + 9],
        whole[:end] + b"junk" * 9,
        whole[:-1],
        whole[:-30] + whole[-29:],
    ):
        film.write_bytes(data)
        with pytest.raises(InputError):
            ItkReader(film)
        report = repair_file(film, target, overwrite=True)
        assert len(report.notes) == 1
        assert target.read_bytes() == whole
    film.write_bytes(whole)
    assert repair_file(film, target, overwrite=True).notes == ()
    assert target.read_bytes() == whole


@pytest.mark.parametrize("with_index", [True, False])
def test_repair_keeps_times(film: Path, shown: Shown, with_index: bool) -> None:
    whole = shown(film)
    damaged(film, 1)
    if not with_index:
        film.write_bytes(film.read_bytes()[:-25])
    target = film.with_name("repaired.itk")
    report = repair_file(film, target)
    assert (report.frames, report.lost_frames) == (FRAMES, 8)
    with ItkReader(target) as reader:
        reader.verify()
        assert [entry.counts.lost for entry in reader.index] == [False, True, False, False]
    with pytest.raises(InputError, match=r"segment 1 \(0\.267 s to 0\.534 s\) is lost"):
        shown(target)
    got = shown(target, None, [])
    assert np.array_equal(got[16:], whole[16:])
    assert (got[8:16] == whole[7]).all()
    # Lost frames can be cut and joined as others.
    parts = [film.with_name("a.itk"), film.with_name("b.itk")]
    cut_file(target, parts[0], end_seconds=seconds(11))
    cut_file(target, parts[1], start_seconds=seconds(11))
    concat_files(parts, target, overwrite=True)
    assert np.array_equal(shown(target, None, []), got)


def test_repair_of_a_truncated_file_keeps_all_whole_segments(film: Path, shown: Shown) -> None:
    frames, whole = shown(film), film.read_bytes()
    with ItkReader(film) as reader:
        places = [(entry.offset, entry.offset + entry.length) for entry in reader.index]
    for number, (start, end) in enumerate(places[1:], start=1):
        film.write_bytes(whole[: (start + end) // 2])
        target = film.with_name("rest.itk")
        report = repair_file(film, target, overwrite=True)
        assert "truncated" in report.notes[0]
        assert np.array_equal(shown(target), frames[: 8 * number])


def test_only_what_is_shown_is_read(film: Path, monkeypatch: pytest.MonkeyPatch, engine: Any) -> None:
    """Bytes read for a range: magic, header, index, footer and the segments that show it, each once."""
    from infotok_cli.codec.decode_segments import decoded_segments

    film.write_bytes(itk_bytes([Plan(8)] * 40, itk_header()))
    read: list[tuple[int, int]] = []
    plain = InputFile.read

    def counted(self: InputFile, offset: int, length: int) -> bytes:
        read.append((offset, length))
        return plain(self, offset, length)

    monkeypatch.setattr(InputFile, "read", counted)
    with ItkReader(film) as reader:
        opening, whole = sum(length for _, length in read), reader.size_bytes
        entries = list(reader.index)
        assert opening < whole - sum(entry.length for entry in entries) + 24
        for wanted, numbers in ((range(83, 90), {10, 11}), (range(88, 96), {11}), (range(319, 320), {39})):
            read.clear()
            list(decoded_segments(reader, engine, wanted))
            assert sum(length for _, length in read) == sum(entries[n].length for n in numbers)
            assert {offset for offset, _ in read} == {entries[n].offset for n in numbers}


def test_no_step_after_the_last_that_is_shown_is_decoded(film: Path, engine: Any) -> None:
    """Of a segment that ends later, and of one that a cut ends earlier."""
    from infotok_cli.codec.decode_segments import decoded_segments

    film.write_bytes(itk_bytes([Plan(32)] * 2, itk_header(segment_frames=32)))
    with ItkReader(film) as reader:
        parts = list(decoded_segments(reader, engine, range(5, 38)))
        assert [len(part) for part in parts] == [3, 4, 4, 4, 4, 4, 4, 4, 2]
        assert engine.steps == 8 + 2
    cut = film.with_name("cut.itk")
    cut_file(film, cut, start_seconds=seconds(9), end_seconds=seconds(14), overwrite=True)
    engine.steps = 0
    with ItkReader(cut) as reader:
        assert [len(part) for part in decoded_segments(reader, engine, range(5))] == [3, 2]
        assert engine.steps == 4
