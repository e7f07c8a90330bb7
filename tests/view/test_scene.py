"""Views of a real file: the frame they choose, the panes they have, and what they refuse."""

from __future__ import annotations

import subprocess
import sys
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from infotok_cli.cli.app import main
from infotok_cli.codec.encode import encode_file
from infotok_cli.codec.options import EncodeOptions
from infotok_cli.container.reader import ItkReader
from infotok_cli.model.engine import Engine, choose_runtime
from infotok_cli.model.weights import load_model
from infotok_cli.view.scene import Scene, Wish, where_tokens_are
from make_video import make_video, moving_shapes
from tiny_model import write_tiny_model


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """tiny.safetensors, clip.mkv of 20 frames of 48x64 and clip.itk."""
    folder = tmp_path_factory.mktemp("view")
    write_tiny_model(folder / "tiny.safetensors")
    make_video(folder / "clip.mkv", moving_shapes(20, 48, 64))
    engine = Engine(load_model(folder / "tiny.safetensors"), choose_runtime("cpu"))
    encode_file(folder / "clip.mkv", folder / "clip.itk", engine, EncodeOptions(rate=0.5, segment_frames=8))
    return folder


@pytest.fixture
def run(folder: Path, capsys: pytest.CaptureFixture[str]) -> object:
    def call(*arguments: object) -> tuple[int, str]:
        code = main(["view", *map(str, arguments), "--model", str(folder / "tiny.safetensors")])
        return code, capsys.readouterr().err

    return call


def test_tokens_are_counted_as_the_index_does(folder: Path) -> None:
    with ItkReader(folder / "clip.itk") as reader:
        where = where_tokens_are(reader)
        assert where.tokens == int(reader.index.column("tokens").sum())
        assert where.positions == int(reader.index.positions(reader.header).sum())
        assert len(where.step_of_frame) == reader.total_frames == 20
        assert where.step_of_frame.tolist() == [3 * (frame // 8) + 1 + frame % 8 // 4 for frame in range(20)]
        timeline = where.timeline(2.0)
    assert timeline.ends.tolist() == pytest.approx([0, 0.2, 0.4, 0.4, 0.6, 0.8, 0.8, 1.0])


def test_the_telling_frame_is_that_of_the_most_uneven_step(folder: Path) -> None:
    with ItkReader(folder / "clip.itk") as reader:
        where = where_tokens_are(reader)
    uneven = [share.std() for share in where.shares]
    best = int(where.step_of_frame[where.telling_frame()])
    assert uneven[best] == max(uneven)


def test_a_still(folder: Path, tmp_path: Path, run: object) -> None:
    code, said = run(folder / "clip.itk", "-o", tmp_path / "a.png", "--frame", 19)  # type: ignore[operator]
    assert code == 0, said
    assert "frame 19 of clip.itk" in said
    plain = Image.open(tmp_path / "a.png")
    code, said = run(  # type: ignore[operator]
        folder / "clip.itk", "-o", tmp_path / "b.png", "--source", folder / "clip.mkv", "--against", "x264"
    )
    assert code == 0, said
    both = Image.open(tmp_path / "b.png")
    assert both.height >= plain.height
    assert both.width > 1.8 * plain.width


def test_the_default_name_is_beside_the_file_and_never_overwritten(
    folder: Path, run: object, tmp_path: Path
) -> None:
    (tmp_path / "clip.itk").write_bytes((folder / "clip.itk").read_bytes())
    assert run(tmp_path / "clip.itk")[0] == 0  # type: ignore[operator]
    before = (tmp_path / "clip.view.png").read_bytes()
    code, said = run(tmp_path / "clip.itk")  # type: ignore[operator]
    assert code == 5
    assert "clip.view.png" in said
    assert (tmp_path / "clip.view.png").read_bytes() == before


@pytest.mark.parametrize("suffix", [".mp4", ".webm", ".gif", ".webp"])
def test_a_moving_view(folder: Path, tmp_path: Path, run: object, suffix: str) -> None:
    target = tmp_path / f"view{suffix}"
    code, said = run(folder / "clip.itk", "-o", target, "--start", "0.2", "--end", "0.5")  # type: ignore[operator]
    assert code == 0, said
    with ItkReader(folder / "clip.itk") as reader:
        rate = reader.header.frame_rate
    expected = sum(Fraction(1, 5) <= frame / rate < Fraction(1, 2) for frame in range(20))
    if suffix in (".gif", ".webp"):
        picture = Image.open(target)
        assert picture.n_frames == expected  # type: ignore[attr-defined]
        picture.seek(1)
        picture.load()
        assert picture.info["duration"] == pytest.approx(1000 / rate, abs=10)
        return
    with av.open(str(target)) as video:
        assert sum(1 for _ in video.decode(video=0)) == expected


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--against", "x264"], "--against encodes the source: give the video with --source"),
        (["--frame", "20"], "--frame 20 is out of range: choose 0 to 19"),
        (["--frame", "1", "--at", "0.1"], "--frame and --at exclude each other"),
        (["--at", "99"], "--at 99 is after the end"),
        (["--start", "0.1"], "--start and --end are for moving views"),
        (["-o", "x.mp4", "--frame", "1"], "--frame and --at are for one picture"),
        (["-o", "x.bmp"], "cannot write a .bmp file: choose .png"),
    ],
)
def test_what_contradicts_itself_is_refused(
    folder: Path,
    tmp_path: Path,
    run: object,
    monkeypatch: pytest.MonkeyPatch,
    arguments: list[str],
    message: str,
) -> None:
    monkeypatch.chdir(tmp_path)
    if "-o" not in arguments:
        arguments = [*arguments, "-o", "x.png"]
    code, said = run(folder / "clip.itk", *arguments)  # type: ignore[operator]
    assert code == 2
    assert message in said
    assert not list(tmp_path.iterdir())


def test_a_source_that_is_another_video_is_refused(folder: Path, tmp_path: Path, run: object) -> None:
    make_video(tmp_path / "short.mkv", moving_shapes(5, 48, 64))
    make_video(tmp_path / "wide.mkv", moving_shapes(20, 48, 96))
    for name, message in (("short.mkv", "has no frame 19"), ("wide.mkv", "is 96x48, the file 64x48")):
        code, said = run(  # type: ignore[operator]
            folder / "clip.itk", "--source", tmp_path / name, "--frame", 19, "-o", tmp_path / "x.png"
        )
        assert code == 3
        assert message in said
    assert not (tmp_path / "x.png").exists()


def test_what_is_decoded_is_what_is_shown(folder: Path) -> None:
    engine = Engine(load_model(folder / "tiny.safetensors"), choose_runtime("cpu"))
    with ItkReader(folder / "clip.itk") as reader:
        scene = Scene(folder / "clip.itk", reader, engine, Wish(frame=3), folder)
        _, view = scene.still()
        again: NDArray[np.uint8] = scene.still()[1]
    assert (view == again).all()
    assert scene.headline.startswith("clip.itk · ")


def test_help_loads_no_pillow() -> None:
    code = (
        "import sys\nfrom infotok_cli.cli.app import main\nmain(['view', '--help'])\n"
        "assert not {'PIL', 'torch', 'av', 'numpy'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-P", "-c", code], check=True, capture_output=True)
