"""Views and reports beside a plain decode, in turn."""

from __future__ import annotations

from pathlib import Path

import pytest

from infotok_cli.bench import views
from make_video import make_video, moving_shapes
from tiny_model import write_tiny_model


def test_commands_are_set_against_the_decode(tmp_path: Path) -> None:
    write_tiny_model(tmp_path / "tiny.safetensors")
    clip = make_video(tmp_path / "clip.mp4", moving_shapes(8, 40, 48))
    options = ["--model", str(tmp_path / "tiny.safetensors")]
    some = ["view, a picture", "view, moving", "report"]
    rows = list(views.measure(clip, tmp_path, rounds=1, options=options, only=some))
    assert [row.command for row in rows] == [views.PLAIN, *some]
    assert (rows[0].wall_ratio, rows[0].cpu_ratio) == (1, 1)
    for row in rows:
        assert row.wall_ratio == pytest.approx(row.wall_seconds / rows[0].wall_seconds, rel=0.01)
        assert row.cpu_ratio == pytest.approx(row.cpu_seconds / rows[0].cpu_seconds, rel=0.01)
        assert row.size_bytes > 100


def test_a_command_that_fails_is_named(tmp_path: Path) -> None:
    (tmp_path / "clip.mp4").write_bytes(b"no video")
    with pytest.raises(RuntimeError, match=r"infotok encode .* failed with exit code 3"):
        list(views.measure(tmp_path / "clip.mp4", tmp_path, rounds=1, options=[]))
