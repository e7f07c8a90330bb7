"""Start and end: frame-exact, by presentation time after the first frame, without reading it all."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
from av.packet import Packet
from av.video.stream import VideoStream

from infotok_cli.errors import UsageError
from infotok_cli.video.extent import Extent
from infotok_cli.video.reader import open_video
from make_video import make_image, make_video, moving_shapes

FRAMES = 16


def shown(path: Path, start: float | None = None, end: float | None = None) -> list[int]:
    """Numbers of the frames between start and end, told by their brightness."""
    with open_video(path) as reader:
        brightness = [float(frame.mean()) for frame in reader.frames()]
        return [
            int(np.argmin(np.abs(np.array(brightness) - frame.mean()))) for frame in reader.frames(start, end)
        ]


@pytest.mark.parametrize("name", ["clip.mp4", "clip.mkv", "clip.ts", "clip.mov", "clip.avi", "clip.h264"])
@pytest.mark.parametrize("group", [4, 100])
def test_range_is_frame_exact(tmp_path: Path, name: str, group: int) -> None:
    path = make_video(tmp_path / name, moving_shapes(FRAMES, 32, 48), rate=10, group=group)
    assert shown(path) == list(range(FRAMES))
    assert shown(path, 0.5) == list(range(5, FRAMES))
    assert shown(path, 0.55, 1.0) == [6, 7, 8, 9]
    assert shown(path, 1.1, 1.2) == [11]
    assert shown(path, None, 0.25) == [0, 1, 2]
    assert shown(path, 1.5, 99) == [15]


def test_ranges_of_one_frame_cover_the_video_once(tmp_path: Path) -> None:
    rate = Fraction(30000, 1001)
    path = make_video(tmp_path / "clip.mp4", moving_shapes(FRAMES, 32, 48), rate=rate, group=4)
    for number in range(FRAMES):
        assert shown(path, float(number / rate), float((number + 1) / rate)) == [number]


def test_rounded_times_name_their_frame_in_a_millisecond_container(tmp_path: Path) -> None:
    path = make_video(tmp_path / "clip.mkv", moving_shapes(FRAMES, 32, 48), rate=30)
    assert shown(path, 1 / 30, 3 / 30) == [1, 2]


@pytest.mark.parametrize("name", ["late.mp4", "late.mkv", "late.ts"])
def test_times_count_from_the_first_frame(tmp_path: Path, name: str) -> None:
    ticks = [50 + index for index in range(FRAMES)]
    path = make_video(tmp_path / name, moving_shapes(FRAMES, 32, 48), rate=10, ticks=ticks, group=4)
    assert shown(path, 0.5, 0.7) == [5, 6]
    with open_video(path) as reader:
        times = [timed.seconds for timed in reader.timed_frames()]
    assert times == [Fraction(index, 10) for index in range(FRAMES)]


def test_variable_frame_rate(tmp_path: Path) -> None:
    ticks = [0, 10, 15, 100, 110, 300]
    path = make_video(
        tmp_path / "vfr.mp4", moving_shapes(6, 32, 48), ticks=ticks, time_base=Fraction(1, 100), group=2
    )
    with open_video(path) as reader:
        times = [timed.seconds for timed in reader.timed_frames()]
    assert times == [Fraction(tick, 100) for tick in ticks]
    assert shown(path, 0.15, 1.05) == [2, 3]
    assert shown(path, 0.2, 3.0) == [3, 4]


@pytest.mark.parametrize("options", [{"x264-params": "open-gop=1:bframes=3:b-adapt=0"}, {"bf": "0"}])
def test_open_groups(tmp_path: Path, options: dict[str, str]) -> None:
    path = make_video(tmp_path / "clip.mp4", moving_shapes(FRAMES, 32, 48), rate=10, group=5, options=options)
    for start in range(FRAMES):
        assert shown(path, start / 10) == list(range(start, FRAMES))


def test_seeking_skips_what_is_not_asked_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = make_video(
        tmp_path / "long.mp4", moving_shapes(200, 16, 16), rate=10, group=10, options={"bf": "0"}
    )
    decoded: list[int] = []
    note = Extent.delivered

    def counting(self: Extent, packet: Packet[VideoStream]) -> None:
        decoded.append(packet.size)
        note(self, packet)

    with open_video(path) as reader:
        monkeypatch.setattr(Extent, "delivered", counting)
        assert len(list(reader.frames(15.0, 15.2))) == 2
    assert len(decoded) < 30


@pytest.mark.parametrize("start", [1.6, 2.0, 1e6])
def test_start_past_the_end_names_the_last_frame(tmp_path: Path, start: float) -> None:
    path = make_video(tmp_path / "clip.mp4", moving_shapes(FRAMES, 32, 48), rate=10)
    with (
        open_video(path) as reader,
        pytest.raises(UsageError, match=r"clip.mp4: start_seconds .* which is shown at 1.500 s"),
    ):
        next(reader.frames(start))


def test_range_between_two_frames_is_refused(tmp_path: Path) -> None:
    path = make_video(tmp_path / "clip.mp4", moving_shapes(FRAMES, 32, 48), rate=10)
    with (
        open_video(path) as reader,
        pytest.raises(UsageError, match=r"no frame is shown from 0.52 s to 0.58 s"),
    ):
        next(reader.frames(0.52, 0.58))


def test_start_in_a_still_image(tmp_path: Path) -> None:
    path = make_image(tmp_path / "one.png", moving_shapes(1, 8, 8)[0], "png", "rgb24")
    with open_video(path) as reader:
        assert len(list(reader.frames(0, 1))) == 1
        with pytest.raises(UsageError, match=r"which is shown at 0.000 s"):
            next(reader.frames(1.0))
