"""Folders of pictures and damaged videos as inputs of `encode`, and what it says it leaves out."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import pytest

from infotok_cli.video.reader import open_video
from make_itk import Plan, itk_bytes, itk_header
from make_media import make_media
from make_video import make_video, moving_shapes

Run = Callable[..., Any]
Refused = Callable[..., str]


@pytest.fixture
def frames(run: Run, encoded: Path) -> Path:
    """The clip's twenty frames as decode writes them."""
    folder = encoded.with_name("frames")
    run("decode", encoded, "-o", folder)
    return folder


def test_what_decode_writes_is_encoded_again(run: Run, frames: Path) -> None:
    report = json.loads(run("encode", frames, "--json").stdout)
    assert report["output"] == str(frames.with_suffix(".itk"))
    assert (report["frames"], report["frame_rate"], report["frame_times"]) == (20, "30/1", False)
    assert report["input_bytes"] == sum(path.stat().st_size for path in frames.iterdir())
    target = frames.with_name("b.itk")
    words = ("--fps", "30000/1001", "--start", 0.1, "--end", 0.2, "--short-side", 20, "--json")
    report = json.loads(run("encode", f"{frames}/", "-o", target, *words).stdout)
    assert (report["frames"], report["frame_rate"], report["height"]) == (3, "30000/1001", 20)


def test_pictures_are_those_of_the_folder(run: Run, frames: Path) -> None:
    """A lossless copy of them as a video gives the very same file."""
    with open_video(next(iter(sorted(frames.iterdir())))) as one:
        size = (one.info.height, one.info.width)
    pictures = moving_shapes(5, *size)
    source = make_video(frames.with_name("v.mkv"), pictures, codec="ffv1", pixel_format="bgr0")
    shutil.rmtree(frames)
    frames.mkdir()
    with av.open(str(source)) as container:
        for number, frame in enumerate(container.decode(video=0)):
            context = av.CodecContext.create("png", "w")
            context.width, context.height, context.pix_fmt = frame.width, frame.height, "rgb24"  # type: ignore[attr-defined]
            context.time_base = Fraction(1)
            context.thread_count = 1
            copy = frame.reformat(format="rgb24")
            copy.pts = 0
            data = b"".join(bytes(packet) for packet in [*context.encode(copy), *context.encode(None)])  # type: ignore[attr-defined]
            (frames / f"shot {number + 9}.png").write_bytes(data)  # 9 comes before 10
    (frames / "notes.txt").write_text("not a picture")
    tokens = [
        json.loads(run("encode", given, "-o", frames.with_name("x.itk"), "-y", "--json").stdout)[
            "token_bytes"
        ]
        for given in (frames, source)
    ]
    assert tokens[0] == tokens[1]


def test_folders_that_hold_no_video(run: Run, refused: Refused, frames: Path) -> None:
    empty = frames.with_name("empty")
    empty.mkdir()
    assert "is a folder without numbered pictures" in refused(3, "encode", empty)
    (frames / "frame-000003.png").unlink()
    target = frames.with_name("o.itk")
    result = run("encode", frames, "-o", target)
    assert "warning" in result.stderr
    assert "1 number is missing from frame-000001.png to frame-000020.png" in result.stderr
    target.unlink()
    (frames / "frame-4.png").write_bytes(b"")
    assert "which have the same number" in refused(3, "encode", frames, "-o", target)
    (frames / "frame-4.png").rename(frames / "title.png")
    assert "title.png, whose name has no number" in refused(3, "encode", frames, "-o", target)
    (frames / "title.png").rename(frames / "frame-000021.png")
    assert "frame-000021.png: is empty" in refused(3, "encode", frames, "-o", target)


@pytest.mark.parametrize("rate", ["0", "nan", "1/0", "2000", "-3", "fast", "1e400"])
def test_frame_rates_that_are_none(refused: Refused, frames: Path, rate: str) -> None:
    assert "is not a frame rate" in refused(2, "encode", frames, "--fps", rate)


def test_options_that_do_not_go_together(refused: Refused, clip: Path, frames: Path) -> None:
    target = frames.with_name("o.itk")
    assert "--fps is for folders" in refused(2, "encode", clip, "-o", target, "--fps", "25")
    assert "does not go with a folder" in refused(2, "encode", frames, "-o", target, "--skip-bad")


def test_output_into_a_folder(run: Run, refused: Refused, clip: Path, tmp_path: Path) -> None:
    folder = tmp_path / "made"
    message = refused(5, "encode", clip, "-o", f"{folder}/")
    assert message == f"{folder}/: is not a folder that exists: create it first"
    folder.mkdir()
    run("encode", clip, "-o", f"{folder}/")
    assert (folder / f"{clip.stem}.itk").exists()
    assert "exists already" in refused(5, "encode", clip, "-o", folder)


@pytest.mark.parametrize("sound", [None, "aac"])
def test_a_truncated_video_is_encoded_up_to_its_end(
    run: Run, refused: Refused, tmp_path: Path, sound: str | None
) -> None:
    source = make_media(
        tmp_path / "v.mp4", frames=90, sound=sound, container_options={"movflags": "faststart"}
    )
    source.write_bytes(source.read_bytes()[: source.stat().st_size * 3 // 4])
    target = tmp_path / "v.itk"
    message = refused(3, "encode", source, "-o", target)
    assert " s)" in message
    assert "--skip-bad" in message
    report = json.loads(run("encode", source, "-o", target, "--skip-bad", "--json").stdout)
    assert 10 < report["frames"] < 90
    seconds = report["frames"] / 30
    told = [line for line in report["warnings"] if "are encoded" in line]
    assert len(told) == 1
    assert f"the first {seconds:.3f} s are encoded, the {3 - seconds:.3f} s after them are lost" in told[0]
    assert len(report["warnings"]) == (1 if sound is None else 2)
    run("inspect", target)


def test_whole_videos_are_not_touched_by_skip_bad(run: Run, clip: Path, tmp_path: Path) -> None:
    run("encode", clip, "-o", tmp_path / "a.itk")
    result = run("encode", clip, "-o", tmp_path / "b.itk", "--skip-bad")
    assert "warning" not in result.stderr
    assert (tmp_path / "a.itk").read_bytes() == (tmp_path / "b.itk").read_bytes()


def with_more_tracks(source: Path, target: Path) -> Path:
    """The file with its sound twice, a subtitle track and two chapters."""
    words = target.with_suffix(".srt")
    words.write_text("1\n00:00:00,100 --> 00:00:00,500\nHello.\n")
    tick = Fraction(1, 1000)
    with av.open(str(source)) as one, av.open(str(words)) as two, av.open(str(target), "w") as other:
        copies: list[tuple[Any, list[Any]]] = [
            (stream, [other.add_stream_from_template(stream)]) for stream in (*one.streams, *two.streams)
        ]
        copies[1][1].append(other.add_stream_from_template(one.streams.audio[0]))
        other.set_chapters(
            [
                {"id": 1, "start": 0, "end": 300, "time_base": tick, "metadata": {"title": "one"}},
                {"id": 2, "start": 300, "end": 800, "time_base": tick, "metadata": {"title": "two"}},
            ]
        )
        for container in (one, two):
            for packet in container.demux():
                for stream in next(found for known, found in copies if known is packet.stream):
                    if packet.dts is not None:
                        copy = av.Packet(bytes(packet))
                        copy.stream, copy.time_base = stream, packet.time_base
                        copy.pts, copy.dts, copy.is_keyframe = packet.pts, packet.dts, packet.is_keyframe
                        other.mux(copy)
    return target


def test_what_is_left_out_is_said_once(run: Run, tmp_path: Path) -> None:
    source = with_more_tracks(make_media(tmp_path / "one.mp4"), tmp_path / "more.mkv")
    told = f"infotok: warning: {source}: 1 further sound track, 1 subtitle track and 2 chapters are left out"
    lines = run("encode", source, "-o", tmp_path / "o.itk").stderr.splitlines()
    assert [line for line in lines if "warning" in line] == [told]
    lines = run("encode", source, "-o", tmp_path / "o.itk", "-y", "--no-audio").stderr.splitlines()
    assert [line for line in lines if "warning" in line] == [told.replace("1 further sound track, ", "")]
    assert "warning" not in run("encode", tmp_path / "one.mp4").stderr


def test_encoding_tokens_says_what_they_are(refused: Refused, tmp_path: Path) -> None:
    tokens = tmp_path / "a.itk"
    tokens.write_bytes(itk_bytes([Plan(8)], itk_header()))
    assert "is an .itk file already, not a video: 'infotok decode" in refused(3, "encode", tokens)
