"""`skip_bad`: frames go on past damage, in their places, and what is lost is told."""

from __future__ import annotations

import re
from pathlib import Path

import av
import numpy as np
import pytest

from infotok_cli.errors import InputError
from infotok_cli.video.reader import open_video
from make_video import make_video, moving_shapes

FRAMES, KEY_EVERY, RATE = 60, 10, 30


def hurt(path: Path, packets: list[int]) -> list[int]:
    """Overwrite the insides of these packets of a video; returns the frames that begin with key frames."""
    with av.open(str(path)) as source:
        found = [packet for packet in source.demux(source.streams.video[0]) if packet.size]
        keys = [number for number, packet in enumerate(found) if packet.is_keyframe]
        places = [(found[number].pos, found[number].size) for number in packets]
    content = bytearray(path.read_bytes())
    for place, size in places:
        assert place is not None
        content[place + 8 : place + size] = b"\xff" * (size - 8)
    path.write_bytes(content)
    return keys


@pytest.fixture(params=["cut.mp4", "cut.mkv"])
def film(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    options = {"keyint_min": str(KEY_EVERY), "bf": "0", "sc_threshold": "0"}
    pictures = moving_shapes(FRAMES, 64, 48)
    return make_video(tmp_path / request.param, pictures, options=options, group=KEY_EVERY)


def test_frames_go_on_behind_the_damage(film: Path) -> None:
    with open_video(film) as reader:
        whole = np.stack(list(reader.frames()))
    keys = hurt(film, [14, 32])
    assert keys == list(range(0, FRAMES, KEY_EVERY))
    with open_video(film) as reader, pytest.raises(InputError, match="is damaged after frame 1"):
        list(reader.frames())
    with open_video(film, survey=True, skip_bad=True) as reader:
        assert reader.is_constant
        timed = list(reader.timed_frames())
        (warning,) = reader.warnings
    assert [round(one.seconds * RATE) for one in timed] == list(range(FRAMES))
    shown = np.stack([one.pixels for one in timed])
    good = [*range(14), *range(20, 32), *range(40, FRAMES)]
    assert np.array_equal(shown[good], whole[good])
    for lost, held in ((range(14, 20), 13), (range(32, 40), 31)):
        assert all(np.array_equal(shown[number], whole[held]) for number in lost)
    times = re.findall(r"from (\d+\.\d+) s to (\d+\.\d+) s", warning.what)
    assert [tuple(map(float, pair)) for pair in times] == [
        (pytest.approx(14 / RATE, abs=0.002), pytest.approx(20 / RATE, abs=0.002)),
        (pytest.approx(32 / RATE, abs=0.002), pytest.approx(40 / RATE, abs=0.002)),
    ]
    assert "stands for" in warning.way_out


def test_a_damaged_start_is_passed_over(film: Path) -> None:
    hurt(film, [0])
    with open_video(film, survey=True, skip_bad=True) as reader:
        assert len(list(reader.frames())) == FRAMES - KEY_EVERY


def test_damage_at_the_end(film: Path) -> None:
    hurt(film, [52])
    with open_video(film, survey=True, skip_bad=True) as reader:
        assert len(list(reader.frames())) == 52
        (warning,) = reader.warnings
    assert re.search(r"the first 1\.7\d\d s are encoded, the 0\.2\d\d s after them are lost", warning.way_out)


def test_nothing_is_told_of_whole_videos_and_every_run_tells_anew(film: Path) -> None:
    with open_video(film, skip_bad=True) as reader:
        assert len(list(reader.frames())) == FRAMES
        assert reader.warnings == ()
    hurt(film, [14])
    with open_video(film, skip_bad=True) as reader:
        list(reader.frames())
        list(reader.frames())
        assert len(reader.warnings) == 1
        assert reader.warnings[0].what.count("from") == 1
