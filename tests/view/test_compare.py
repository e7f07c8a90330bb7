"""Files of one clip side by side: their numbers, their picture, and what is refused."""

from __future__ import annotations

import dataclasses
import json
import subprocess
import sys
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from infotok_cli.cli.app import main
from infotok_cli.codec.encode import encode_file
from infotok_cli.codec.options import EncodeOptions
from infotok_cli.container.reader import ItkReader
from infotok_cli.evaluate.measure import measure_clip
from infotok_cli.itk.edit import repair_file
from infotok_cli.itk.report import report_file
from infotok_cli.metrics import psnr, ssim
from infotok_cli.video.reader import open_video
from infotok_cli.view.drawing import BACKGROUND, fitted, font
from infotok_cli.view.scene import where_tokens_are
from infotok_cli.view.sides import Side, Sides
from infotok_cli.view.sides_drawing import cell_words, draw_sides
from made_clip import MadeClip, broken, made_clip, tiny_itk
from make_itk import Plan, itk_bytes, itk_header
from make_video import make_video, moving_shapes

Run = Callable[..., tuple[int, str, str]]


@pytest.fixture(scope="module")
def clip(tmp_path_factory: pytest.TempPathFactory) -> MadeClip:
    return made_clip(tmp_path_factory.mktemp("compare"))


@pytest.fixture
def run(clip: MadeClip, capsys: pytest.CaptureFixture[str]) -> Run:
    def call(*arguments: object) -> tuple[int, str, str]:
        code = main(["compare", *map(str, arguments), "--model", str(clip.model)])
        return code, *capsys.readouterr()

    return call


def test_numbers_are_those_of_a_decode(clip: MadeClip, tmp_path: Path, run: Run) -> None:
    code, out, said = run(clip.low, clip.high, "--source", clip.source, "--json")
    assert code == 0, said
    told = json.loads(out)
    assert (told["frames"], told["duration_seconds"], told["output"]) == (40, 2.0, None)
    with open_video(clip.source) as video:
        source = np.stack(list(video.frames()))
    for path, one in zip((clip.low, clip.high), told["files"], strict=True):
        report = report_file(path)
        assert one["input"] == str(path)
        assert (one["size_bytes"], one["tokens"]) == (path.stat().st_size, report.tokens)
        assert (one["token_rate"], one["bpp"]) == (report.token_rate, report.bpp)
        decoded = tmp_path / f"{path.stem}.mkv"
        words = ["decode", path, "-o", decoded, "--codec", "ffv1", "--model", clip.model]
        assert main([str(word) for word in words]) == 0
        with open_video(decoded) as video:
            shown = np.stack(list(video.frames()))
        assert one["psnr_db"] == pytest.approx(psnr(source, shown).mean())
        assert one["ssim"] == pytest.approx(ssim(source, shown).mean())


def test_numbers_are_those_of_eval(clip: MadeClip, tmp_path: Path, run: Run) -> None:
    make_video(tmp_path / "clip.mkv", moving_shapes(12, 40, 48))
    options = EncodeOptions(rate=0.5, segment_frames=8)
    row = measure_clip(tmp_path / "clip.mkv", clip.engine(), options)
    for name in ("a.itk", "b.itk"):
        encode_file(tmp_path / "clip.mkv", tmp_path / name, clip.engine(), options)
    files = [tmp_path / "a.itk", tmp_path / "b.itk"]
    code, out, said = run(*files, "--source", tmp_path / "clip.mkv", "--json")
    assert code == 0, said
    for one in json.loads(out)["files"]:
        for name in ("psnr_db", "ssim", "ms_ssim", "tokens", "bpp", "size_bytes"):
            assert one[name] == pytest.approx(getattr(row, name)), name


def test_the_table_has_a_row_for_each_file(clip: MadeClip, run: Run) -> None:
    code, out, said = run(clip.low, clip.high, "--source", clip.source)
    assert (code, said) == (0, "")
    head, low, high = (line.split() for line in out.splitlines())
    assert head == ["file", "bytes", "tokens", "rate", "bits", "per", "pixel", "PSNR", "dB", "SSIM"]
    for path, cells in ((clip.low, low), (clip.high, high)):
        report = report_file(path)
        assert cells[0] == str(path)
        assert cells[1:5] == [
            f"{report.size_bytes:,}", f"{report.tokens:,}", f"{report.token_rate:.3f}", f"{report.bpp:.4f}",
        ]  # fmt: skip
        assert 0 < float(cells[5]) < 60
        assert -1 < float(cells[6]) < 1


def test_without_a_source_nothing_is_decoded(clip: MadeClip, capsys: pytest.CaptureFixture[str]) -> None:
    words = ["compare", str(clip.low), str(clip.high), "--model", "nowhere.safetensors"]
    assert main(words) == 0
    out = capsys.readouterr().out
    assert "PSNR" not in out
    assert len(out.splitlines()) == 3


@pytest.mark.parametrize("source", [True, False])
def test_a_picture_of_all(clip: MadeClip, tmp_path: Path, run: Run, source: bool) -> None:
    target = tmp_path / "beside.png"
    words = ["--source", clip.source] if source else []
    code, out, said = run(clip.low, clip.high, *words, "-o", target, "--at", "1")
    assert code == 0, said
    assert "frame 20 of 2 files" in said
    assert len(out.splitlines()) == 3
    assert ("PSNR" in out) == source
    picture = Image.open(target)
    # 96x64 is enlarged to 384x256; frame and heat stand below each other.
    assert picture.width == pytest.approx((384 + 12) * (3 if source else 2), abs=20)
    assert picture.height > 2 * 256
    assert run(clip.low, clip.high, "-o", target)[0] == 5


@pytest.mark.parametrize(("height", "width"), [(256, 456), (720, 1280), (456, 256), (256, 144), (64, 64)])
@pytest.mark.parametrize("files", [2, 3, 4, 6])
def test_pictures_are_readable(clip: MadeClip, height: int, width: int, files: int) -> None:
    """Every pane stands whole in the picture, no narrower than its words need."""
    with ItkReader(clip.high) as reader:
        where = where_tokens_are(reader)
    red, green = (np.full((height, width, 3), colour, np.uint8) for colour in ((200, 0, 0), (0, 200, 0)))
    side = Side(path=clip.high, report=report_file(clip.high), where=where, quality=None, picture=green)
    compared = Sides(sides=(side,) * files, source=red, frame=3, notes=())
    view = draw_sides(compared, "clip.mp4")
    assert view.shape[0] % 2 == view.shape[1] % 2 == 0
    assert view.shape[1] <= 2700
    assert 0.5 < view.shape[1] / view.shape[0] < 5
    reds, greens = ((view == colour).all(axis=-1).sum() for colour in ((200, 0, 0), (0, 200, 0)))
    assert greens == files * reds
    pane = np.argwhere((view == (200, 0, 0)).all(axis=-1))
    tall, wide = np.ptp(pane, axis=0) + 1
    assert wide / tall == pytest.approx(width / height, rel=0.02)
    assert min(tall, wide) >= 140
    cell = wide * (2 if height > width else 1)
    assert fitted(cell_words(side), cell, 12) == cell_words(side)
    assert font(12).getlength(side.path.name) < cell
    assert (view[-4:] == BACKGROUND).all()


def test_what_does_not_go_together_is_refused(clip: MadeClip, tmp_path: Path, run: Run) -> None:
    make_video(tmp_path / "short.mkv", moving_shapes(5, 64, 96))
    make_video(tmp_path / "wide.mkv", moving_shapes(40, 64, 128))
    (tmp_path / "short.itk").write_bytes(tiny_itk(clip.model, [Plan(8)]))
    (tmp_path / "wide.itk").write_bytes(tiny_itk(clip.model, [Plan(8)] * 5, width=112))
    (tmp_path / "bent.itk").write_bytes(broken(clip.high.read_bytes(), 2))
    (tmp_path / "cut.itk").write_bytes(clip.high.read_bytes()[:-50])
    repair_file(tmp_path / "bent.itk", tmp_path / "mended.itk")
    other = dataclasses.replace(
        itk_header(width=96, height=64, frame_rate=Fraction(20), time_base=Fraction(1, 20)),
        model_name="other", model_sha256=bytes(32), router="elastic", allocation="position",
    )  # fmt: skip
    (tmp_path / "other.itk").write_bytes(itk_bytes([Plan(8)] * 5, other))
    folder = tmp_path / "folder.png"
    folder.mkdir()
    before = sorted(tmp_path.iterdir())
    with_source = ["--source", clip.source]
    cases: list[tuple[int, str, list[object]]] = [
        (3, "short.itk: is 96x64, 8 frames in 0.400 s, but low.itk is 96x64, 40 frames in 2.000 s: give "
            "files of one clip", [clip.low, tmp_path / "short.itk"]),
        (3, "wide.itk: is 112x64, 40 frames", [clip.low, tmp_path / "wide.itk"]),
        (4, "other.itk: was made with model other 000000000000, but low.itk with tiny",
            [clip.low, tmp_path / "other.itk"]),
        (3, "short.mkv: has no frame 5, which the file has: give the video that was encoded",
            [clip.low, clip.high, "--source", tmp_path / "short.mkv"]),
        (3, "wide.mkv: is 128x64, the file 96x64: give the video that was encoded, or leave --source out",
            [clip.low, clip.high, "--source", tmp_path / "wide.mkv"]),
        (3, "bent.itk: segment 2 (0.800 s to 1.200 s", [clip.low, tmp_path / "bent.itk", *with_source]),
        (3, "cut.itk", [clip.low, tmp_path / "cut.itk"]),
        (3, "mended.itk: segment 2 (0.800 s to 1.200 s) is lost: encode the video again",
            [clip.low, tmp_path / "mended.itk", *with_source]),
        (3, "nowhere.itk: does not exist", [clip.low, tmp_path / "nowhere.itk"]),
        (2, "1 file cannot be compared: give 2 to 6", [clip.low]),
        (2, "7 files cannot be compared: give 2 to 6", [clip.low] * 7),
        (2, "--frame and --at exclude each other", [clip.low, clip.high, "-o", tmp_path / "a.png",
            "--frame", 1, "--at", 1]),
        (2, "--frame and --at are for the picture", [clip.low, clip.high, "--frame", 1]),
        (2, "--frame 40 is out of range: choose 0 to 39",
            [clip.low, clip.high, "-o", tmp_path / "a.png", "--frame", 40]),
        (2, "a.mp4: cannot write a .mp4 file: choose .png", [clip.low, clip.high, "-o", tmp_path / "a.mp4"]),
        (5, "folder.png: is a folder", [clip.low, clip.high, "-o", folder]),
        (5, "does not exist: create it first", [clip.low, clip.high, "-o", tmp_path / "no" / "a.png"]),
    ]  # fmt: skip
    for expected, message, arguments in cases:
        code, out, said = run(*arguments)
        assert (code, said.count("\n"), out) == (expected, 1, ""), said
        assert message in said
    assert sorted(tmp_path.iterdir()) == before


def test_a_longer_source_is_taken_from_its_start_with_a_word(
    clip: MadeClip, tmp_path: Path, run: Run
) -> None:
    with open_video(clip.source) as video:
        pictures = np.stack(list(video.frames()))
    longer = make_video(
        tmp_path / "long.mkv", np.concatenate([pictures, pictures]), rate=20, options={"crf": "1"}
    )
    code, out, said = run(clip.low, clip.high, "--source", longer, "--json")
    assert code == 0
    assert "long.mkv has about 80 frames, the file 40: its first 40 are taken" in said
    exact = json.loads(run(clip.low, clip.high, "--source", clip.source, "--json")[1])
    told = json.loads(out)
    assert told["warnings"] != exact["warnings"] == []
    for one, other in zip(told["files"], exact["files"], strict=True):
        assert one["psnr_db"] == pytest.approx(other["psnr_db"], abs=0.2)


def test_views_and_reports_tell_of_a_longer_source(
    clip: MadeClip, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    longer = make_video(tmp_path / "long.mkv", moving_shapes(60, 64, 96), rate=20)
    for command, name in (("view", "a.png"), ("report", "a.html")):
        words = [command, clip.low, "--source", longer, "-o", tmp_path / name, "--model", clip.model]
        assert main([str(word) for word in words]) == 0
        assert "long.mkv has about 60 frames, the file 40" in capsys.readouterr().err


def test_help_loads_nothing_heavy() -> None:
    code = (
        "import sys\nfrom infotok_cli.cli.app import main\nmain(['compare', '--help'])\n"
        "assert not {'PIL', 'torch', 'av', 'numpy'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-P", "-c", code], check=True, capture_output=True)
