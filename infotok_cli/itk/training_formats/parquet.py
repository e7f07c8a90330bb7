"""A table with a row for each segment. Needs pyarrow."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np

from infotok_cli.errors import UsageError
from infotok_cli.itk.training_formats.rows import Settings, Video

GROUP_TOKENS = 8 << 20
"""About how many tokens a row group holds: what is in memory at once."""


def write(path: Path, videos: Iterable[Video], settings: Settings) -> None:
    """One Parquet file; `map` has a bit for each position, the first in the highest bit of the first byte,
    `motion` a byte for each block of 2x2 positions of a step.
    """
    pyarrow, tables = _libraries()
    schema = _schema(pyarrow)
    with tables.ParquetWriter(path, schema, compression="zstd") as writer:
        rows: list[dict[str, Any]] = []
        held = 0
        for video in videos:
            for segment in video.segments():
                keep, motion, ids = segment.tokens
                maps = {"map": np.packbits(keep).tobytes(), "motion": motion.tobytes()}
                rows.append(video.segment_row(segment) | {"ids": ids} | maps)
                held += len(ids)
                if held >= GROUP_TOKENS:
                    writer.write_table(pyarrow.Table.from_pylist(rows, schema))
                    rows, held = [], 0
        if rows:
            writer.write_table(pyarrow.Table.from_pylist(rows, schema))


def check() -> None:
    """Raise UsageError unless pyarrow is here."""
    _libraries()


def _libraries() -> tuple[Any, Any]:
    try:
        import pyarrow
        import pyarrow.parquet
    except ImportError as error:
        raise UsageError(
            "`format` parquet needs pyarrow",
            way_out="install it with pip install 'infotok[datasets]', or take another format",
        ) from error
    return pyarrow, pyarrow.parquet


def _schema(pyarrow: Any) -> Any:
    text, whole, real = pyarrow.string(), pyarrow.int32(), pyarrow.float64()
    return pyarrow.schema(
        {
            "id": text,
            "source": text,
            "segment": whole,
            "start_seconds": real,
            "end_seconds": real,
            "frames": whole,
            "trim_start": whole,
            "trim_end": whole,
            "width": whole,
            "height": whole,
            "frame_rate": text,
            "grid": pyarrow.list_(whole),
            "rate": real,
            "tokens": whole,
            "ids": pyarrow.list_(pyarrow.uint16()),
            "map": pyarrow.binary(),
            "motion": pyarrow.binary(),
            "model": text,
            "model_sha256": text,
        }
    )
