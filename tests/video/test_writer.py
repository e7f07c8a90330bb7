"""Written files, read back: exact size, count and rate, colours, codecs, and what is refused."""

from __future__ import annotations

import os
import sys
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest

from infotok_cli.colour import BT709, RANGE_FULL, RANGE_LIMITED, Colour
from infotok_cli.errors import OutputError, UsageError
from infotok_cli.sound import AudioPacket, AudioTrack
from infotok_cli.video.frame_writer import is_png_folder
from infotok_cli.video.reader import open_video
from infotok_cli.video.video_info import VideoInfo
from infotok_cli.video.writer import VideoWriter
from make_video import Frames, moving_shapes

NTSC = Fraction(30000, 1001)


def read_back(path: Path) -> tuple[VideoInfo, Frames]:
    with open_video(path) as reader:
        return reader.info, np.stack(list(reader.frames()))


def mean_error(one: Frames, other: Frames) -> float:
    return float(np.abs(one.astype(int) - other).mean())


SIZES = [(1, 1), (1, 2), (2, 1), (2, 2), (3, 5), (16, 17), (17, 16), (64, 96), (257, 455)]


@pytest.mark.parametrize(("height", "width"), SIZES)
def test_h264_keeps_every_size(tmp_path: Path, height: int, width: int) -> None:
    source = moving_shapes(5, height, width)
    path = tmp_path / "out.mp4"
    with VideoWriter(path, width, height, NTSC) as writer:
        writer.write(source[:3])
        writer.write(source[3:])
    info, frames = read_back(path)
    assert (info.width, info.height, info.codec) == (width, height, "h264")
    assert frames.shape == source.shape
    # A picture of four pixels shares one colour.
    assert mean_error(frames, source) < (12 if height * width <= 4 else 6)


@pytest.mark.parametrize(
    ("name", "codec", "read_as", "limit"),
    [
        ("out.mp4", "h264", "h264", 4),
        ("out.mov", "libx264", "h264", 4),
        ("out.mp4", "hevc", "hevc", 5),
        ("out.mkv", "hevc", "hevc", 5),
        ("out.mp4", "av1", "libdav1d", 6),
        ("out.webm", None, "vp9", 6),
        ("out.mkv", "ffv1", "ffv1", 0),
        ("out.mp4", "ffv1", "ffv1", 0),
        ("out.avi", None, "h264", 4),
        ("out.avi", "ffv1", "ffv1", 0),
    ],
)
@pytest.mark.parametrize(("height", "width"), [(64, 96), (65, 97)])
def test_codecs(
    tmp_path: Path,
    capfd: pytest.CaptureFixture[str],
    *,
    name: str,
    codec: str | None,
    read_as: str,
    limit: float,
    height: int,
    width: int,
) -> None:
    source = moving_shapes(6, height, width)
    path = tmp_path / name
    with VideoWriter(path, width, height, NTSC, codec=codec) as writer:
        writer.write(source)
    info, frames = read_back(path)
    assert info.codec == read_as
    assert info.frame_rate == NTSC
    assert frames.shape == source.shape
    assert mean_error(frames, source) <= limit
    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize(
    "rate", [NTSC, Fraction(24), Fraction(24000, 1001), Fraction(25, 2), Fraction(1), Fraction(1, 3)]
)
@pytest.mark.parametrize("count", [1, 2, 7, 61])
@pytest.mark.parametrize("suffix", [".mp4", ".mkv", ".avi"])
def test_rate_and_count_are_exact(tmp_path: Path, rate: Fraction, count: int, suffix: str) -> None:
    path = tmp_path / f"out{suffix}"
    with VideoWriter(path, 16, 16, rate) as writer:
        writer.write(moving_shapes(count, 16, 16))
    info, frames = read_back(path)
    assert len(frames) == count
    assert info.frame_rate == rate


@pytest.mark.parametrize("count", [1, 2, 3, 4])
@pytest.mark.parametrize("codec", ["hevc", "av1", "vp9"])
def test_short_videos(tmp_path: Path, codec: str, count: int) -> None:
    path = tmp_path / "out.mp4"
    for _ in range(4):
        with VideoWriter(path, 64, 64, NTSC, codec=codec) as writer:
            writer.write(moving_shapes(count, 64, 64))
        info, frames = read_back(path)
        assert (len(frames), info.frame_rate) == (count, NTSC)
        path.unlink()


@pytest.mark.parametrize("odd_rate", [Fraction(123457, 1000), Fraction(7, 3), Fraction(90000, 3001)])
def test_unusual_rates(tmp_path: Path, odd_rate: Fraction) -> None:
    path = tmp_path / "out.mp4"
    with VideoWriter(path, 16, 16, odd_rate) as writer:
        writer.write(moving_shapes(9, 16, 16))
    assert read_back(path)[0].frame_rate == odd_rate


@pytest.mark.parametrize(
    ("given", "height", "written"),
    [
        (BT709, 64, BT709),
        (Colour(primaries=9, transfer=14, matrix=9, range=RANGE_LIMITED), 64, None),
        (Colour(primaries=6, transfer=6, matrix=6, range=RANGE_FULL), 64, None),
        (Colour(), 64, Colour(matrix=6, range=RANGE_LIMITED)),
        (Colour(), 720, Colour(matrix=1, range=RANGE_LIMITED)),
        (
            Colour(primaries=1, transfer=13, matrix=0, range=RANGE_FULL),
            64,
            Colour(primaries=1, transfer=13, matrix=6, range=RANGE_LIMITED),
        ),
    ],
)
@pytest.mark.parametrize("codec", ["h264", "hevc", "vp9"])
def test_colours_are_tagged_and_converted_alike(
    tmp_path: Path, given: Colour, height: int, written: Colour | None, codec: str
) -> None:
    source = np.zeros((2, height, 64, 3), np.uint8)
    source[:, :, :16] = (220, 30, 40)
    source[:, :, 16:32] = (20, 200, 60)
    source[:, :, 32:48] = (10, 40, 230)
    path = tmp_path / "out.mp4"
    with VideoWriter(path, 64, height, Fraction(25), codec=codec, crf=4, colour=given) as writer:
        writer.write(source)
    info, frames = read_back(path)
    expected = written or given
    assert (info.colour.matrix, info.colour.range) == (expected.matrix, expected.range)
    if codec != "vp9":
        assert info.colour == expected
    for left in range(0, 64, 16):
        assert mean_error(frames[:, :, left + 4 : left + 12], source[:, :, left + 4 : left + 12]) < 3


def test_sample_aspect_is_kept(tmp_path: Path) -> None:
    path = tmp_path / "out.mp4"
    with VideoWriter(path, 64, 48, Fraction(25), sample_aspect=Fraction(16, 15)) as writer:
        writer.write(moving_shapes(2, 48, 64))
    assert read_back(path)[0].sample_aspect == Fraction(16, 15)


def test_quality_number_changes_the_size(tmp_path: Path) -> None:
    sizes = []
    for crf in (10, 40):
        path = tmp_path / f"{crf}.mp4"
        with VideoWriter(path, 64, 64, Fraction(25), crf=crf) as writer:
            writer.write(moving_shapes(8, 64, 64))
        sizes.append(path.stat().st_size)
    assert sizes[0] > 2 * sizes[1]


@pytest.mark.parametrize(
    ("name", "codec", "crf", "message"),
    [
        ("out.mp4", "h265", None, "codec 'h265' is not available: choose h264, hevc, av1, vp9, ffv1"),
        ("out.mp4", "aac", None, "codec 'aac' is for audio: choose h264"),
        ("out.webm", "h264", None, "a .webm file cannot hold libx264: choose .mkv"),
        ("out.webm", "hevc", None, "a .webm file cannot hold libx265: choose .mkv"),
        ("out.jpg", None, None, r"cannot write a .jpg file: choose .mp4"),
        ("out", None, None, r"cannot write a nameless file: choose .mp4"),
        ("out.mkv", "ffv1", 18, "codec ffv1 has no quality setting"),
    ],
)
def test_wrong_combinations(
    tmp_path: Path, name: str, codec: str | None, crf: int | None, message: str
) -> None:
    with pytest.raises(UsageError, match=message):
        VideoWriter(tmp_path / name, 64, 64, Fraction(25), codec=codec, crf=crf)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(("codec", "side"), [("hevc", 4), ("av1", 2)])
def test_size_that_a_codec_cannot_write(
    tmp_path: Path, capfd: pytest.CaptureFixture[str], codec: str, side: int
) -> None:
    with pytest.raises(
        UsageError, match=rf"cannot (write|be trusted with) {side}x{side} pixels.*: choose h264"
    ):
        VideoWriter(tmp_path / "out.mp4", side, side, Fraction(25), codec=codec)
    assert list(tmp_path.iterdir()) == []
    assert capfd.readouterr() == ("", "")


def test_encoder_by_its_ffmpeg_name(tmp_path: Path) -> None:
    source = moving_shapes(6, 64, 96)
    with VideoWriter(tmp_path / "out.mp4", 96, 64, NTSC, codec="mpeg4") as writer:
        writer.write(source)
    info, frames = read_back(tmp_path / "out.mp4")
    assert info.codec == "mpeg4"
    assert mean_error(frames, source) < 8


def test_odd_size_that_a_codec_cannot_write(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="codec mpeg4 cannot write odd sizes"):
        VideoWriter(tmp_path / "out.mp4", 65, 64, Fraction(25), codec="mpeg4")


def test_folder_that_is_not_there(tmp_path: Path) -> None:
    path = tmp_path / "none" / "out.mp4"
    with pytest.raises(OutputError, match=f"{path}: cannot be written \\(No such file"):
        VideoWriter(path, 64, 64, Fraction(25))


@pytest.mark.skipif(os.geteuid() == 0, reason="root writes everywhere")
def test_folder_that_may_not_be_written(tmp_path: Path) -> None:
    tmp_path.chmod(0o500)
    with pytest.raises(OutputError, match="Permission denied"):
        VideoWriter(tmp_path / "out.mp4", 64, 64, Fraction(25))


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs /dev/full")
@pytest.mark.parametrize("frames", [2, 200])
@pytest.mark.parametrize("suffix", [".mp4", ".mkv"])
def test_full_disk(tmp_path: Path, suffix: str, frames: int) -> None:
    path = tmp_path / f"out{suffix}"
    path.symlink_to("/dev/full")
    noise = np.random.default_rng(0).integers(0, 256, (frames, 64, 64, 3)).astype(np.uint8)
    with (
        pytest.raises(OutputError, match="No space left on device"),
        VideoWriter(path, 64, 64, Fraction(25), crf=1) as writer,
    ):
        writer.write(noise)


def test_no_frames(tmp_path: Path) -> None:
    with (
        pytest.raises(OutputError, match="no frames"),
        VideoWriter(tmp_path / "out.mp4", 64, 64, Fraction(25)),
    ):
        pass


def test_wrong_picture_is_a_programming_error(tmp_path: Path) -> None:
    with (
        pytest.raises(ValueError, match="the video is uint8"),
        VideoWriter(tmp_path / "o.mp4", 64, 64, Fraction(25)) as out,
    ):
        out.write(np.zeros((1, 64, 63, 3), np.uint8))


@pytest.mark.parametrize(
    ("name", "expected"),
    [("frames/", True), ("frames", True), ("a.b/", True), ("out.mp4", False), ("d/out.mkv", False)],
)
def test_is_png_folder(name: str, expected: bool) -> None:
    assert is_png_folder(name) is expected


def test_times_that_ffmpeg_cannot_count_are_an_output_error(tmp_path: Path) -> None:
    track = AudioTrack(
        codec="A_AAC", private=b"\x11\x90", sample_rate=48000, channels=2, bits=0, time_base=Fraction(3600)
    )
    with VideoWriter(tmp_path / "a.mkv", 16, 16, Fraction(25), audio=track) as writer:
        writer.write(np.zeros((1, 16, 16, 3), np.uint8))
        with pytest.raises(OutputError, match=r"a.mkv: cannot be written: times are out of range"):
            writer.write_audio([AudioPacket(1 << 70, 0, b"x")])


def test_avi_has_one_frame_rate(tmp_path: Path) -> None:
    pictures = moving_shapes(4, 16, 16)
    tick = Fraction(1, 1000)
    with VideoWriter(tmp_path / "a.avi", 16, 16, Fraction(25), tick=tick) as writer:
        writer.write(pictures, [0, 40, 80, 120])
    info, frames = read_back(tmp_path / "a.avi")
    assert (info.frame_rate, len(frames)) == (25, 4)
    with (
        pytest.raises(UsageError, match=r"frame 2 is shown at 0.0900 s, and AVI has one frame rate only"),
        VideoWriter(tmp_path / "b.avi", 16, 16, Fraction(25), tick=tick) as writer,
    ):
        writer.write(pictures, [0, 40, 90, 120])


@pytest.mark.skipif(
    not sys.platform.startswith("linux") or os.geteuid() != 0, reason="only root may take real-time priority"
)
def test_av1_leaves_priorities_as_they_are(tmp_path: Path) -> None:
    before = os.sched_getscheduler(0)
    with VideoWriter(tmp_path / "a.mkv", 64, 64, Fraction(25), codec="av1") as writer:
        writer.write(np.zeros((2, 64, 64, 3), np.uint8))
        threads = [int(name) for name in os.listdir("/proc/self/task")]
        assert len(threads) > 1
        assert {os.sched_getscheduler(thread) for thread in threads} == {before}
