"""What is kept, converted and refused of a video: the rows of docs/MEDIA.md, with files made by PyAV."""

from __future__ import annotations

from collections.abc import Callable
from fractions import Fraction
from itertools import pairwise
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
from av.video.frame import VideoFrame

from infotok_cli.colour import RANGE_LIMITED, Colour
from infotok_cli.container.reader import ItkReader
from infotok_cli.itk.flat import plain_header
from make_media import Media, make_media, read_media, without_default_duration
from make_video import make_planes, make_video, moving_shapes

Run = Callable[..., Any]

ROUNDING = Fraction(1, 1000)
"""Matroska's clock."""


def there_and_back(run: Run, source: Path, target: str = "back.mkv", *options: object) -> Media:
    """Encode and decode; what comes back."""
    itk = source.with_name("file.itk")
    run("encode", source, "-o", itk, "-y", "--segment-frames", "8")
    run("inspect", itk, "--verify")
    run("decode", itk, "-o", source.with_name(target), "-y", *options)
    return read_media(source.with_name(target))


def in_sync(one: list[tuple[Fraction, bytes]], other: list[tuple[Fraction, bytes]]) -> bool:
    """Whether the same packets come, each at its time."""
    return [data for _, data in one] == [data for _, data in other] and all(
        abs(here - there) <= 2 * ROUNDING for (here, _), (there, _) in zip(one, other, strict=True)
    )


@pytest.mark.parametrize(
    ("name", "encoder", "targets"),
    [
        ("aac.mp4", "aac", ("back.mp4", "back.mkv")),
        ("aac.mkv", "aac", ("back.mp4", "back.mkv")),
        ("aac.ts", "aac", ("back.mp4", "back.mkv")),
        ("opus.webm", "libopus", ("back.mp4", "back.mkv", "back.webm")),
        ("opus.mp4", "libopus", ("back.mp4", "back.mkv")),
        ("mp3.mkv", "libmp3lame", ("back.mp4", "back.mkv")),
        ("flac.mkv", "flac", ("back.mp4", "back.mkv")),
        ("pcm.mov", "pcm_s16le", ("back.mkv", "back.mov")),
        ("pcm.mkv", "pcm_s24le", ("back.mkv",)),
        ("ac3.mp4", "ac3", ("back.mp4", "back.mkv")),
        ("eac3.mkv", "eac3", ("back.mp4", "back.mkv")),
    ],
)
def test_sound_comes_back_unchanged(
    run: Run, tmp_path: Path, name: str, encoder: str, targets: tuple[str, ...]
) -> None:
    source = make_media(tmp_path / name, sound=encoder)
    given = read_media(source)
    for target in targets:
        got = there_and_back(run, source, target)
        assert got.codec == given.codec
        assert len(got.video) == len(given.video)
        if target.endswith(".mov"):  # which cuts PCM into packets of its own
            assert got.sound_bytes == given.sound_bytes
        else:
            assert in_sync(got.sound, given.sound)
        with av.open(str(tmp_path / target)) as container:
            assert sum(frame.samples for frame in container.decode(audio=0)) >= 0.75 * 48000


@pytest.mark.parametrize(
    "delays",
    [
        {"sound_delay": Fraction(1, 2)},
        {"video_delay": Fraction(1, 2)},
        {"video_delay": Fraction(3), "sound_delay": Fraction(3)},
        {"sound_seconds": 2.5},
        {"sound_seconds": 0.3},
    ],
    ids=["sound later", "pictures later", "both later", "longer sound", "shorter sound"],
)
@pytest.mark.parametrize("suffix", [".mp4", ".mkv", ".ts"])
def test_start_offsets_and_lengths(run: Run, tmp_path: Path, suffix: str, delays: dict[str, Any]) -> None:
    source = make_media(tmp_path / f"source{suffix}", **delays)
    given = read_media(source)
    got = there_and_back(run, source)
    assert in_sync(got.sound, given.sound)
    assert got.video == pytest.approx([float(time) for time in given.video], abs=1e-3)


def middle(packet: tuple[Fraction, bytes], length: Fraction = Fraction(1024, 48000)) -> Fraction:
    return packet[0] + length / 2


@pytest.mark.parametrize(("start", "end"), [(0.2, 0.6), (0.25, 0.4), (8 / 30, 16 / 30), (0.5, None)])
def test_sound_of_a_part(run: Run, tmp_path: Path, start: float, end: float | None) -> None:
    """A part, however it is taken, has the sound whose middle lies in it, in sync to a packet's rounding."""
    source = make_media(tmp_path / "source.mp4")
    given = read_media(source)
    first = min(time for time in given.video if time >= Fraction(start) - ROUNDING)
    last = Fraction(24, 30) if end is None else min(t for t in given.video if t >= Fraction(end) - ROUNDING)
    wanted = [
        (packet[0] - first, packet[1])
        for packet in given.sound
        if middle(packet) >= first and (end is None or middle(packet) < last)
    ]
    times = ["--start", start, *(["--end", end] if end is not None else [])]
    whole, part = tmp_path / "whole.itk", tmp_path / "part.itk"
    run("encode", source, "-o", whole, "--segment-frames", "8")
    run("decode", whole, "-o", tmp_path / "decoded.mkv", *times)
    run("cut", whole, "-o", part, *times)
    run("inspect", part, "--verify")
    run("decode", part, "-o", tmp_path / "cut.mkv")
    run("encode", source, "-o", tmp_path / "encoded.itk", *times)
    run("decode", tmp_path / "encoded.itk", "-o", tmp_path / "encoded.mkv")
    for name in ("decoded", "cut", "encoded"):
        got = read_media(tmp_path / f"{name}.mkv")
        assert len(got.video) == len([time for time in given.video if first <= time < last])
        assert in_sync(got.sound, wanted), name


def test_parts_join_to_the_very_file(run: Run, tmp_path: Path) -> None:
    ticks = [400 * number + 37 * (number % 3) for number in range(24)]
    source = make_media(tmp_path / "source.mp4", ticks=ticks, time_base=Fraction(1, 12000))
    whole, parts = tmp_path / "whole.itk", []
    run("encode", source, "-o", whole, "--segment-frames", "8")
    places = [0.0, 0.11, 0.3, 0.31, 0.7, 9.0]
    for number, (start, end) in enumerate(pairwise(places)):
        parts.append(tmp_path / f"{number}.itk")
        run("cut", whole, "-o", parts[-1], "--start", start, "--end", end)
    run("concat", *parts, "-o", tmp_path / "again.itk")
    assert (tmp_path / "again.itk").read_bytes() == whole.read_bytes()
    # In another order nothing rejoins, and everything stays in sync.
    run("concat", parts[2], parts[0], parts[4], "-o", tmp_path / "mixed.itk")
    run("inspect", tmp_path / "mixed.itk", "--verify")
    run("decode", tmp_path / "mixed.itk", "-o", tmp_path / "mixed.mkv")
    given, got = read_media(source), read_media(tmp_path / "mixed.mkv")
    heard = {data: time for time, data in given.sound}
    order = (2, 0, 4)
    starts, begins, now = {}, {}, Fraction(0)
    for number in order:
        starts[number] = now
        begins[number] = next(time for time in given.video if time >= Fraction(places[number]) - ROUNDING)
        with ItkReader(parts[number]) as reader:
            now += reader.duration_seconds
    assert len(got.sound) > 10
    for packet in got.sound:
        number = max((number for number in order if starts[number] <= max(0, middle(packet))), key=starts.get)
        assert abs(packet[0] - starts[number] - (heard[packet[1]] - begins[number])) < Fraction(1, 60)


def test_no_audio(run: Run, tmp_path: Path) -> None:
    source = make_media(tmp_path / "source.mp4")
    run("encode", source, "-o", tmp_path / "with.itk")
    run("encode", source, "-o", tmp_path / "without.itk", "--no-audio")
    silent = make_media(tmp_path / "silent.mp4", sound=None)
    run("encode", silent, "-o", tmp_path / "silent.itk")
    with ItkReader(tmp_path / "without.itk") as without, ItkReader(tmp_path / "with.itk") as reader:
        assert reader.header.audio is not None
        assert without.header.audio is None
    assert len((tmp_path / "silent.itk").read_bytes()) == len((tmp_path / "without.itk").read_bytes())
    run("decode", tmp_path / "with.itk", "-o", tmp_path / "quiet.mp4", "--no-audio")
    assert read_media(tmp_path / "quiet.mp4").codec is None


def test_inspect_shows_sound_and_times(run: Run, tmp_path: Path) -> None:
    ticks = [number * number for number in range(24)]
    source = make_media(tmp_path / "source.mkv", ticks=ticks, time_base=Fraction(1, 1000))
    run("encode", source, "-o", tmp_path / "file.itk")
    table = run("inspect", tmp_path / "file.itk").stdout
    assert "A_AAC, 48,000 Hz, 2 channels" in table
    assert "frame times" in table
    ids = run("export", tmp_path / "file.itk", "-o", tmp_path / "ids.npz")
    assert "flat ids leave out its sound and frame times" in ids.stderr
    run("import", tmp_path / "ids.npz", "-o", tmp_path / "ids.itk")
    with ItkReader(tmp_path / "ids.itk") as plain, ItkReader(tmp_path / "file.itk") as reader:
        assert plain_header(reader.header) == plain.header
        assert list(plain.segments()) == list(reader.segments())


@pytest.mark.parametrize(("kind", "says"), [("sound", "sound"), ("times", "times"), ("tokens", "checksum")])
def test_damage_to_one_part_spares_the_others(run: Run, tmp_path: Path, kind: str, says: str) -> None:
    ticks = [400 * number + 37 * (number % 3) for number in range(24)]
    source = make_media(tmp_path / "source.mp4", ticks=ticks, time_base=Fraction(1, 12000))
    itk = tmp_path / "file.itk"
    run("encode", source, "-o", itk, "--segment-frames", "8")
    run("decode", itk, "-o", tmp_path / "whole.mkv")
    with ItkReader(itk) as reader:
        entry = reader.index[1]
    ends = {"tokens": entry.offset + entry.length}
    ends["times"] = ends["tokens"] + entry.time_length
    ends["sound"] = ends["times"] + entry.audio_length
    data = bytearray(itk.read_bytes())
    data[ends[kind] - 1] ^= 1
    itk.write_bytes(data)
    for command in (["inspect", itk], ["decode", itk, "-o", tmp_path / "x.mkv"]):
        error = run(*command, code=3).stderr
        assert "segment 1 (0.27" in error
        assert says in error
    result = run("decode", itk, "-o", tmp_path / "saved.mkv", "--skip-bad")
    assert "warning" in result.stderr
    whole, saved = read_media(tmp_path / "whole.mkv"), read_media(tmp_path / "saved.mkv")
    assert len(saved.video) == 24
    if kind == "sound":
        assert 0 < len(saved.sound) < len(whole.sound)
        assert {data for _, data in saved.sound} < {data for _, data in whole.sound}
    else:
        assert saved.sound == whole.sound
    if kind == "times":
        assert saved.video[:8] == whole.video[:8]
        assert saved.video[16:] == whole.video[16:]
    else:
        assert saved.video == whole.video
    run("repair", itk, "-o", tmp_path / "repaired.itk")
    run("inspect", tmp_path / "repaired.itk", "--verify")
    run("decode", tmp_path / "repaired.itk", "-o", tmp_path / "repaired.mkv", "--skip-bad")
    repaired = read_media(tmp_path / "repaired.mkv")
    assert (repaired.video, repaired.sound) == (saved.video, saved.sound)


def test_a_lost_index_is_found_again_with_sound_and_times(run: Run, tmp_path: Path) -> None:
    ticks = [400 * number + 37 * (number % 3) for number in range(24)]
    source = make_media(tmp_path / "source.mp4", ticks=ticks, time_base=Fraction(1, 12000))
    itk = tmp_path / "file.itk"
    run("encode", source, "-o", itk, "--segment-frames", "8")
    whole = itk.read_bytes()
    with ItkReader(itk) as reader:
        entries = list(reader.index)
    entry = entries[1]
    itk.write_bytes(whole[:-40])
    run("repair", itk, "-o", tmp_path / "again.itk")
    assert (tmp_path / "again.itk").read_bytes() == whole
    data = bytearray(whole[:-40])
    data[entry.offset + entry.length - 1] ^= 1
    itk.write_bytes(data)
    run("repair", itk, "-o", tmp_path / "again.itk", "-y")
    run("inspect", tmp_path / "again.itk", "--verify")
    with ItkReader(tmp_path / "again.itk") as reader:
        assert reader.total_frames == 24
        assert reader.index[1].counts.lost
        assert reader.read_times(2) != []
        assert reader.duration_seconds > Fraction(23 * 400, 12000)
    # Times lost as well: frames are taken to have the average rate, and keep their place.
    data = bytearray(whole[:-40])
    for found in entries[1:]:
        data[found.offset + found.length + found.time_length - 1] ^= 1
    itk.write_bytes(data)
    result = run("repair", itk, "-o", tmp_path / "again.itk", "-y")
    assert "spread evenly" in result.stderr
    with ItkReader(tmp_path / "again.itk") as reader:
        reader.verify()
        assert reader.total_frames == 24
        assert abs(reader.duration_seconds - Fraction(4, 5)) < Fraction(1, 10)


@pytest.mark.parametrize("suffix", [".mp4", ".mkv"])
def test_variable_frame_rate_is_kept_exactly(run: Run, tmp_path: Path, suffix: str) -> None:
    steps = [1, 1, 50, 3, 17, 333, 1, 40, 40, 40, 7, 1001, 2, 2, 90, 33, 33, 34, 500, 8, 9, 10, 11]
    ticks = [sum(steps[:count]) for count in range(len(steps) + 1)]
    source = make_media(
        tmp_path / f"source{suffix}", frames=24, ticks=ticks, time_base=Fraction(1, 1000), sound=None
    )
    given = read_media(source)
    assert given.video == [Fraction(tick, 1000) for tick in ticks]
    got = there_and_back(run, source, f"back{suffix}")
    assert got.video == given.video
    # A part of it, by the times of its frames.
    run("cut", tmp_path / "file.itk", "-o", tmp_path / "part.itk", "--start", "0.405", "--end", "1.6")
    run("decode", tmp_path / "part.itk", "-o", tmp_path / f"part{suffix}")
    wanted = [time for time in given.video if Fraction("0.405") <= time < Fraction("1.6")]
    assert read_media(tmp_path / f"part{suffix}").video == [time - wanted[0] for time in wanted]


def test_a_frame_rate_that_nobody_names(run: Run, tmp_path: Path) -> None:
    """As browsers record: 25 frames in a second on average, at times of their own."""
    ticks = [40 * number - 7 * (number % 3) for number in range(60)]
    source = without_default_duration(
        make_media(tmp_path / "source.mkv", frames=60, ticks=ticks, time_base=Fraction(1, 1000), sound=None)
    )
    assert there_and_back(run, source).video == [Fraction(tick, 1000) for tick in ticks]
    with ItkReader(tmp_path / "file.itk") as reader:
        assert reader.header.has_times
        assert 24 < reader.header.frame_rate < 26


@pytest.mark.parametrize("suffix", [".mp4", ".mkv", ".mov", ".ts", ".avi"])
@pytest.mark.parametrize("rate", [Fraction(25), Fraction(30000, 1001)])
def test_constant_frame_rates_need_no_times(run: Run, tmp_path: Path, suffix: str, rate: Fraction) -> None:
    source = make_media(tmp_path / f"source{suffix}", rate=rate, sound=None)
    run("encode", source, "-o", tmp_path / "file.itk")
    with ItkReader(tmp_path / "file.itk") as reader:
        assert (reader.header.has_times, reader.header.frame_rate) == (False, rate)


def test_edit_lists_are_honoured(run: Run, tmp_path: Path) -> None:
    """Cut with FFmpeg's copy: the file holds frames and sound before its edit list starts."""
    long, source = make_media(tmp_path / "long.mp4", frames=48), tmp_path / "source.mp4"
    with av.open(str(long)) as given, av.open(str(source), "w") as cut:
        streams = {
            stream.index: cut.add_stream_from_template(stream, opaque=True) for stream in given.streams
        }
        for packet in given.demux():
            if packet.dts is None or packet.pts is None or packet.time_base is None:
                continue
            shift = int(Fraction(1, 2) / packet.time_base)
            packet.pts, packet.dts = packet.pts - shift, packet.dts - shift
            packet.stream = streams[packet.stream.index]
            cut.mux(packet)
    with av.open(str(source)) as container:
        shown = [frame.to_ndarray(format="rgb24").mean() for frame in container.decode(video=0)]
    got = there_and_back(run, source, "back.mp4")
    assert len(got.video) == len(shown) < 48
    with av.open(str(source)) as container:
        samples = [frame.pts for frame in container.decode(audio=0) if frame.pts is not None]
    with av.open(str(tmp_path / "back.mp4")) as container:
        back = [frame.pts for frame in container.decode(audio=0) if frame.pts is not None]
    assert abs(len(samples) - len(back)) <= 2


def test_rotation_aspect_and_colour(run: Run, tmp_path: Path) -> None:
    source = make_video(tmp_path / "turned.mp4", moving_shapes(6, 32, 48), rotation=90, aspect=Fraction(4, 3))
    run("encode", source, "-o", tmp_path / "turned.itk")
    with ItkReader(tmp_path / "turned.itk") as reader:
        assert (reader.header.width, reader.header.height) == (32, 48)
        assert reader.header.sample_aspect == Fraction(3, 4)
    run("decode", tmp_path / "turned.itk", "-o", tmp_path / "back.mp4")
    with av.open(str(tmp_path / "back.mp4")) as container:
        stream = container.streams.video[0]
        assert (stream.width, stream.height, stream.sample_aspect_ratio) == (32, 48, Fraction(3, 4))
    planes = np.full((48, 32), 100, np.uint8)
    tags = {"color_primaries": 9, "color_trc": 14, "colorspace": 9, "color_range": 1}
    wide = make_planes(tmp_path / "wide.mkv", planes, "yuv420p", tags)
    run("encode", wide, "-o", tmp_path / "wide.itk")
    with ItkReader(tmp_path / "wide.itk") as reader:
        assert reader.header.colour == Colour(primaries=9, transfer=14, matrix=9, range=RANGE_LIMITED)


@pytest.mark.parametrize(("transfer", "name"), [(16, "PQ"), (18, "HLG")])
def test_hdr_is_refused(refused: Callable[..., str], tmp_path: Path, transfer: int, name: str) -> None:
    planes = np.full((48, 32), 100, np.uint8)
    source = make_planes(tmp_path / "hdr.mkv", planes, "yuv420p", {"color_trc": transfer})
    message = refused(3, "encode", source, "-o", tmp_path / "x.itk")
    assert f"is HDR ({name})" in message
    assert "map its tones" in message


def test_ten_bits_become_eight(run: Run, tmp_path: Path) -> None:
    source = make_video(
        tmp_path / "deep.mkv", moving_shapes(4, 32, 48), codec="ffv1", pixel_format="yuv420p10le"
    )
    run("encode", source, "-o", tmp_path / "deep.itk")
    with ItkReader(tmp_path / "deep.itk") as reader:
        assert reader.total_frames == 4


def test_interlaced_frames_are_made_whole(tmp_path: Path) -> None:
    """Fields of two moments: de-interlaced, a still edge stays and the comb of a moving one goes."""
    from infotok_cli.video.reader import open_video

    early, late = moving_shapes(12, 64, 64), np.roll(moving_shapes(12, 64, 64), 6, axis=2)
    woven = early.copy()
    woven[:, 1::2] = late[:, 1::2]
    for marked in (False, True):
        path = tmp_path / f"{marked}.mkv"
        with av.open(str(path), "w") as container:
            stream = container.add_stream(
                "libx264", rate=25, options={"qp": "0", **({"x264-params": "tff=1"} if marked else {})}
            )
            stream.width = stream.height = 64
            stream.pix_fmt = "yuv444p"
            for number, picture in enumerate(woven):
                frame = VideoFrame.from_ndarray(picture, format="rgb24").reformat(format="yuv444p")
                frame.pts = number
                container.mux(stream.encode(frame))
            container.mux(stream.encode(None))

    def comb(path: Path) -> tuple[int, float]:
        with open_video(path) as video:
            pictures = np.stack(list(video.frames())).astype(float)
        across = pictures[:, 1:-1] * 2 - pictures[:, :-2] - pictures[:, 2:]
        return len(pictures), float(np.abs(across).mean())

    plain, treated = comb(tmp_path / "False.mkv"), comb(tmp_path / "True.mkv")
    assert plain[0] == treated[0] == 12
    assert treated[1] < 0.5 * plain[1]


def test_truncated_sound_is_refused(refused: Callable[..., str], run: Run, tmp_path: Path) -> None:
    """All pictures first, then all sound, as some programs write it."""
    pictures = moving_shapes(24, 40, 48)
    options = {"movflags": "faststart"}
    whole = make_video(tmp_path / "whole.mp4", pictures, audio_seconds=3, container_options=options)
    run("encode", whole, "-o", tmp_path / "whole.itk")
    source = tmp_path / "short.mp4"
    data = whole.read_bytes()
    with av.open(str(whole)) as container:
        positions = [packet.pos for packet in container.demux(audio=0) if packet.pos is not None]
    source.write_bytes(data[: positions[-3]])
    message = refused(3, "encode", source, "-o", tmp_path / "x.itk")
    assert "truncated" in message or "damaged" in message


def test_budgets_count_the_sound(run: Run, tmp_path: Path) -> None:
    source = make_media(tmp_path / "source.mp4", frames=60, size=(96, 128))
    run("encode", source, "-o", tmp_path / "all.itk", "--rate", "1")
    everything = (tmp_path / "all.itk").stat().st_size
    with ItkReader(tmp_path / "all.itk") as reader:
        sound = int(reader.index.column("audio_length").sum())
    wanted = sound + (everything - sound) // 2
    run("encode", source, "-o", tmp_path / "half.itk", "--target-size", wanted)
    assert 0.97 * wanted <= (tmp_path / "half.itk").stat().st_size <= wanted
    run("encode", source, "-o", tmp_path / "bits.itk", "--bitrate", 8 * wanted // 2)
    assert 0.97 * wanted <= (tmp_path / "bits.itk").stat().st_size <= wanted


def test_frames_that_are_not_later_than_the_one_before() -> None:
    from infotok_cli.video.segments import timed_segments
    from infotok_cli.video.timed_frames import TimedFrame

    picture = np.zeros((8, 8, 3), np.uint8)
    times = [0, 40, 40, 20, 41, 100]
    frames = [TimedFrame(Fraction(time, 1000), picture) for time in times]
    segments = list(timed_segments(frames, 4, Fraction(25), Fraction(1, 1000)))
    assert [segment.durations for segment in segments] == [(40, 1, 1, 1), (57, 40)]
    assert [segment.start_seconds for segment in segments] == [0, Fraction(43, 1000)]
    assert [segment.end_seconds for segment in segments] == [Fraction(43, 1000), None]


@pytest.mark.parametrize(("codec", "suffix"), [("alac", ".mp4"), ("vorbis", ".webm"), ("mp2", ".ts")])
def test_unknown_sound_is_refused(
    refused: Callable[..., str], run: Run, tmp_path: Path, codec: str, suffix: str
) -> None:
    source = make_media(tmp_path / f"source{suffix}", sound=codec)
    message = refused(3, "encode", source, "-o", tmp_path / "x.itk")
    assert f"sound coded as {codec} cannot be carried" in message
    assert "--no-audio" in message
    run("encode", source, "-o", tmp_path / "x.itk", "--no-audio")


@pytest.mark.parametrize(
    ("encoder", "codec", "held_by"),
    [
        ("aac", "A_AAC", (".mp4", ".m4v", ".mov", ".mkv")),
        ("ac3", "A_AC3", (".mp4", ".m4v", ".mov", ".mkv", ".avi")),
        ("eac3", "A_EAC3", (".mp4", ".mov", ".mkv")),
        ("libmp3lame", "A_MPEG/L3", (".mp4", ".mov", ".mkv", ".avi")),
        ("flac", "A_FLAC", (".mp4", ".mkv")),
        ("libopus", "A_OPUS", (".mp4", ".mkv", ".webm")),
        ("pcm_s16le", "A_PCM/INT/LIT", (".mov", ".mkv", ".avi")),
    ],
)
def test_what_each_output_can_hold(
    refused: Callable[..., str], run: Run, tmp_path: Path, encoder: str, codec: str, held_by: tuple[str, ...]
) -> None:
    source = make_media(tmp_path / "source.mkv", sound=encoder, frames=6)
    given = read_media(source)
    run("encode", source, "-o", tmp_path / "x.itk")
    for suffix in (".mp4", ".m4v", ".mov", ".mkv", ".webm", ".avi"):
        target = tmp_path / f"x{suffix}"
        if suffix in held_by:
            run("decode", tmp_path / "x.itk", "-o", target)
            assert read_media(target).sound_bytes == given.sound_bytes
        else:
            message = refused(2, "decode", tmp_path / "x.itk", "-o", target)
            assert f"a {suffix} file cannot hold sound of codec {codec}: choose .mkv" in message
