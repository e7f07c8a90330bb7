"""Folders of PNG pictures: lossless, all or nothing, never over other files."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from infotok_cli.errors import OutputError
from infotok_cli.video.reader import open_video
from infotok_cli.video.writer import PngWriter
from make_video import Frames, moving_shapes


def pictures_in(folder: Path) -> Frames:
    shots = []
    for path in sorted(folder.iterdir()):
        with open_video(path) as reader:
            shots.append(next(reader.frames()))
    return np.stack(shots)


@pytest.mark.parametrize(("height", "width"), [(1, 1), (5, 7), (64, 48)])
def test_pictures_are_lossless_and_numbered(tmp_path: Path, height: int, width: int) -> None:
    source = moving_shapes(5, height, width)
    with PngWriter(tmp_path / "shots", width, height) as writer:
        writer.write(source[:4])
        writer.write(source[4:])
        assert not (tmp_path / "shots").exists()
    assert [path.name for path in sorted((tmp_path / "shots").iterdir())] == [
        f"frame-{n:06d}.png" for n in range(1, 6)
    ]
    assert (pictures_in(tmp_path / "shots") == source).all()
    assert [path.name for path in tmp_path.iterdir()] == ["shots"]


def test_an_empty_folder_is_used(tmp_path: Path) -> None:
    with PngWriter(f"{tmp_path}/", 8, 8) as writer:
        writer.write(moving_shapes(2, 8, 8))
    assert len(pictures_in(tmp_path)) == 2


def test_an_error_leaves_nothing(tmp_path: Path) -> None:
    writer = PngWriter(tmp_path / "shots", 8, 8)
    with pytest.raises(ValueError, match="the video is uint8"), writer:
        writer.write(moving_shapes(2, 8, 9))
    assert list(tmp_path.iterdir()) == []


def test_full_folder_is_refused_unless_it_holds_old_frames(tmp_path: Path) -> None:
    folder = tmp_path / "shots"
    with PngWriter(folder, 8, 8) as writer:
        writer.write(moving_shapes(9, 8, 8))
    with pytest.raises(OutputError, match="is not empty"):
        PngWriter(folder, 8, 8)
    with PngWriter(folder, 8, 8, overwrite=True) as writer:
        writer.write(moving_shapes(2, 8, 8, seed=1))
    assert (pictures_in(folder) == moving_shapes(2, 8, 8, seed=1)).all()


def test_other_files_are_never_overwritten(tmp_path: Path) -> None:
    (tmp_path / "letter.txt").write_text("dear")
    with pytest.raises(OutputError, match=r"letter.txt, which is no frame"):
        PngWriter(tmp_path, 8, 8, overwrite=True)
    with pytest.raises(OutputError, match="is a file"):
        PngWriter(tmp_path / "letter.txt", 8, 8, overwrite=True)
    with pytest.raises(OutputError, match="No such file"):
        PngWriter(tmp_path / "none" / "shots", 8, 8)
