"""Anchors: the same frames, real container bytes, honest refusals."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest
from numpy.typing import NDArray

from infotok_cli.codec.options import EncodeOptions
from infotok_cli.colour import BT709
from infotok_cli.errors import InputError, UsageError
from infotok_cli.evaluate import anchors
from infotok_cli.evaluate.anchors import ANCHORS, anchor_writer, check_anchor, find_anchor, with_keyframes
from infotok_cli.evaluate.measure import measure_anchor
from infotok_cli.metrics import psnr
from infotok_cli.video.reader import open_video
from make_video import make_video, moving_shapes


@pytest.fixture(scope="module")
def clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("clip") / "clip.mkv"
    return make_video(path, moving_shapes(12, 66, 98), rate=Fraction(25))


@pytest.mark.parametrize("name", ANCHORS)
def test_figures_are_those_of_the_file(name: str, clip: Path, tmp_path: Path) -> None:
    options = EncodeOptions(start_seconds=0.08, end_seconds=0.4)
    row = measure_anchor(clip, ANCHORS[name], 35, options, segment_frames=4)
    with open_video(clip) as video:
        source = np.stack(list(video.frames(0.08, 0.4)))
        rate, colour = video.info.frame_rate, video.info.colour
    path = tmp_path / "again.mkv"
    with anchor_writer(ANCHORS[name], 35, path, size=(98, 66), rate=rate, colour=colour) as writer:
        writer.write(source)
    with open_video(path) as video:
        shown = np.stack(list(video.frames()))
    assert (row.frames, row.width, row.height) == (8, 98, 66)
    assert row.size_bytes == path.stat().st_size
    assert row.bpp == pytest.approx(8 * row.size_bytes / (8 * 66 * 98))
    assert row.psnr_db == pytest.approx(float(psnr(source, shown).mean()))
    assert row.psnr_db > 25
    assert row.seams.seams == 1
    assert (row.codec, row.crf, row.model, row.tokens) == (name, 35, None, None)


@pytest.mark.parametrize("name", ["x264", "x265", "svt-av1"])
def test_a_higher_crf_is_smaller_and_worse(name: str, clip: Path) -> None:
    rows = [
        measure_anchor(clip, ANCHORS[name], crf, EncodeOptions(), segment_frames=8) for crf in (20, 35, 50)
    ]
    assert sorted(rows, key=lambda row: -row.size_bytes) == rows
    assert sorted(rows, key=lambda row: -row.psnr_db) == rows
    assert len({row.size_bytes for row in rows}) == 3


@pytest.mark.parametrize("name", ["x264", "x265", "svt-av1"])
def test_odd_sizes_come_back_whole(name: str, tmp_path: Path) -> None:
    path = make_video(tmp_path / "odd.mkv", moving_shapes(5, 67, 81), codec="ffv1", pixel_format="bgr0")
    row = measure_anchor(path, ANCHORS[name], 30, EncodeOptions(), segment_frames=4)
    assert (row.width, row.height, row.frames) == (81, 67, 5)
    small = measure_anchor(path, ANCHORS[name], 30, EncodeOptions(short_side=65), segment_frames=4)
    assert (small.width, small.height) == (79, 65)


@pytest.mark.parametrize("name", ["x264", "x265", "svt-av1"])
def test_the_same_frames_make_the_same_file(name: str, tmp_path: Path) -> None:
    """With its default instructions x264 does not do that on processors with AVX-512."""
    contents = set()
    for attempt in range(6):
        path = tmp_path / f"{attempt}.mkv"
        rate = Fraction(25)
        with anchor_writer(ANCHORS[name], 35, path, size=(106, 64), rate=rate, colour=BT709) as writer:
            writer.write(moving_shapes(8, 64, 106))
        with open_video(path) as video:
            contents.add(b"".join(frame.tobytes() for frame in video.frames()))
    assert len(contents) == 1
    assert len({path.stat().st_size for path in tmp_path.iterdir()}) == 1


@pytest.mark.parametrize("name", ["x264", "x265", "svt-av1"])
def test_keyframes_are_where_they_should_be(name: str, tmp_path: Path) -> None:
    still = np.repeat(moving_shapes(1, 64, 106), 30, axis=0)
    assert keyframes(name, still, tmp_path / "own.mkv") == [0]
    every_8 = with_keyframes(ANCHORS[name], 8).name
    assert keyframes(every_8, still, tmp_path / "every-8.mkv") == [0, 8, 16, 24]
    assert (tmp_path / "every-8.mkv").stat().st_size > (tmp_path / "own.mkv").stat().st_size


def keyframes(name: str, frames: NDArray[np.uint8], path: Path) -> list[int]:
    """Numbers of the frames at which packets are marked as keys, written by the anchor of this name."""
    height, width = frames.shape[1:3]
    rate = Fraction(25)
    with anchor_writer(find_anchor(name), 35, path, size=(width, height), rate=rate, colour=BT709) as writer:
        writer.write(frames)
    with av.open(str(path)) as container:
        keys = [packet for packet in container.demux(video=0) if packet.size and packet.is_keyframe]
    return [round(float((packet.pts or 0) * packet.time_base * rate)) for packet in keys]


@pytest.mark.parametrize("name", ["x264", "x265", "svt-av1"])
def test_nothing_after_a_keyframe_needs_what_is_before_it(name: str, tmp_path: Path) -> None:
    """A decoder that gets the packets from the second keyframe on shows what it shows of the whole file."""
    path = tmp_path / "clip.mkv"
    keyframes(f"{name}-keyint8", moving_shapes(20, 64, 106), path)
    whole, rest = decoded(path), decoded(path, first_key=1)
    assert (len(whole), len(rest)) == (20, 12)
    assert np.array_equal(whole[8:], rest)


def decoded(path: Path, first_key: int = 0) -> NDArray[np.uint8]:
    """Frames as they are coded, from the packets of a keyframe on, counted from 0."""
    shown, seen = [], -1
    with av.open(str(path)) as container:
        for packet in container.demux(video=0):
            seen += packet.size > 0 and packet.is_keyframe
            if seen >= first_key:
                shown += [frame.to_ndarray() for frame in packet.decode()]
    return np.stack(shown)


def test_a_name_says_how_often_keyframes_come(clip: Path) -> None:
    anchor = find_anchor("x265-psnr-keyint32")
    assert anchor == with_keyframes(ANCHORS["x265-psnr"], 32)
    assert set(anchor.options) > set(ANCHORS["x265-psnr"].options)
    for name in ("x264-keyint0", "x264-keyint", "vp8-keyint8", "x264-keyint999999", "x264-keyint8-keyint8"):
        with pytest.raises(UsageError, match=f"'{name}' is unknown: choose x264"):
            find_anchor(name)
    row = measure_anchor(clip, find_anchor("x264-keyint4"), 35, EncodeOptions(), segment_frames=4)
    assert row.codec == "x264-keyint4"
    assert row.encoder is not None
    assert " g=4 flags=+cgop (" in row.encoder


def test_x265_is_not_given_what_it_cannot_take(tmp_path: Path) -> None:
    path = make_video(tmp_path / "narrow.mkv", moving_shapes(2, 96, 48))
    with pytest.raises(InputError, match=r"narrow\.mkv|48x96 pixels are too few for x265"):
        measure_anchor(path, ANCHORS["x265"], 30, EncodeOptions(), segment_frames=4)


def test_missing_and_unknown_anchors_are_named(monkeypatch: pytest.MonkeyPatch) -> None:
    assert check_anchor("x265") is ANCHORS["x265"]
    with pytest.raises(UsageError, match="'vvc' is unknown: choose x264, x265, svt-av1"):
        check_anchor("vvc")
    monkeypatch.setattr(anchors, "has_encoder", lambda name: name != "libsvtav1")
    check_anchor("x264")
    with pytest.raises(UsageError, match="svt-av1: this PyAV has no encoder for av1"):
        check_anchor("svt-av1")
