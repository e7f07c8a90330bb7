"""Folders of PNG pictures: lossless, all or nothing, never over other files."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest

from infotok_cli.errors import OutputError
from infotok_cli.video.png_folder import PngWriter
from infotok_cli.video.reader import open_video
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
    with pytest.raises(OutputError, match=r"letter.txt, which is not a frame"):
        PngWriter(tmp_path, 8, 8, overwrite=True)
    with pytest.raises(OutputError, match="is a file"):
        PngWriter(tmp_path / "letter.txt", 8, 8, overwrite=True)
    with pytest.raises(OutputError, match="No such file"):
        PngWriter(tmp_path / "none" / "shots", 8, 8)


def frames_in(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


@pytest.mark.parametrize("overwrite", [False, True])
@pytest.mark.parametrize("made_before", [False, True])
def test_a_file_that_comes_meanwhile_stays(tmp_path: Path, *, overwrite: bool, made_before: bool) -> None:
    folder = tmp_path / "shots"
    if made_before:
        folder.mkdir()
    writer = PngWriter(folder, 8, 8, overwrite=overwrite)
    writer.write(moving_shapes(2, 8, 8))
    folder.mkdir(exist_ok=True)
    (folder / "notes.txt").write_text("mine")
    with pytest.raises(OutputError, match="notes.txt, which is not a frame" if overwrite else "is not empty"):
        writer.close()
    assert (folder / "notes.txt").read_text() == "mine"
    assert frames_in(folder) == ["notes.txt"]
    assert frames_in(tmp_path) == ["shots"]


@pytest.mark.parametrize("made_before", [False, True])
def test_of_two_writers_one_is_refused(tmp_path: Path, *, made_before: bool) -> None:
    folder = tmp_path / "shots"
    if made_before:
        folder.mkdir()
    one = PngWriter(folder, 8, 8)
    if made_before:
        with pytest.raises(OutputError, match="is not empty"):
            PngWriter(folder, 8, 8)
    else:
        other = PngWriter(folder, 8, 8)
        other.write(moving_shapes(5, 8, 8, seed=1))
        other.close()
    one.write(moving_shapes(2, 8, 8))
    if made_before:
        one.close()
    else:
        with pytest.raises(OutputError, match="is not empty"):
            one.close()
    expected = moving_shapes(2, 8, 8) if made_before else moving_shapes(5, 8, 8, seed=1)
    assert (pictures_in(folder) == expected).all()
    assert frames_in(tmp_path) == ["shots"]


def test_a_link_is_followed(tmp_path: Path) -> None:
    for name, exists in (("there", True), ("new", False)):
        folder, link = tmp_path / name / "shots", tmp_path / f"link-{name}"
        (folder if exists else folder.parent).mkdir(parents=True)
        link.symlink_to(folder, target_is_directory=True)
        with PngWriter(link, 8, 8) as writer:
            writer.write(moving_shapes(2, 8, 8))
        assert link.is_symlink()
        assert frames_in(folder) == ["frame-000001.png", "frame-000002.png"]
        assert frames_in(folder.parent) == ["shots"]


def test_the_working_directory_stays_itself(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    before = tmp_path.stat()
    for seed in (0, 1):
        with PngWriter(".", 8, 8, overwrite=True) as writer:
            writer.write(moving_shapes(3 - seed, 8, 8, seed=seed))
    assert os.path.samestat(before, Path.cwd().stat())
    assert tmp_path.stat().st_mode == before.st_mode
    assert frames_in(Path()) == ["frame-000001.png", "frame-000002.png"]
    assert (pictures_in(tmp_path) == moving_shapes(2, 8, 8, seed=1)).all()


@pytest.mark.parametrize("name", ["frame-cover.png", "frame-000001.png"])
def test_only_frames_of_ours_are_replaced(tmp_path: Path, name: str) -> None:
    """A picture somebody else named nearly so, or a folder of that very name, is theirs."""
    if name == "frame-cover.png":
        (tmp_path / name).write_text("dear")
    else:
        (tmp_path / name).mkdir()
    with pytest.raises(OutputError, match=f"holds {name}, which is not a frame"):
        PngWriter(tmp_path, 8, 8, overwrite=True)
    assert frames_in(tmp_path) == [name]


def test_older_frames_come_back_when_the_new_ones_cannot_be_moved(tmp_path: Path) -> None:
    for count, seed in ((5, 0), (3, 1)):
        writer = PngWriter(tmp_path, 8, 8, overwrite=True)
        writer.write(moving_shapes(count, 8, 8, seed=seed))
        if seed:
            next(tmp_path.glob(".infotok-*/frame-000003.png")).unlink()
            with pytest.raises(OutputError, match="No such file"):
                writer.close()
        else:
            writer.close()
    assert len(frames_in(tmp_path)) == 5
    assert (pictures_in(tmp_path) == moving_shapes(5, 8, 8)).all()
