"""Reading through real files: sizes, pixel formats, colours, orientation, containers, rates."""

from __future__ import annotations

import struct
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from infotok_cli.colour import RANGE_FULL, RANGE_LIMITED, Colour
from infotok_cli.errors import InputError
from infotok_cli.video.pipe import PipeReader
from infotok_cli.video.reader import open_video
from infotok_cli.video.source import Source
from make_media import make_media, without_default_duration
from make_video import Frames, make_image, make_planes, make_video, moving_shapes


def read_all(path: Path, **range_and_size: Any) -> Frames:
    with open_video(path) as reader:
        return np.stack(list(reader.frames(**range_and_size)))


def mean_error(one: Frames, other: Frames) -> float:
    return float(np.abs(one.astype(int) - other).mean())


@pytest.mark.parametrize(
    ("name", "codec", "pixel_format", "limit"),
    [
        ("clip.mp4", "libx264", "yuv420p", 4),
        ("clip.mp4", "libx264", "yuv444p10le", 4),
        ("clip.mp4", "libx264", "yuvj420p", 4),
        ("clip.mp4", "libx264", "gray", 40),
        ("clip.mov", "mjpeg", "yuvj422p", 6),
        ("clip.mov", "prores_ks", "yuv422p10le", 4),
        ("clip.ts", "libx264", "yuv422p", 4),
        ("clip.avi", "mpeg4", "yuv420p", 7),
        ("clip.avi", "libx264", "yuv420p", 4),
        ("clip.mkv", "ffv1", "bgr0", 0),
        ("clip.mkv", "ffv1", "gbrp10le", 1),
        ("clip.mkv", "ffv1", "gbrp16le", 0),
        ("clip.webm", "libvpx-vp9", "yuv420p", 5),
        ("clip.gif", "gif", "rgb8", 25),
        ("clip.h264", "libx264", "yuv420p", 4),
    ],
)
def test_formats_come_back_with_every_frame(
    tmp_path: Path, name: str, codec: str, pixel_format: str, limit: float
) -> None:
    source = moving_shapes(9, 48, 64)
    options = {"crf": "5"} if codec.startswith("lib") else {"qscale": "2"}
    if codec in ("ffv1", "gif", "prores_ks"):
        options = {}
    path = make_video(
        tmp_path / name, source, rate=25, codec=codec, pixel_format=pixel_format, options=options
    )
    frames = read_all(path)
    assert frames.dtype == np.uint8
    assert frames.shape == source.shape
    assert mean_error(frames, source) <= limit
    # Frames are in the order they are shown: brightness rises.
    assert (np.diff(frames.mean((1, 2, 3))) > 0).all()


@pytest.mark.parametrize(("height", "width"), [(1, 1), (5, 7), (7, 5), (257, 455), (1, 9)])
def test_odd_sizes_are_exact(tmp_path: Path, height: int, width: int) -> None:
    source = moving_shapes(3, height, width)
    path = make_video(tmp_path / "odd.mp4", source, pixel_format="yuv444p", options={"qp": "0"})
    with open_video(path) as reader:
        assert (reader.info.width, reader.info.height) == (width, height)
    frames = read_all(path)
    assert frames.shape == source.shape
    assert mean_error(frames, source) <= 1


MATRICES = {1: (0.2126, 0.0722), 4: (0.30, 0.11), 5: (0.299, 0.114), 7: (0.212, 0.087), 9: (0.2627, 0.0593)}
"""Kr and Kb of H.273 table 4."""


def planes_of(rgb: Frames, matrix: int, full: bool) -> Frames:
    """YCbCr 4:4:4 planes `[3, H, W]` by the formulas of H.273."""
    red_weight, blue_weight = MATRICES[matrix]
    red, green, blue = np.moveaxis(rgb.astype(float) / 255, -1, 0)
    luma = red_weight * red + (1 - red_weight - blue_weight) * green + blue_weight * blue
    cb, cr = (blue - luma) / (2 - 2 * blue_weight), (red - luma) / (2 - 2 * red_weight)
    scale = (0, 255, 255) if full else (16, 219, 224)
    planes = np.stack([luma * scale[1] + scale[0], cb * scale[2] + 128, cr * scale[2] + 128])
    clipped: Frames = np.clip(planes.round(), 0, 255).astype(np.uint8)
    return clipped


@pytest.mark.parametrize("full", [False, True])
@pytest.mark.parametrize(
    ("tag", "lines", "meant"),
    [(1, 16, 1), (4, 16, 4), (5, 16, 5), (6, 720, 5), (7, 16, 7), (9, 16, 9), (2, 16, 5), (2, 720, 1)],
)
def test_matrix_and_range_are_respected(tmp_path: Path, tag: int, lines: int, meant: int, full: bool) -> None:
    rgb = np.random.default_rng(1).integers(0, 256, (lines, 16, 3)).astype(np.uint8)
    tags = {"colorspace": tag, "color_range": 2 if full else 1}
    path = make_planes(tmp_path / "tagged.mkv", planes_of(rgb, meant, full), "yuv444p", tags)
    with open_video(path) as reader:
        assert reader.info.colour == Colour(matrix=tag, range=RANGE_FULL if full else RANGE_LIMITED)
        frame = next(reader.frames())
    assert np.abs(frame.astype(int) - rgb).max() <= 3
    assert mean_error(frame, rgb) < 0.7


def test_range_without_a_tag_is_limited(tmp_path: Path) -> None:
    rgb = np.full((8, 8, 3), 200, np.uint8)
    path = make_planes(tmp_path / "plain.mkv", planes_of(rgb, 5, False), "yuv444p")
    assert mean_error(read_all(path)[0], rgb) <= 1


@pytest.mark.parametrize(("tag", "expected"), [(0, 128), (1, 130), (2, 128)])
def test_gray_follows_its_range(tmp_path: Path, tag: int, expected: int) -> None:
    path = make_planes(tmp_path / "gray.mkv", np.full((8, 8), 128, np.uint8), "gray", {"color_range": tag})
    assert (read_all(path) == expected).all()


def test_unknown_matrix_is_refused_by_name(tmp_path: Path) -> None:
    planes = np.full((3, 8, 8), 128, np.uint8)
    path = make_planes(tmp_path / "ycgco.mkv", planes, "yuv444p", {"colorspace": 8})
    with open_video(path) as reader, pytest.raises(InputError, match="YCgCo are not supported"):
        next(reader.frames())


@pytest.mark.parametrize("rotation", [0, 90, 180, 270])
@pytest.mark.parametrize("mirrored", [False, True])
def test_display_matrix_is_applied(tmp_path: Path, rotation: int, mirrored: bool) -> None:
    source = moving_shapes(2, 32, 48)
    path = make_video(
        tmp_path / "turned.mp4", source, rotation=rotation, mirrored=mirrored, options={"crf": "5"},
        aspect=Fraction(4, 3),
    )  # fmt: skip
    expected = np.rot90(source, rotation // 90, axes=(1, 2))
    if mirrored:
        expected = expected[:, :, ::-1]
    with open_video(path) as reader:
        turned = rotation % 180 != 0
        assert (reader.info.width, reader.info.height) == ((32, 48) if turned else (48, 32))
        assert reader.info.sample_aspect == (Fraction(3, 4) if turned else Fraction(4, 3))
    assert mean_error(read_all(path), expected) < 4
    assert read_all(path, short_side=16).shape[1:3] == ((24, 16) if turned else (16, 24))


def test_exif_orientation_of_a_photo_is_applied(tmp_path: Path) -> None:
    picture = moving_shapes(1, 32, 48)[0]
    path = make_image(tmp_path / "photo.jpg", picture, "mjpeg", "yuvj444p")
    entry = struct.pack(">HHIHH", 0x0112, 3, 1, 6, 0)
    tiff = b"MM\0*" + struct.pack(">IH", 8, 1) + entry + struct.pack(">I", 0)
    segment = b"Exif\0\0" + tiff
    content = path.read_bytes()
    path.write_bytes(content[:2] + b"\xff\xe1" + struct.pack(">H", len(segment) + 2) + segment + content[2:])
    shown = read_all(path)[0]
    assert shown.shape == (48, 32, 3)
    assert mean_error(shown, np.rot90(picture, -1)) < 8


@pytest.mark.parametrize(
    ("name", "codec", "pixel_format", "limit"),
    [
        ("one.png", "png", "rgb24", 0),
        ("one.png", "png", "rgb48be", 0),
        ("one.bmp", "bmp", "bgr24", 0),
        ("one.jpg", "mjpeg", "yuvj444p", 6),
        ("one.webp", "libwebp", "bgra", 8),
        ("one%03d.png", "png", "rgb24", 0),
        ("a:b.png", "png", "rgb24", 0),
    ],
)
@pytest.mark.parametrize(("height", "width"), [(1, 1), (5, 7), (40, 30)])
def test_still_image_is_a_video_of_one_frame(
    tmp_path: Path, *, name: str, codec: str, pixel_format: str, limit: float, height: int, width: int
) -> None:
    picture = moving_shapes(1, height, width)[0]
    path = make_image(tmp_path / name, picture, codec, pixel_format)
    with open_video(path) as reader:
        info = reader.info
        frames = list(reader.frames())
    assert info.is_still_image
    assert info.frames_from_container == 1
    assert info.frame_rate == Fraction(1)
    assert (info.width, info.height) == (width, height)
    assert len(frames) == 1
    assert mean_error(frames[0], picture) <= limit


def test_rgb_is_reported_as_rgb(tmp_path: Path) -> None:
    path = make_image(tmp_path / "one.png", moving_shapes(1, 8, 8)[0], "png", "rgb24")
    with open_video(path) as reader:
        assert (reader.info.colour.matrix, reader.info.colour.range) == (0, RANGE_FULL)


def test_alpha_is_composited_over_black(tmp_path: Path) -> None:
    picture = np.zeros((4, 6, 4), np.uint8)
    picture[..., :3] = 200
    picture[..., 3] = np.array([0, 51, 102, 153, 204, 255])
    path = make_image(tmp_path / "clear.png", picture, "png", "rgba")
    assert read_all(path)[0, 0, :, 0].tolist() == [0, 40, 80, 120, 160, 200]


def test_palette_image(tmp_path: Path) -> None:
    picture = np.zeros((8, 8, 3), np.uint8)
    picture[:4] = 255
    path = make_image(tmp_path / "two.bmp", picture, "bmp", "bgr4_byte")
    assert mean_error(read_all(path)[0], picture) <= 1


@pytest.mark.parametrize(
    ("width", "height", "short_side", "expected"),
    [
        (64, 48, 24, (32, 24)),
        (48, 64, 24, (24, 32)),
        (64, 48, 96, (128, 96)),
        (65, 33, 16, (32, 16)),
        (90, 2, 1, (45, 1)),
    ],
)
def test_short_side_keeps_the_shape(
    tmp_path: Path, width: int, height: int, short_side: int, expected: tuple[int, int]
) -> None:
    source = moving_shapes(2, height, width)
    path = make_video(tmp_path / "clip.mkv", source, codec="ffv1", pixel_format="bgr0")
    frames = read_all(path, short_side=short_side)
    assert frames.shape == (2, expected[1], expected[0], 3)
    assert abs(frames.mean() - source.mean()) < 2


def test_downscaling_averages_areas(tmp_path: Path) -> None:
    source = np.random.default_rng(0).integers(0, 256, (1, 32, 48, 3)).astype(np.uint8)
    path = make_video(tmp_path / "noise.mkv", source, codec="ffv1", pixel_format="bgr0")
    boxes = source[0].reshape(8, 4, 12, 4, 3).mean((1, 3))
    assert np.abs(read_all(path, short_side=8)[0] - boxes).max() <= 1


@pytest.mark.parametrize(
    "rate", [Fraction(30000, 1001), Fraction(24), Fraction(25, 2), Fraction(1, 2), Fraction(240)]
)
@pytest.mark.parametrize("suffix", [".mp4", ".mkv"])
def test_frame_rate(tmp_path: Path, rate: Fraction, suffix: str) -> None:
    path = make_video(tmp_path / f"clip{suffix}", moving_shapes(12, 16, 16), rate=rate)
    with open_video(path) as reader:
        assert reader.info.frame_rate == rate


UNEVEN = [40 * number - 7 * (number % 3) for number in range(120)]
"""Milliseconds at which 119 frames follow the first one, 25 in a second."""
EVEN = [round(Fraction(1000, 30) * number) for number in range(120)]
SKIPPING = [tick for number, tick in enumerate(EVEN) if number % 10 < 2]
"""All of them times of 30 frames per second, of which few are there."""


@pytest.mark.parametrize(
    ("ticks", "at_least", "at_most"), [(UNEVEN, 24.8, 25.2), (EVEN, 30, 30), (SKIPPING, 5.5, 7)]
)
@pytest.mark.parametrize("suffix", [".mkv", ".webm"])
def test_the_clock_is_not_taken_for_the_frame_rate(
    tmp_path: Path, suffix: str, ticks: list[int], at_least: float, at_most: float
) -> None:
    """Neither from a file nor from a pipe, and all frames of the pipe come."""
    path = make_media(
        tmp_path / f"clip{suffix}", frames=len(ticks), ticks=ticks, time_base=Fraction(1, 1000), sound=None
    )
    without_default_duration(path)
    with open_video(path, survey=True) as reader:
        assert at_least <= reader.info.frame_rate <= at_most
        assert reader.is_constant == (ticks is EVEN)
    with path.open("rb") as file, PipeReader(file, "pipe") as piped:
        assert at_least <= piped.info.frame_rate <= at_most
        times = [round(frame.seconds * 1000) for frame in piped.timed_frames()]
    assert times == ticks


def test_a_single_frame_keeps_the_rate_that_its_file_names(tmp_path: Path) -> None:
    """Y4M has a clock of one tick a frame."""
    path = make_video(
        tmp_path / "one.y4m",
        moving_shapes(1, 16, 16),
        rate=30,
        codec="wrapped_avframe",
        pixel_format="yuv420p",
    )
    with open_video(path) as reader, path.open("rb") as file, PipeReader(file, "pipe") as piped:
        assert (reader.info.frame_rate, piped.info.frame_rate) == (30, 30)


def test_a_clock_of_one_tick_a_frame_may_be_the_frame_rate(tmp_path: Path) -> None:
    path = make_media(
        tmp_path / "clip.mkv", ticks=list(range(24)), time_base=Fraction(1, 1000), rate=1000, sound=None
    )
    with open_video(without_default_duration(path), survey=True) as reader:
        assert reader.info.frame_rate == 1000
        assert reader.is_constant


def test_facts(tmp_path: Path) -> None:
    path = make_video(tmp_path / "clip.mp4", moving_shapes(12, 32, 48), rate=24, audio_seconds=0.3)
    with open_video(path) as reader:
        info = reader.info
    assert info.path == path
    assert info.codec == "h264"
    assert not info.is_still_image
    assert info.frames_from_container == 12
    assert info.duration_seconds_from_container == pytest.approx(0.5)
    assert info.sample_aspect == 1
    assert info.colour == Colour()


def test_frames_are_streamed_and_can_be_read_again(tmp_path: Path) -> None:
    path = make_video(tmp_path / "clip.mp4", moving_shapes(12, 32, 48))
    with open_video(path) as reader:
        first, second = reader.frames(), reader.frames()
        one, other = next(first), next(second)
        assert (one == other).all()
        one[:] = 0
        assert next(second).any()
    assert list(first) == []


@pytest.mark.parametrize(
    ("name", "codec", "pixel_format", "is_reopened"),
    [
        ("clip.mp4", "libx264", "yuv420p", False),
        ("clip.mkv", "libx265", "yuv420p", False),
        ("clip.mov", "mjpeg", "yuvj422p", False),
        ("clip.ts", "libx264", "yuv420p", False),
        ("clip.ts", "mpeg2video", "yuv420p", False),
        ("clip.mpg", "mpeg1video", "yuv420p", False),
        ("clip.avi", "mpeg4", "yuv420p", False),
        ("clip.flv", "libx264", "yuv420p", False),
        ("clip.mkv", "ffv1", "bgr0", False),
        ("clip.webm", "libvpx-vp9", "yuv420p", False),
        ("clip.gif", "gif", "rgb8", False),
        ("clip.y4m", "wrapped_avframe", "yuv420p", False),
        ("clip.h264", "libx264", "yuv420p", True),
    ],
)
def test_every_run_is_that_of_a_file_just_opened(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    name: str,
    codec: str,
    pixel_format: str,
    is_reopened: bool,
) -> None:
    """Whatever was read before: all packets, one frame, a part, or everything."""
    options = {"bf": "2"} if codec in ("libx264", "mpeg4", "mpeg2video") else {}
    path = make_video(
        tmp_path / name,
        moving_shapes(26, 64, 64),
        rate=25,
        codec=codec,
        pixel_format=pixel_format,
        options=options,
    )
    opened = 0
    plain = Source.__init__

    def counted(self: Source, path: Path) -> None:
        nonlocal opened
        opened += 1
        plain(self, path)

    monkeypatch.setattr(Source, "__init__", counted)
    with open_video(path, survey=True) as reader:
        begun = reader.frames()
        first = next(begun)
        fresh = np.stack(list(reader.frames()))  # beside the other run, so the file is opened for it
        opened_for_two = opened
        assert len(fresh) == 26
        np.testing.assert_array_equal(np.stack([first, *begun]), fresh)
        for start, end in ((0.0, 0.1), (0.6, None), (0.02, 0.7), (None, None)):
            run = np.stack(list(reader.frames(start, end)))
            until = None if end is None else round(end * 25 + 0.49)
            np.testing.assert_array_equal(run, fresh[round((start or 0) * 25 + 0.49) : until])
    assert opened_for_two == (3 if is_reopened else 2)
    assert is_reopened or opened == opened_for_two


def test_ffmpeg_says_nothing(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    path = make_video(
        tmp_path / "clip.mp4", moving_shapes(12, 32, 48), container_options={"movflags": "faststart"}
    )
    capfd.readouterr()
    path.write_bytes(path.read_bytes()[:-300])
    with pytest.raises(InputError):
        read_all(path)
    assert capfd.readouterr() == ("", "")
