"""Tar files for WebDataset, in bytes that repeat: of a segment the tokens, the maps and what JSON says."""

from __future__ import annotations

import io
import json
import tarfile
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from infotok_cli.errors import UsageError
from infotok_cli.itk.training_formats.inputs import SegmentTokens
from infotok_cli.itk.training_formats.rows import KIND, METADATA, Settings, Video, write_json


def write(folder: Path, videos: Iterable[Video], settings: Settings) -> None:
    """shard-000000.tar and so on, each closed once it holds `shard_size` bytes, and metadata.json."""
    shards: list[dict[str, Any]] = []
    stems: dict[str, Video] = {}
    tar: tarfile.TarFile | None = None
    try:
        for video in videos:
            _check_stem(video, stems)
            for segment in video.segments():
                if tar is None:
                    name = f"shard-{len(shards):06d}.tar"
                    tar = tarfile.open(folder / name, "w", format=tarfile.PAX_FORMAT)  # noqa: SIM115
                    shards.append({"name": name, "segments": 0})
                for info, data in _members(video, segment):
                    tar.addfile(info, io.BytesIO(data))
                shards[-1]["segments"] += 1
                if tar.offset >= settings.shard_size:
                    tar.close()
                    tar = None
    finally:
        if tar is not None:
            tar.close()
    write_json(folder / METADATA, {"kind": KIND, "format": "webdataset", "shards": shards})


def _stem(video: Video) -> str:
    """Start of its keys, without dots, as a key ends at the first dot of a name."""
    return video.file.id.replace(".", "_")


def _check_stem(video: Video, stems: dict[str, Video]) -> None:
    other = stems.setdefault(_stem(video), video)
    if other is not video:
        raise UsageError(
            f"would have the keys of {other.file.path}, as dots become underscores",
            way_out="rename one of them",
            where=str(video.file.path),
        )


def _members(video: Video, segment: SegmentTokens) -> Iterator[tuple[tarfile.TarInfo, bytes]]:
    key = f"{_stem(video)}-{segment.about.number:06d}"
    about = json.dumps(video.segment_row(segment), sort_keys=True).encode()
    for suffix, data in (
        ("tokens.npy", _npy(segment.tokens.ids)),
        ("map.npy", _npy(segment.tokens.keep)),
        ("motion.npy", _npy(segment.tokens.motion)),
        ("json", about),
    ):
        info = tarfile.TarInfo(f"{key}.{suffix}")
        info.size, info.mode, info.mtime = len(data), 0o644, 0
        yield info, data


def _npy(array: NDArray[Any]) -> bytes:
    stream = io.BytesIO()
    np.save(stream, array, allow_pickle=False)
    return stream.getvalue()
