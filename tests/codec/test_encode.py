"""What may happen to files while they are encoded."""

from __future__ import annotations

from pathlib import Path

from infotok_cli.codec.encode import encode_file
from infotok_cli.config import EncodeOptions
from infotok_cli.container.reader import ItkReader
from infotok_cli.model.engine import Engine, choose_runtime
from infotok_cli.model.weights import load_model
from make_video import make_video, moving_shapes
from tiny_model import write_tiny_model


class Watcher:
    """Notes what it is told of an encode's progress."""

    def __init__(self) -> None:
        self.totals: list[int | None] = []
        self.frames: list[int] = []

    def started(self, total: int | None) -> None:
        self.totals.append(total)

    def done(self, frames: int, tokens: int | None = None) -> None:
        self.frames.append(frames)


def test_a_source_that_is_moved_away_meanwhile(tmp_path: Path) -> None:
    """It is open, so all of it is encoded, and the report says how large it was."""
    write_tiny_model(tmp_path / "tiny.safetensors")
    engine = Engine(load_model(tmp_path / "tiny.safetensors"), choose_runtime("cpu"))
    source = make_video(tmp_path / "clip.mp4", moving_shapes(16, 32, 48))
    size_bytes = source.stat().st_size

    class Mover(Watcher):
        def done(self, frames: int, tokens: int | None = None) -> None:
            super().done(frames, tokens)
            if source.exists():
                source.rename(tmp_path / "elsewhere.mp4")

    target = tmp_path / "clip.itk"
    report = encode_file(source, target, engine, EncodeOptions(segment_frames=4), progress=Mover())
    assert not source.exists()
    assert (report.frames, report.input_bytes) == (16, size_bytes)
    with ItkReader(target) as reader:
        reader.verify()
        assert reader.total_frames == 16
