"""`skip_bad`: frames go on past damage, in their places, and what is lost is told."""

from __future__ import annotations

import re
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest

from infotok_cli.errors import InputError
from infotok_cli.sound import AudioPacket
from infotok_cli.video.damage import SoundDamage
from infotok_cli.video.reader import open_video
from make_media import make_media
from make_video import make_video, moving_shapes

FRAMES, KEY_EVERY, RATE = 60, 10, 30
TRANSPORT_PACKET = 188


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


def hurt_sound(path: Path, packets: list[int]) -> None:
    """Break the count of a transport stream's packets at these packets of its sound, as loss on air does."""
    with av.open(str(path)) as source:
        found = [packet for packet in source.demux(source.streams.audio[0]) if packet.size]
    content = bytearray(path.read_bytes())
    for number in packets:
        place = found[number].pos
        assert place is not None
        counted = content[place + 3]
        content[place + 3] = (counted & 0xF0) | ((counted + 5) & 0x0F)  # continuity_counter
    path.write_bytes(content)


def test_sound_goes_on_behind_its_damage(tmp_path: Path) -> None:
    path = make_media(tmp_path / "clip.ts", frames=90, sound="ac3")
    with open_video(path, audio=True) as reader, reader.sound_packets() as packets:
        whole = [packet for packet in packets if packet is not None]
        origin, track = reader.origin_seconds, reader.sound
    assert track is not None
    assert len(whole) > 60
    hurt_sound(path, [20, 60])
    with (
        open_video(path, audio=True) as reader,
        reader.sound_packets() as packets,
        pytest.raises(InputError, match=r"its sound is damaged in packet \d+"),
    ):
        list(packets)
    with open_video(path, audio=True, skip_bad=True) as reader:
        with reader.sound_packets() as packets:
            heard = [packet for packet in packets if packet is not None]
        (warning,) = reader.warnings
    assert heard[-1] == whole[-1]
    assert 2 <= len(whole) - len(heard) <= 16
    assert {packet.time for packet in heard} < {packet.time for packet in whole}
    missing = sorted({packet.time for packet in whole} - {packet.time for packet in heard})
    first = float(missing[0] * track.time_base - origin)
    assert warning.what.startswith(f"its sound is damaged from {first:.3f} s to ")
    assert warning.what.count("from") == 2
    assert warning.way_out == "silence stands for that time"


def test_sound_that_ends_early_is_told_in_seconds(tmp_path: Path) -> None:
    path = make_media(tmp_path / "clip.mp4", frames=60, container_options={"movflags": "faststart"})
    content = path.read_bytes()
    path.write_bytes(content[: len(content) * 3 // 4])
    with open_video(path, audio=True, skip_bad=True) as reader:
        with reader.sound_packets() as packets:
            heard = [packet for packet in packets if packet is not None]
        (warning,) = reader.warnings
        assert reader.sound is not None
        end = (heard[-1].time + heard[-1].duration) * reader.sound.time_base - reader.origin_seconds
    assert warning.what == "its sound is damaged"
    assert warning.way_out == f"what is heard after {float(end):.3f} s is lost"
    assert 0.5 < end < 1.9


@pytest.mark.parametrize(("taken", "lost"), [(0, "all of it"), (1, "its beginning"), (2, "its beginning")])
def test_sound_damaged_at_its_start_is_told_also_where_only_part_is_read(taken: int, lost: str) -> None:
    damage = SoundDamage(Fraction(1, 10), "clip.ts")
    damage.add()
    packets = damage.noted(iter([AudioPacket(5, 1, b"a"), AudioPacket(6, 1, b"b"), AudioPacket(7, 1, b"c")]))
    for _ in range(taken):
        next(packets)
    warning = damage.warning(Fraction(0))
    assert warning is not None
    assert (warning.what, warning.way_out) == ("its sound is damaged", f"{lost} is left out")


@pytest.mark.parametrize("kind", ["lost on air", "overwritten"])
def test_sound_whose_first_packet_is_damaged_is_carried_all_the_same(tmp_path: Path, kind: str) -> None:
    """In a transport stream only a packet tells what AAC is like."""
    path = make_media(tmp_path / "clip.ts", frames=60)
    with open_video(path, audio=True) as reader, reader.sound_packets() as packets:
        whole, track = [packet for packet in packets if packet is not None], reader.sound
    hurt_first_sound(path, kind)
    with pytest.raises(InputError, match="its sound is damaged"), open_video(path, audio=True):
        pass
    with open_video(path, audio=True, skip_bad=True) as reader:
        assert reader.sound == track
        with reader.sound_packets() as packets:
            heard = [packet for packet in packets if packet is not None]
        (warning,) = reader.warnings
    assert track is not None
    assert heard[-1].data == whole[-1].data
    assert len(whole) - 8 <= len(heard) < len(whole)
    assert (warning.what, warning.way_out) == ("its sound is damaged", "its beginning is left out")


def hurt_first_sound(path: Path, kind: str) -> None:
    if kind == "lost on air":
        hurt_sound(path, [0])
        return
    with av.open(str(path)) as source:
        place = next(packet.pos for packet in source.demux(source.streams.audio[0]))
    assert place is not None
    content = bytearray(path.read_bytes())
    content[place + 20 : place + 180] = b"\x55" * 160
    path.write_bytes(content)


def test_sound_that_is_damaged_throughout_is_told(tmp_path: Path) -> None:
    path = make_media(tmp_path / "clip.ts", frames=20)
    with av.open(str(path)) as source:
        first = next(packet.pos for packet in source.demux(source.streams.audio[0]))
    assert first is not None
    content = bytearray(path.read_bytes())
    stream = content[first + 2]  # the low byte of its number
    for place in range(0, len(content), TRANSPORT_PACKET):
        if content[place + 2] == stream:
            content[place + 20 : place + TRANSPORT_PACKET] = b"\x55" * (TRANSPORT_PACKET - 20)
    path.write_bytes(content)
    with open_video(path, audio=True, skip_bad=True) as reader:
        assert reader.sound is None
        assert len(list(reader.frames())) == 20
        (warning,) = reader.warnings
    assert (warning.what, warning.way_out) == ("its sound is damaged", "all of it is left out")
