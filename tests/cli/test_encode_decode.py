"""`infotok encode` and `infotok decode` through real bytes: sizes, rates, ranges, kinds of output."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from infotok_cli.video.reader import open_video
from make_video import make_image, make_video, moving_shapes

Run = Callable[..., Any]
RATE = Fraction(30000, 1001)


def facts(path: Path) -> tuple[int, int, int, Fraction]:
    """Frames, height, width and frame rate of a video."""
    with open_video(path) as video:
        count = sum(1 for _ in video.frames())
        return count, video.info.height, video.info.width, video.info.frame_rate


def test_default_outputs_lie_beside_the_input(run: Run, clip: Path, tmp_path: Path) -> None:
    source = tmp_path / "my clip.v2.mp4"
    source.write_bytes(clip.read_bytes())
    result = run("encode", source)
    assert result.stdout == ""
    assert result.stderr.startswith(f"{source} (")
    for part in ("my clip.v2.itk", "tokens", "token rate 0.", "bits per pixel", "frames per second"):
        assert part in result.stderr
    assert result.stderr.count("\n") == 1
    result = run("decode", tmp_path / "my clip.v2.itk")
    assert result.stdout == ""
    assert "20 frames of 48x40 at 29.97 fps (30000/1001)" in result.stderr
    decoded = tmp_path / "my clip.v2.decoded.mp4"
    assert facts(decoded) == (20, 40, 48, RATE)
    assert source.read_bytes() == clip.read_bytes()
    assert sorted(tmp_path.iterdir()) == sorted([source, tmp_path / "my clip.v2.itk", decoded])


def test_a_default_name_replaces_no_file(
    refused: Callable[..., str], run: Run, clip: Path, tmp_path: Path
) -> None:
    (tmp_path / "a.mp4").write_bytes(clip.read_bytes())
    (tmp_path / "a.itk").write_text("notes of somebody")
    (tmp_path / "b.decoded.mp4").write_text("notes of somebody")
    for command, source, target in (("encode", "a.mp4", "a.itk"), ("decode", "b.itk", "b.decoded.mp4")):
        if command == "decode":
            run("encode", tmp_path / "a.mp4", "-o", tmp_path / "b.itk")
        message = refused(5, command, tmp_path / source)
        assert message == (
            f"{tmp_path / target}: exists already: replace it with -y, or name another with -o"
        )
        named = refused(5, command, tmp_path / source, "-o", tmp_path / target)
        assert named == f"{tmp_path / target}: exists already: choose another name, or replace it with -y"
        run(command, tmp_path / source, "-y")
        assert (tmp_path / target).stat().st_size > 100


@pytest.mark.parametrize("suffix", [".mp4", ".MKV", ".png", ".webm"])
def test_an_itk_file_is_not_named_like_a_video(
    refused: Callable[..., str], clip: Path, encoded: Path, tmp_path: Path, suffix: str
) -> None:
    for command, source in (("encode", clip), ("cut", encoded), ("repair", encoded)):
        message = refused(2, command, source, "-o", tmp_path / f"x{suffix}")
        assert f"x{suffix}: is the name of a {suffix} file" in message
        assert "name it x.itk; 'infotok decode' makes videos" in message


def test_a_stream_format_is_for_streams(refused: Callable[..., str], encoded: Path, tmp_path: Path) -> None:
    for kind in ("mkv", "y4m"):
        message = refused(2, "decode", encoded, "-o", tmp_path / "x.mkv", "--stream-format", kind)
        assert f"x.mkv: --stream-format {kind} does not apply to a file: leave it out" in message
    assert "choose mkv or y4m" in refused(2, "decode", encoded, "--stream-format", "gif")


def test_encode_json(run: Run, clip: Path, tmp_path: Path) -> None:
    result = run("encode", clip, "-o", tmp_path / "a.itk", "--json", "--rate", "0.25", "--router", "fixed")
    assert result.stderr == ""
    report = json.loads(result.stdout)
    assert report["frame_rate"] == "30000/1001"
    assert (report["frames"], report["width"], report["height"]) == (20, 48, 40)
    assert report["size_bytes"] == (tmp_path / "a.itk").stat().st_size
    assert report["token_rate"] == pytest.approx(report["tokens"] / report["positions"])
    assert (report["router"], report["allocation"], report["model"]["name"]) == ("fixed", "block", "tiny")
    assert report["speed"] > 0
    assert report["kernels"] in ("reference", "triton")


def test_decode_json(run: Run, encoded: Path) -> None:
    target = encoded.with_name("out.mkv")
    report = json.loads(run("decode", encoded, "-o", target, "--json").stdout)
    assert report["kernels"] in ("reference", "triton")
    assert (report["frames"], report["width"], report["height"]) == (20, 48, 40)
    assert report["frame_rate"] == "30000/1001"
    assert report["size_bytes"] == target.stat().st_size


@pytest.mark.parametrize("rate", [0.125, 0.5, 1])
@pytest.mark.parametrize("allocation", ["block", "position"])
def test_token_rate_is_met(run: Run, clip: Path, tmp_path: Path, rate: float, allocation: str) -> None:
    options = ("--rate", rate, "--allocation", allocation, "--json")
    report = json.loads(run("encode", clip, "-o", tmp_path / "a.itk", *options).stdout)
    # Blocks cut by an odd edge hold fewer positions, yet at least one token each.
    assert rate - 0.05 <= report["token_rate"] <= max(rate + 0.01, 0.25)


@pytest.mark.parametrize(
    ("arguments", "kind", "value", "words"),
    [
        (("--target-size", "1k"), "target-size", 1000, r"\d\d\.\d\d% of 1,000 bytes"),
        (("--bitrate", "12Ki"), "bitrate", 12288, r"[\d,]+ of 12,288 bits per second"),
        (("--max-tokens", "60"), "max-tokens", 60, r"\d+\.\d\d% of 60 tokens"),
        (("--tokens-per-second", "99.5"), "tokens-per-second", 99.5, r"of 99\.5 tokens per second"),
    ],
)
def test_budgets(
    run: Run, clip: Path, tmp_path: Path, arguments: tuple[str, str], kind: str, value: float, words: str
) -> None:
    told = run("encode", clip, "-o", tmp_path / "a.itk", *arguments).stderr
    assert re.search(words, told)
    report = json.loads(run("encode", clip, "-o", tmp_path / "b.itk", "--json", *arguments).stdout)
    assert report["budget"] == {"kind": kind, "value": value}
    assert report["passes"] == 1
    assert (tmp_path / "a.itk").read_bytes() == (tmp_path / "b.itk").read_bytes()
    assert json.loads(run("inspect", "--json", tmp_path / "a.itk").stdout)["target_rate"] is None
    assert "set by a budget" in run("inspect", tmp_path / "a.itk").stdout


def test_precision(run: Run, clip: Path, tmp_path: Path) -> None:
    def told(*options: str) -> str:
        words = ("encode", clip, "-o", tmp_path / "a.itk", "-y", "--json", "--device", "cpu", *options)
        return str(json.loads(run(*words).stdout)["precision"])

    try:
        assert told("--precision", "fp32") == "fp32"
        assert told("--precision", "bf16") == "bf16"
        assert told("--deterministic") == "fp32"
        first = (tmp_path / "a.itk").read_bytes()
        assert told("--deterministic") == "fp32"
        assert (tmp_path / "a.itk").read_bytes() == first
        assert torch.are_deterministic_algorithms_enabled()
    finally:
        torch.use_deterministic_algorithms(False)


@pytest.mark.parametrize("budget", [("--rate", "0.5"), ("--target-size", "1500")], ids=lambda words: words[0])
def test_refine_changes_tokens_but_not_how_many(
    run: Run, clip: Path, tmp_path: Path, budget: tuple[str, str]
) -> None:
    words = ("encode", clip, "--json", "--device", "cpu", *budget)
    plain = json.loads(run(*words, "-o", tmp_path / "plain.itk").stdout)
    refined = json.loads(run(*words, "-o", tmp_path / "refined.itk", "--refine", "2").stdout)
    assert (plain["refine"], refined["refine"]) == (0, 2)
    assert (tmp_path / "plain.itk").read_bytes() != (tmp_path / "refined.itk").read_bytes()
    if budget[0] == "--rate":
        assert plain["tokens"] == refined["tokens"]
    else:
        assert refined["size_bytes"] <= 1500
    run("decode", tmp_path / "refined.itk")
    assert facts(tmp_path / "refined.decoded.mp4") == facts(clip)


def test_exact_router(run: Run, clip: Path, tmp_path: Path) -> None:
    report = json.loads(run("encode", clip, "-o", tmp_path / "a.itk", "--router", "exact", "--json").stdout)
    assert report["router"] == "exact"


@pytest.mark.parametrize(("height", "width"), [(33, 47), (1, 1), (8, 70)])
def test_odd_sizes(run: Run, tmp_path: Path, height: int, width: int) -> None:
    source = make_video(
        tmp_path / "odd.mkv", moving_shapes(5, height, width), codec="ffv1", pixel_format="bgr0", rate=24
    )
    run("encode", source)
    run("decode", tmp_path / "odd.itk")
    assert facts(tmp_path / "odd.decoded.mp4") == (5, height, width, Fraction(24))


def test_still_image(run: Run, tmp_path: Path) -> None:
    make_image(tmp_path / "still.png", moving_shapes(1, 20, 30)[0], "png", "rgb24")
    run("encode", tmp_path / "still.png")
    run("decode", tmp_path / "still.itk", "-o", tmp_path / "frames")
    assert [path.name for path in (tmp_path / "frames").iterdir()] == ["frame-000001.png"]
    assert facts(tmp_path / "frames" / "frame-000001.png")[:3] == (1, 20, 30)


def test_webm_in_and_out(run: Run, tmp_path: Path) -> None:
    source = make_video(tmp_path / "a.webm", moving_shapes(9, 32, 48), codec="libvpx-vp9", rate=25)
    run("encode", source)
    run("decode", tmp_path / "a.itk", "-o", tmp_path / "b.webm")
    assert facts(tmp_path / "b.webm") == (9, 32, 48, Fraction(25))


def test_short_side(run: Run, clip: Path, tmp_path: Path) -> None:
    report = json.loads(run("encode", clip, "-o", tmp_path / "a.itk", "--short-side", 20, "--json").stdout)
    assert (report["height"], report["width"]) == (20, 24)


def test_range_of_encode(run: Run, clip: Path, tmp_path: Path) -> None:
    options = ("--start", "0.2", "--end", "0.4", "--json")
    report = json.loads(run("encode", clip, "-o", tmp_path / "a.itk", *options).stdout)
    assert report["frames"] == 6


def test_range_of_decode_gives_the_same_frames(run: Run, encoded: Path) -> None:
    whole, part = encoded.with_name("whole"), encoded.with_name("part")
    run("decode", encoded, "-o", whole)
    run("decode", encoded, "-o", f"{part}/", "--start", 0.2, "--end", 0.4)
    names = sorted(path.name for path in part.iterdir())
    assert names == [f"frame-{number:06d}.png" for number in range(1, 7)]
    for number, name in enumerate(names):
        assert (part / name).read_bytes() == (whole / f"frame-{number + 7:06d}.png").read_bytes()


def test_codec_and_quality(run: Run, encoded: Path) -> None:
    run("decode", encoded, "-o", encoded.with_name("good.mkv"), "--codec", "h264", "--crf", 5)
    run("decode", encoded, "-o", encoded.with_name("bad.mkv"), "--codec", "h264", "--crf", 45)
    assert encoded.with_name("bad.mkv").stat().st_size < encoded.with_name("good.mkv").stat().st_size


def test_overwrite(run: Run, clip: Path, encoded: Path) -> None:
    target = encoded.with_name("out.mp4")
    target.write_text("old")
    run("decode", encoded, "-o", target, "-y")
    assert facts(target)[0] == 20
    encoded.write_text("old")
    run("encode", clip, "-o", encoded, "--overwrite")
    run("inspect", encoded)


def test_decode_again_into_a_folder_of_frames(run: Run, encoded: Path) -> None:
    folder = encoded.with_name("frames")
    run("decode", encoded, "-o", folder)
    run("decode", encoded, "-o", folder, "-y", "--end", 0.1)
    assert len(list(folder.iterdir())) == 3


def test_names_that_look_like_something_else(run: Run, clip: Path, tmp_path: Path) -> None:
    source = tmp_path / "50% [red]: é.mp4"
    source.write_bytes(clip.read_bytes())
    result = run("encode", source)
    assert str(source) in result.stderr
    assert "50% [red]: é.itk" in run("inspect", tmp_path / "50% [red]: é.itk").stdout


def test_same_input_gives_the_same_file(run: Run, clip: Path, tmp_path: Path) -> None:
    for name in ("a.itk", "b.itk"):
        run("encode", clip, "-o", tmp_path / name)
    assert (tmp_path / "a.itk").read_bytes() == (tmp_path / "b.itk").read_bytes()


def test_packaged_model(run: Run, clip: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("INFOTOK_MODEL")
    run("encode", clip, "-o", tmp_path / "a.itk")
    report = json.loads(run("inspect", tmp_path / "a.itk", "--json").stdout)
    assert report["model"]["name"] == "small"
    run("decode", tmp_path / "a.itk")
    with open_video(clip) as one, open_video(tmp_path / "a.decoded.mp4") as other:
        pairs = zip(one.frames(), other.frames(), strict=True)
        errors = [np.abs(a.astype(int) - b).mean() for a, b in pairs]
    assert max(errors) < 60
