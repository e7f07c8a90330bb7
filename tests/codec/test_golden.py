"""Files of format version 1 must give the same integers for ever, whatever wrote or reads them."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from infotok_cli.codec.keep_maps import unpack_keep
from infotok_cli.container.reader import ItkReader
from infotok_cli.entropy.token_ids import unpack_ids
from make_golden import CASES, write_golden

FOLDER = Path(__file__).parent.parent / "golden" / "v1"


def expected() -> dict[str, Any]:
    facts: dict[str, Any] = json.loads((FOLDER / "expected.json").read_text())
    return facts


@pytest.mark.parametrize("name", [case[0] for case in CASES])
def test_token_layer_is_the_same(name: str) -> None:
    facts = expected()[name]
    with ItkReader(FOLDER / f"{name}.itk") as reader:
        reader.verify()
        header = reader.header
        assert (header.width, header.height, reader.total_frames) == (
            facts["width"],
            facts["height"],
            facts["frames"],
        )
        assert len(reader.index) == len(facts["segments"])
        for segment, row in zip(reader.segments(), facts["segments"], strict=True):
            keep = unpack_keep(segment.map_payload, header.allocation, header.grid(segment.frames))
            ids = unpack_ids(segment.token_payload, segment.tokens, header.levels)
            assert (segment.frames, segment.tokens) == (row["frames"], row["tokens"])
            assert int(keep.sum()) == segment.tokens
            assert hashlib.sha256(np.packbits(keep).tobytes()).hexdigest() == row["keep_sha256"]
            assert hashlib.sha256(ids.astype("<u2").tobytes()).hexdigest() == row["ids_sha256"]
            assert ids[:8].tolist() == row["first_ids"]


def test_writing_gives_the_same_bytes(tmp_path: Path) -> None:
    write_golden(tmp_path)
    for path in FOLDER.iterdir():
        assert (tmp_path / path.name).read_bytes() == path.read_bytes(), path.name
