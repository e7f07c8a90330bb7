"""Title and date of a video through the commands; what else people wrote about it is named once."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from subprocess import CompletedProcess

import av
import pytest

from make_video import make_video, moving_shapes

Run = Callable[..., CompletedProcess[str]]
TITLE, DATE = "Größe & \x1b[2Jlength", "2024-05-01T12:00:00Z"
SHOWN = "Größe & [2Jlength"


def written(path: Path, **tags: str) -> Path:
    """A short video with these tags."""
    plain = make_video(path.with_name(f"plain{path.suffix}"), moving_shapes(8, 32, 48))
    with av.open(str(plain)) as source, av.open(str(path), "w") as target:
        target.metadata.update(tags)
        stream = target.add_stream_from_template(source.streams.video[0])
        for packet in source.demux(source.streams.video[0]):
            if packet.size:
                packet.stream = stream
                target.mux(packet)
    return path


def said(path: Path) -> dict[str, str]:
    with av.open(str(path)) as container:
        return {name.lower(): value for name, value in container.metadata.items()}


@pytest.mark.parametrize("suffix", [".mp4", ".mkv"])
def test_title_and_date_are_kept(run: Run, tmp_path: Path, suffix: str) -> None:
    source = written(tmp_path / f"film{suffix}", title=TITLE, date=DATE)
    tokens = tmp_path / "film.itk"
    result = run("encode", source, "-o", tokens)
    assert "warning" not in result.stderr
    facts = json.loads(run("inspect", tokens, "--json").stdout)
    assert (facts["title"], facts["date"]) == (SHOWN, DATE)
    shown = run("inspect", tokens).stdout
    assert any(line.split() == ["title", *SHOWN.split()] for line in shown.splitlines())
    assert any(line.split() == ["date", DATE] for line in shown.splitlines())
    for name in ("back.mp4", "back.mkv", "back.mov", "back.webm"):
        run("decode", tokens, "-o", tmp_path / name)
        assert said(tmp_path / name)["title"] == SHOWN
    assert said(tmp_path / "back.mp4")["creation_time"].startswith("2024-05-01T12:00:00")
    run("cut", tokens, "-o", tmp_path / "part.itk", "--frames", "2")
    assert json.loads(run("inspect", tmp_path / "part.itk", "--json").stdout)["title"] == SHOWN


def test_what_people_wrote_besides_is_named_once(run: Run, tmp_path: Path) -> None:
    source = written(tmp_path / "film.mkv", title="A", artist="B", comment="C")
    told = [
        line
        for line in run("encode", source, "-o", tmp_path / "a.itk").stderr.splitlines()
        if "warning" in line
    ]
    assert told == [f"infotok: warning: {source}: 2 tags (artist, comment) are left out"]
    source = written(tmp_path / "other.mkv", artist="B")
    assert "the tag artist is left out" in run("encode", source, "-o", tmp_path / "b.itk").stderr


def test_videos_without_have_none(run: Run, tmp_path: Path) -> None:
    source = make_video(tmp_path / "film.mp4", moving_shapes(8, 32, 48))
    run("encode", source, "-o", tmp_path / "a.itk")
    assert b"tags" not in (tmp_path / "a.itk").read_bytes()
    facts = json.loads(run("inspect", tmp_path / "a.itk", "--json").stdout)
    assert facts["title"] is facts["date"] is None
