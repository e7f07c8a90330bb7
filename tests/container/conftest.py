from __future__ import annotations

import io
from collections.abc import Callable
from functools import partial
from pathlib import Path

import pytest

from infotok_cli.container.header import Header
from infotok_cli.container.writer import ItkWriter
from make_itk import itk_header


@pytest.fixture
def make_header() -> Callable[..., Header]:
    return partial(
        itk_header, width=40, height=24, model_name="small", model_sha256=bytes(range(32)),
        encoder="infotok 0.1",
    )  # fmt: skip


@pytest.fixture
def small_file(tmp_path: Path, make_header: Callable[..., Header]) -> Path:
    """Three segments, the last of 3 frames."""
    stream = io.BytesIO()
    writer = ItkWriter(stream, make_header())
    writer.write_segment(
        frames=8, tokens=3, map_payload=b"map0", motion_payload=b"motion0", token_payload=bytes(6)
    )
    writer.write_segment(frames=8, tokens=5, map_payload=b"", token_payload=bytes(range(10)))
    writer.write_segment(
        frames=3, tokens=1, map_payload=b"m", motion_payload=b"mo", token_payload=b"\xff\x01"
    )
    assert writer.finish() == len(stream.getvalue())
    path = tmp_path / "small.itk"
    path.write_bytes(stream.getvalue())
    return path
