from __future__ import annotations

import io
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path
from typing import Any

import pytest

from infotok_cli.container.header import Header
from infotok_cli.container.writer import ItkWriter


@pytest.fixture
def make_header() -> Callable[..., Header]:
    def make(**changes: Any) -> Header:
        values: dict[str, Any] = {
            "width": 40,
            "height": 24,
            "frame_rate": Fraction(30000, 1001),
            "time_base": Fraction(1, 90000),
            "segment_frames": 8,
            "levels": (8, 8, 8, 5, 5, 5),
            "router": "fast",
            "allocation": "block",
            "target_rate_ppm": 500_000,
            "model_name": "small",
            "model_sha256": bytes(range(32)),
            "encoder": "infotok 0.1",
        }
        return Header(**values | changes)

    return make


@pytest.fixture
def small_file(tmp_path: Path, make_header: Callable[..., Header]) -> Path:
    """Three segments, the last of 3 frames."""
    stream = io.BytesIO()
    writer = ItkWriter(stream, make_header())
    writer.write_segment(frames=8, tokens=3, map_payload=b"map0", token_payload=bytes(6))
    writer.write_segment(frames=8, tokens=5, map_payload=b"", token_payload=bytes(range(10)))
    writer.write_segment(frames=3, tokens=1, map_payload=b"m", token_payload=b"\xff\x01")
    assert writer.finish() == len(stream.getvalue())
    path = tmp_path / "small.itk"
    path.write_bytes(stream.getvalue())
    return path
