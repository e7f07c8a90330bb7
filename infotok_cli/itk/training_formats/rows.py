"""What is said of a video, a document or a segment beside its ids: where it is from, when, how large."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from infotok_cli.itk.token_file import TokenFile
from infotok_cli.itk.training_formats.inputs import SegmentTokens, VideoFile, segments_of
from infotok_cli.itk.training_formats.sequences import SequenceOptions

METADATA = "metadata.json"
KIND = "infotok training data 1"

DOCUMENTS = ("video", "segment")


@dataclass(frozen=True, kw_only=True)
class Settings:
    """What the writers are asked for."""

    sequences: SequenceOptions
    document: str
    """One of `DOCUMENTS`: what megatron and memmap keep apart."""
    shard_size: int
    """About how many bytes a tar of webdataset holds."""


@dataclass(frozen=True, kw_only=True)
class Video:
    """An opened input."""

    file: VideoFile
    opened: TokenFile

    def segments(self) -> Iterator[SegmentTokens]:
        """Those that are not lost; InputError for damage."""
        return segments_of(self.opened)

    def last_number(self) -> int:
        """Number of the last segment that is not lost; -1 if all are."""
        return max((about.number for about in self.opened.segments if not about.lost), default=-1)

    def facts(self) -> dict[str, Any]:
        """What all rows of this video have in common."""
        header = self.opened.header
        return {
            "id": self.file.id,
            "source": str(self.file.path),
            "width": header.width,
            "height": header.height,
            "frame_rate": f"{header.frame_rate.numerator}/{header.frame_rate.denominator}",
            "model": header.model_name,
            "model_sha256": header.model_sha256.hex(),
        }

    def row(self) -> dict[str, Any]:
        """The whole video; `grid` is that of a full segment, `rate` the share of positions with a token."""
        segments = self.opened.segments
        return self.facts() | {
            "segments": len(segments),
            "lost_segments": sum(about.lost for about in segments),
            "start_seconds": 0.0,
            "end_seconds": self.opened.duration_seconds,
            "frames": self.opened.total_frames,
            "grid": list(self.opened.token_grid),
            "rate": self.opened.token_rate,
            "tokens": self.opened.total_tokens,
        }

    def segment_row(self, segment: SegmentTokens) -> dict[str, Any]:
        """One segment; `grid` and `rate` cover the frames that a cut hides, too."""
        about = segment.about
        return self.facts() | {
            "segment": about.number,
            "start_seconds": about.start_seconds,
            "end_seconds": about.end_seconds,
            "frames": about.frames,
            "trim_start": about.trim_start,
            "trim_end": about.trim_end,
            "grid": list(about.token_grid),
            "rate": about.tokens / about.positions,
            "tokens": about.tokens,
        }


def write_json(path: Path, value: dict[str, Any]) -> None:
    """A file for people, too."""
    path.write_text(json.dumps(value, indent=2) + "\n", "utf-8")


def is_training_folder(folder: Path) -> bool:
    """Whether an export wrote the folder, so that another may replace it."""
    return read_metadata(folder) is not None


def read_metadata(folder: Path) -> dict[str, Any] | None:
    """What metadata.json of an exported folder says; None where there is none of ours."""
    try:
        found = json.loads((folder / METADATA).read_text("utf-8"))
    except (OSError, ValueError):
        return None
    return found if isinstance(found, dict) and found.get("kind") == KIND else None
