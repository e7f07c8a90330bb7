"""Every way an input can be wrong gives one line that names the file and the way out."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest

from infotok_cli.errors import InputError
from infotok_cli.video.reader import open_video
from make_video import make_image, make_sound, make_video, moving_shapes

FASTSTART = {"movflags": "faststart"}
FRAGMENTS = {"movflags": "frag_keyframe+empty_moov"}


def refusal(path: Path, end: float | None = None) -> str:
    """The message with which a file is refused, checked to be one line that names the file."""
    with pytest.raises(InputError) as caught, open_video(path) as reader:
        for _ in reader.frames(end_seconds=end):
            pass
    assert caught.value.exit_code == 3
    message = str(caught.value)
    assert message.startswith(f"{path}: ")
    assert "\n" not in message
    return message


def test_missing(tmp_path: Path) -> None:
    assert "does not exist: check the name" in refusal(tmp_path / "nothing.mp4")


def test_folder(tmp_path: Path) -> None:
    assert "is a folder, not a video" in refusal(tmp_path)


def test_empty(tmp_path: Path) -> None:
    path = tmp_path / "empty.mp4"
    path.touch()
    assert "is empty (0 bytes)" in refusal(path)


@pytest.mark.skipif(os.geteuid() == 0, reason="root reads everything")
def test_unreadable(tmp_path: Path) -> None:
    path = make_video(tmp_path / "secret.mp4", moving_shapes(2, 16, 16))
    path.chmod(0)
    assert "cannot be read: Permission denied" in refusal(path)


def test_pipe(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.mp4")
    assert "is not a regular file" in refusal(tmp_path / "pipe.mp4")


@pytest.mark.parametrize("name", ["notes.txt", "notes.mp4", "notes.nfo", "notes.srt", "notes"])
def test_text(tmp_path: Path, name: str) -> None:
    path = tmp_path / name
    path.write_text("these are\nonly words\n" * 40)
    assert "is not a video" in refusal(path)


def test_random_bytes(tmp_path: Path) -> None:
    path = tmp_path / "noise.mp4"
    path.write_bytes(np.random.default_rng(0).bytes(5000))
    refusal(path)


def test_sound_only(tmp_path: Path) -> None:
    assert "has only audio, no video" in refusal(make_sound(tmp_path / "song.m4a"))


def test_video_without_frames(tmp_path: Path) -> None:
    path = tmp_path / "hollow.h264"
    source = make_video(path, moving_shapes(3, 16, 16)).read_bytes()
    # Parameter sets only: the picture units (types 1 and 5) are left out.
    units = [unit for unit in source.split(b"\0\0\1") if unit and unit[0] & 31 in (7, 8)]
    path.write_bytes(b"".join(b"\0\0\0\1" + unit for unit in units))
    assert "has no frames" in refusal(path)


def test_index_missing(tmp_path: Path) -> None:
    path = make_video(tmp_path / "cut.mp4", moving_shapes(20, 32, 48))
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    assert "is truncated or damaged (no index)" in refusal(path)


@pytest.mark.parametrize("share", [0.3, 0.6, 0.9])
@pytest.mark.parametrize(
    ("name", "codec", "container_options"),
    [
        ("cut.mp4", "libx264", FASTSTART),
        ("cut.mov", "mpeg4", FASTSTART),
        ("cut.mp4", "libx264", FRAGMENTS),
        ("cut.avi", "mpeg4", {}),
    ],
)
def test_cut_in_the_middle(
    tmp_path: Path, name: str, codec: str, container_options: dict[str, str], share: float
) -> None:
    pictures = np.random.default_rng(0).integers(0, 256, (60, 32, 32, 3)).astype(np.uint8)
    path = make_video(tmp_path / name, pictures, codec=codec, container_options=container_options)
    with open_video(path) as reader:
        assert len(list(reader.frames())) == 60
    content = path.read_bytes()
    path.write_bytes(content[: int(len(content) * share)])
    assert "truncated" in refusal(path) or "damaged" in refusal(path)


@pytest.mark.parametrize("audio_seconds", [0, 1])
def test_cut_matroska(tmp_path: Path, audio_seconds: float) -> None:
    path = make_video(tmp_path / "cut.mkv", moving_shapes(90, 32, 32), audio_seconds=audio_seconds)
    with open_video(path) as reader:
        assert len(list(reader.frames())) == 90
    content = path.read_bytes()
    path.write_bytes(content[: len(content) // 2])
    assert "is truncated" in refusal(path)


def test_cut_file_counts_and_can_be_read_up_to_the_cut(tmp_path: Path) -> None:
    path = make_video(tmp_path / "cut.mp4", moving_shapes(60, 32, 32), container_options=FASTSTART)
    content = path.read_bytes()
    path.write_bytes(content[: int(len(content) * 0.7)])
    message = refusal(path)
    assert "of 60 frames (" in message
    assert "skip_bad" in message
    readable = int(message.split("truncated: ")[1].split()[0])
    assert 20 < readable < 60
    with open_video(path) as reader:
        assert len(list(reader.frames(end_seconds=(readable - 1) / 30))) == readable - 1


@pytest.mark.parametrize("codec", ["libx264", "mpeg4"])
def test_damage_in_the_middle(tmp_path: Path, codec: str) -> None:
    path = make_video(
        tmp_path / "hurt.mp4", moving_shapes(60, 64, 64), codec=codec, container_options=FASTSTART
    )
    content = bytearray(path.read_bytes())
    middle = len(content) // 2
    content[middle : middle + 400] = bytes(400)
    path.write_bytes(content)
    assert "is damaged after frame" in refusal(path)


@pytest.mark.parametrize(
    ("name", "codec", "pixel_format"),
    [
        ("a.png", "png", "rgb24"),
        ("a.jpg", "mjpeg", "yuvj420p"),
        ("a.webp", "libwebp", "bgra"),
        ("a.bmp", "bmp", "bgr24"),
    ],
)
def test_cut_image(tmp_path: Path, name: str, codec: str, pixel_format: str) -> None:
    path = make_image(tmp_path / name, moving_shapes(1, 64, 64)[0], codec, pixel_format)
    content = path.read_bytes()
    path.write_bytes(content[: len(content) // 2])
    refusal(path)


def test_size_change(tmp_path: Path) -> None:
    parts = [make_video(tmp_path / f"{side}.h264", moving_shapes(4, side, side)) for side in (32, 64)]
    path = tmp_path / "both.h264"
    path.write_bytes(b"".join(part.read_bytes() for part in parts))
    assert "changes size from 32x32 to 64x64" in refusal(path)


def test_every_cut_is_noticed(tmp_path: Path) -> None:
    video = make_video(tmp_path / "whole.mp4", moving_shapes(8, 16, 16), container_options=FASTSTART)
    whole = video.read_bytes()
    path = tmp_path / "cut.mp4"
    for length in range(1, len(whole), 97):
        path.write_bytes(whole[:length])
        refusal(path)
