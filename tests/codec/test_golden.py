"""Golden files must give the same integers for ever, whatever wrote or reads them."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from infotok_cli.container.reader import ItkReader
from infotok_cli.entropy.keep_map import unpack_keep
from infotok_cli.entropy.motion_map import unpack_motion
from infotok_cli.entropy.token_ids import unpack_raw
from make_golden import GOLDEN, write_golden

FILES = sorted(path.stem for path in GOLDEN.glob("*.itk"))


@pytest.mark.parametrize("name", FILES)
def test_token_layer_is_the_same(name: str) -> None:
    facts: dict[str, Any] = json.loads((GOLDEN / "expected.json").read_text())[name]
    with ItkReader(GOLDEN / f"{name}.itk") as reader:
        reader.verify()
        header = reader.header
        assert (header.width, header.height, reader.total_frames) == (
            facts["width"],
            facts["height"],
            facts["frames"],
        )
        assert reader.index.total_ticks == facts.get("ticks", 0)
        assert len(reader.index) == len(facts["segments"])
        for segment, row in zip(reader.segments(), facts["segments"], strict=True):
            assert (segment.frames, segment.lost) == (row["frames"], row.get("lost", False))
            packets = [[p.time, p.duration, p.data.hex()] for p in reader.read_audio(segment.number)]
            assert reader.read_times(segment.number) == row.get("durations", [])
            assert packets == row.get("packets", [])
            if segment.lost:
                continue
            keep = unpack_keep(segment.map_payload, header.allocation, header.grid(segment.frames))
            ids = unpack_raw(segment.token_payload, segment.tokens, header.levels)
            assert segment.tokens == row["tokens"] == int(keep.sum())
            assert (segment.trim_start, segment.trim_end) == (
                row.get("trim_start", 0),
                row.get("trim_end", 0),
            )
            assert hashlib.sha256(np.packbits(keep).tobytes()).hexdigest() == row["keep_sha256"]
            assert hashlib.sha256(ids.astype("<u2").tobytes()).hexdigest() == row["ids_sha256"]
            motion = unpack_motion(segment.motion_payload, header.grid(segment.frames))
            assert hashlib.sha256(motion.tobytes()).hexdigest() == row["motion_sha256"]
            assert ids[:8].tolist() == row["first_ids"]


def test_writing_gives_the_same_bytes(tmp_path: Path) -> None:
    write_golden(tmp_path)
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted(path.name for path in GOLDEN.iterdir())
    for path in GOLDEN.iterdir():
        assert (tmp_path / path.name).read_bytes() == path.read_bytes(), path.name


def test_every_golden_file_is_read() -> None:
    facts = json.loads((GOLDEN / "expected.json").read_text())
    assert sorted(facts) == FILES
    assert len(FILES) >= 6
