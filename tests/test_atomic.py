from __future__ import annotations

import os
from pathlib import Path

import pytest

from infotok_cli.atomic import atomic_output, atomic_path, check_path
from infotok_cli.errors import OutputError


def test_appears_whole(tmp_path: Path) -> None:
    path = tmp_path / "out.itk"
    with atomic_output(path) as file:
        file.write(b"new")
        file.flush()
        assert not path.exists()
    assert path.read_bytes() == b"new"
    assert os.listdir(tmp_path) == ["out.itk"]


def write_half(path: Path, overwrite: bool, error: type[BaseException]) -> None:
    with atomic_output(path, overwrite=overwrite) as file:
        file.write(b"half")
        raise error


@pytest.mark.parametrize("error", [RuntimeError, KeyboardInterrupt, SystemExit])
def test_leaves_nothing_and_keeps_the_old_file(tmp_path: Path, error: type[BaseException]) -> None:
    path = tmp_path / "out.itk"
    for overwrite in (False, True):
        with pytest.raises(error):
            write_half(path, overwrite, error)
        assert os.listdir(tmp_path) == (["out.itk"] if overwrite else [])
        path.write_bytes(b"old")
    assert path.read_bytes() == b"old"


def test_overwrites_only_when_asked_and_keeps_permissions(tmp_path: Path) -> None:
    path = tmp_path / "out.itk"
    path.write_bytes(b"old")
    path.chmod(0o640)
    with pytest.raises(OutputError, match="exists already"), atomic_output(path):
        pass
    assert path.read_bytes() == b"old"
    with atomic_output(path, overwrite=True) as file:
        file.write(b"new")
    assert path.read_bytes() == b"new"
    assert path.stat().st_mode & 0o777 == 0o640


def test_a_new_file_follows_the_umask(tmp_path: Path) -> None:
    old = os.umask(0o027)
    try:
        with atomic_output(tmp_path / "out.itk"):
            pass
    finally:
        os.umask(old)
    assert (tmp_path / "out.itk").stat().st_mode & 0o777 == 0o640


def test_a_file_that_appeared_meanwhile_is_kept(tmp_path: Path) -> None:
    path = tmp_path / "out.itk"
    with pytest.raises(OutputError, match="exists already"), atomic_output(path):
        path.write_bytes(b"theirs")
    assert path.read_bytes() == b"theirs"
    assert os.listdir(tmp_path) == ["out.itk"]


def test_works_without_hard_links(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def no_link(*_: object) -> None:
        raise PermissionError("no hard links here")

    monkeypatch.setattr(os, "link", no_link)
    path = tmp_path / "out.itk"
    with atomic_output(path) as file:
        file.write(b"new")
    assert path.read_bytes() == b"new"
    path.unlink()
    with pytest.raises(OutputError, match="exists already"), atomic_output(path):
        path.write_bytes(b"theirs")
    assert os.listdir(tmp_path) == ["out.itk"]


def test_writes_through_a_link(tmp_path: Path) -> None:
    (tmp_path / "real.itk").write_bytes(b"old")
    (tmp_path / "link.itk").symlink_to("real.itk")
    with atomic_output(tmp_path / "link.itk", overwrite=True) as file:
        file.write(b"new")
    assert (tmp_path / "link.itk").is_symlink()
    assert (tmp_path / "real.itk").read_bytes() == b"new"


def test_wrong_places_are_output_errors(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"")
    cases = {
        tmp_path: "is a folder",
        tmp_path / "missing" / "out.itk": "does not exist",
        tmp_path / "file" / "out.itk": "not a usable file name",
        Path("/dev/null"): "is not a regular file",
        Path("/proc/out.itk"): "cannot write into folder",
        tmp_path / "zero\0.itk": "file name",
        tmp_path / ("x" * 300): "file name",
    }
    for path, message in cases.items():
        with pytest.raises(OutputError, match=message) as caught, atomic_output(path, overwrite=True):
            pass
        assert "\n" not in str(caught.value)
        with pytest.raises(OutputError, match=message):
            check_path(path, overwrite=True)
    check_path(tmp_path / "file", overwrite=True)
    with pytest.raises(OutputError, match="exists already"):
        check_path(tmp_path / "file")
    assert os.listdir(tmp_path) == ["file"]


def test_lends_a_path_with_the_same_suffix(tmp_path: Path) -> None:
    path = tmp_path / "out.mp4"
    with atomic_path(path) as temporary:
        assert temporary.suffix == ".mp4"
        assert temporary.parent == tmp_path
        temporary.write_bytes(b"video")
    assert path.read_bytes() == b"video"
    with pytest.raises(KeyboardInterrupt), atomic_path(path, overwrite=True):
        raise KeyboardInterrupt
    assert path.read_bytes() == b"video"
    assert os.listdir(tmp_path) == ["out.mp4"]


def test_a_lent_path_that_vanished_is_an_output_error(tmp_path: Path) -> None:
    with (
        pytest.raises(OutputError, match="cannot be finished"),
        atomic_path(tmp_path / "out.mp4") as temporary,
    ):
        temporary.unlink()
    assert os.listdir(tmp_path) == []
