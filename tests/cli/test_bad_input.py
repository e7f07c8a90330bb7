"""Whatever is wrong: one line on stderr, the right exit code, no traceback, and no file left or changed."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from safetensors import safe_open
from safetensors.torch import save_file

from infotok_cli.codec.decode import decode_file
from infotok_cli.codec.load_engine import load_engine
from infotok_cli.container import layout
from infotok_cli.container.sections import section_crc
from infotok_cli.errors import InputError
from make_video import make_sound, make_video, moving_shapes

Refused = Callable[..., str]
Run = Callable[..., Any]


@pytest.mark.parametrize("command", ["encode", "decode", "inspect", "stats"])
def test_input_is_no_file(refused: Refused, tmp_path: Path, command: str) -> None:
    missing = tmp_path / "nothing.itk"
    assert refused(3, command, missing) == f"{missing}: does not exist: check the name"
    assert "is a folder" in refused(3, command, tmp_path)
    assert "is a folder" in refused(3, command, "/")
    (tmp_path / "empty.itk").touch()
    target = tmp_path / ("out.itk" if command == "encode" else "out.mp4")
    options = ("-o", target) if command in ("encode", "decode") else ()
    assert "is empty" in refused(3, command, tmp_path / "empty.itk", *options)
    refused(3, command, tmp_path / ("n" * 300))


def _text(path: Path) -> None:
    path.write_text("no pictures\n" * 50)


def _without_frames(path: Path) -> None:
    source = make_video(path.with_name("whole.h264"), moving_shapes(3, 16, 16)).read_bytes()
    parameters = [unit for unit in source.split(b"\0\0\1") if unit and unit[0] & 31 in (7, 8)]
    path.write_bytes(b"".join(b"\0\0\0\1" + unit for unit in parameters))


def _sound(path: Path) -> None:
    make_sound(path.with_suffix(".m4a")).rename(path)


def _cut(path: Path) -> None:
    make_video(path, moving_shapes(20, 32, 48))
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def _cut_after_index(path: Path) -> None:
    make_video(path, moving_shapes(20, 32, 48), container_options={"movflags": "faststart"})
    path.write_bytes(path.read_bytes()[:-200])


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (_text, "is not a video"),
        (_without_frames, "has no frames"),
        (_sound, "has only audio"),
        (_cut, "is truncated"),
        (_cut_after_index, "is truncated"),
    ],
)
def test_encode_of_no_good_video(
    refused: Refused, tmp_path: Path, make: Callable[[Path], None], message: str
) -> None:
    path = tmp_path / ("clip.h264" if make is _without_frames else "clip.mp4")
    make(path)
    assert message in refused(3, "encode", path)


@pytest.mark.parametrize("command", ["decode", "inspect", "stats"])
def test_not_an_itk_file(refused: Refused, clip: Path, tmp_path: Path, command: str) -> None:
    options = ("-o", tmp_path / "out.mp4") if command == "decode" else ()
    assert "is not an .itk file" in refused(3, command, clip, *options)


@pytest.mark.parametrize("command", ["decode", "inspect", "stats"])
def test_newer_format_version(refused: Refused, encoded: Path, command: str) -> None:
    content = bytearray(encoded.read_bytes())
    start = len(layout.MAGIC) + layout.SECTION_STRUCT.size
    kind, length, _ = layout.SECTION_STRUCT.unpack_from(content, len(layout.MAGIC))
    content[start] = 3
    check = section_crc(kind, length, bytes(content[start : start + length]))
    layout.SECTION_STRUCT.pack_into(content, len(layout.MAGIC), kind, length, check)
    encoded.write_bytes(content)
    assert "format version 3 is newer than 1" in refused(3, command, encoded)


@pytest.mark.parametrize("command", ["decode", "inspect", "stats"])
def test_truncated_itk(refused: Refused, encoded: Path, command: str) -> None:
    whole = encoded.read_bytes()
    for length in (5, 60, len(whole) // 2, len(whole) - 1):
        encoded.write_bytes(whole[:length])
        assert "truncated" in refused(3, command, encoded)


def test_any_flipped_byte_is_noticed(refused: Refused, encoded: Path, model_file: Path) -> None:
    """Decoding goes through one loaded model; that the command says so in one line is tested elsewhere."""
    engine = load_engine(model_file, "cpu", precision="fp32")
    whole, target = encoded.read_bytes(), encoded.with_suffix(".mp4")
    for number in range(40):
        at = number * (len(whole) - 1) // 39
        encoded.write_bytes(whole[:at] + bytes([whole[at] ^ (1 << number % 8)]) + whole[at + 1 :])
        for command in ("inspect", "stats"):
            refused(3, command, encoded)
        with pytest.raises(InputError, match=re.escape(str(encoded))):
            decode_file(encoded, target, engine)
        assert [path.name for path in encoded.parent.iterdir()] == [encoded.name]


def test_damage_outside_the_range_does_not_matter(run: Run, refused: Refused, encoded: Path) -> None:
    content = bytearray(encoded.read_bytes())
    content[-layout.FOOTER_STRUCT.size - 300] ^= 1
    encoded.write_bytes(content)
    refused(3, "decode", encoded)
    run("decode", encoded, "--end", 0.1)


@pytest.fixture
def other_model(model_file: Path, tmp_path: Path) -> Path:
    """The same model but for one tensor."""
    with safe_open(model_file, framework="pt") as reader:
        metadata = reader.metadata()
        tensors = {name: reader.get_tensor(name) for name in reader.keys()}  # noqa: SIM118
    tensors["mask"] = tensors["mask"] + 1
    path = tmp_path / "other.safetensors"
    save_file(tensors, path, metadata)
    return path


def test_wrong_weights(refused: Refused, encoded: Path, other_model: Path) -> None:
    message = refused(4, "decode", encoded, "--model", other_model)
    assert "was made with model tiny" in message
    assert "--model" in message


def test_missing_or_broken_model(
    refused: Refused, clip: Path, encoded: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    target = encoded.with_name("new.itk")
    assert "does not exist" in refused(4, "encode", clip, "-o", target, "--model", "none.safetensors")
    assert "is unknown: choose small" in refused(4, "decode", encoded, "--model", "huge")
    assert "cannot be read" in refused(4, "decode", encoded, "--model", encoded)
    monkeypatch.setenv("INFOTOK_MODEL", "elsewhere.safetensors")
    assert "INFOTOK_MODEL" in refused(4, "decode", encoded)


def test_output_cannot_be_written(refused: Refused, clip: Path, encoded: Path) -> None:
    nowhere, below_a_file = encoded.with_name("none"), encoded / "x"
    for target in (nowhere / "a.itk", below_a_file / "a.itk", encoded / "a.itk", encoded.parent):
        refused(5, "encode", clip, "-o", target)
    for target in (nowhere / "a.mp4", encoded / "a.mp4", nowhere / "deep" / "frames", encoded / "frames"):
        refused(5, "decode", encoded, "-o", target)


def test_existing_output_is_kept(refused: Refused, clip: Path, encoded: Path) -> None:
    assert "exists already" in refused(5, "encode", clip, "-o", encoded)
    old = encoded.with_suffix(".decoded.mp4")
    old.write_text("old")
    assert "exists already" in refused(5, "decode", encoded)
    frames = encoded.with_name("frames")
    frames.mkdir()
    (frames / "notes.txt").write_text("mine")
    assert "is not empty" in refused(5, "decode", encoded, "-o", frames)
    assert "notes.txt" in refused(5, "decode", encoded, "-o", frames, "-y")


def test_existing_output_is_noticed_before_a_model_is_looked_for(
    refused: Refused, clip: Path, encoded: Path
) -> None:
    assert "exists already" in refused(5, "encode", clip, "-o", encoded, "--model", "none.safetensors")


def test_input_as_output(refused: Refused, clip: Path, encoded: Path) -> None:
    for target in (encoded, encoded.parent / "." / encoded.name, os.path.relpath(encoded)):
        assert "is the input itself" in refused(2, "decode", encoded, "-o", target, "-y")
    link = encoded.with_name("link.mp4")
    link.symlink_to(clip)
    assert "is the input itself" in refused(2, "encode", link, "-o", clip, "-y")


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (("--rate", "0.05"), "--rate 0.05 is out of range: choose 0.125 to 1"),
        (("--rate", "1.5"), "--rate 1.5 is out of range"),
        (("--rate", "nan"), "--rate nan is out of range"),
        (("--rate", "high"), "--rate 'high' is not a number: give one like 0.5 or 50%"),
        (("--max-tokens", "1.5"), "--max-tokens '1.5' is not a whole number"),
        (("--precision", "int8"), "--precision 'int8' is unknown: choose auto, bf16 or fp32"),
        (("--precision", "bf16", "--deterministic"), "--precision bf16 does not go with --deterministic"),
        (("--rate", "0.5", "--bitrate", "9k"), "--rate and --bitrate exclude each other"),
        (("--max-tokens", "9", "--target-psnr", "30"), "--max-tokens and --target-psnr exclude each other"),
        (("--max-tokens", "0"), "--max-tokens 0 is out of range"),
        (("--bitrate", "-5"), "--bitrate -5 is out of range: give a positive number of bits per second"),
        (("--target-size", "5 apples"), "--target-size '5 apples' is not a number: give bytes, such as 500"),
        (("--target-size", "99"), "--target-size 99 is below the least of"),
        (("--calibrated-rate", "2"), "--calibrated-rate 2 is out of range: choose 0.125 to 1"),
        (("--target-psnr", "nan"), "--target-psnr nan is out of range"),
        (("--start", "2", "--end", "1"), "--end 1 is not after --start 2"),
        (("--start", "-1"), "--start -1 is not a time: give seconds from the beginning, 0 or more"),
        (("--end", "inf"), "give seconds from the beginning"),
        (("--start", "1:75"), "--start 1:75 is not a time"),
        (("--end", "1", "--duration", "1"), "--end and --duration both say where to stop: give one of them"),
        (("--duration", "0"), "--duration 0 leaves nothing"),
        (("--frames", "0"), "--frames 0 is out of range: choose at least 1"),
        (("--max-tokens", "1e400"), "--max-tokens 1e400 is out of range: choose at most"),
        (("--bitrate", "50kB"), "--bitrate '50kB' is in bytes: give bits"),
        (("--start", "60"), "--start 60 is past the last frame, which is shown at 0.634 s"),
        (("--router", "magic"), "--router 'magic' is unknown: choose fast, exact, fixed, elastic"),
        (("--allocation", "magic"), "--allocation 'magic' is unknown"),
        (("--segment-frames", "6"), "--segment-frames 6 is not a multiple of 4"),
        (("--refine", "-1"), "--refine -1 is out of range: choose 0 to 1000 steps"),
        (("--short-side", "0"), "--short-side 0 is out of range"),
        (("--device", "abacus"), "--device 'abacus' is unknown"),
        (("--no-such-option",), "there is no option --no-such-option"),
        (("--rat", "1"), "there is no option --rat, perhaps --rate or "),
        (("one", "too many"), "infotok encode --help"),
    ],
)
def test_encode_usage(
    refused: Refused, clip: Path, tmp_path: Path, options: tuple[str, ...], message: str
) -> None:
    assert message in refused(2, "encode", clip, "-o", tmp_path / "a.itk", *options)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (("--start", "2"), "no frame lies between"),
        (("--start", "0.5", "--end", "0.2"), "--end 0.2 is not after --start 0.5: give a later end"),
        (("--start", "nan"), "give seconds from the beginning"),
        (("--crf", "99"), "--crf 99 is out of range: choose 0 to 63"),
        (("--codec", "magic"), "magic"),
        (("-o", "{}/out.wmv"), "cannot write a .wmv file"),
        (
            ("-o", "{}/frames", "--crf", "20", "--codec", "vp9"),
            "--codec and --crf do not apply to PNG frames",
        ),
        (("-o", "{}/frames.d/"), "leave out .d"),
        (("-o", "{}/frames", "--crf", "20"), "--crf does not apply to PNG frames: leave it out"),
        (("-o", "{}/out.webm", "--codec", "h264"), "cannot hold"),
    ],
)
def test_decode_usage(refused: Refused, encoded: Path, options: tuple[str, ...], message: str) -> None:
    assert message in refused(2, "decode", encoded, *(word.format(encoded.parent) for word in options))


def test_stats_takes_one_form(run: Run, refused: Refused, encoded: Path) -> None:
    assert "exclude each other" in refused(2, "stats", encoded, "--summary", "--csv")
    result = run("stats", encoded, "--json", "--csv", code=2)
    assert result.stdout == ""
    assert "exclude each other" in json.loads(result.stderr)["error"]["what"]


def test_no_such_command(refused: Refused) -> None:
    assert "infotok --help" in refused(2, "transmogrify")
    assert refused(2, "decode") == "FILE.itk is missing: see 'infotok decode --help'"
    assert refused(2, "cut", "a.itk") == "--output is missing: see 'infotok cut --help'"
    line = ("train", "clips", "-o", "a.safetensors", "--steps", "1", "--batch", "1")
    assert "--batch 1 is too low: choose 2 or more" in refused(2, *line)
