"""What one measurement is asked for and what it gives, and both as JSON and CSV."""

from __future__ import annotations

import csv
import dataclasses
import io
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, NamedTuple

from infotok_cli.allocation.budgets import Budget
from infotok_cli.codec.options import EncodeOptions
from infotok_cli.config import SEGMENT_FRAMES
from infotok_cli.errors import InputError
from infotok_cli.evaluate.seams import SeamReport
from infotok_cli.routers import AllocationName

SCHEMA = "infotok-eval"
SCHEMA_VERSION = 4
"""Rises when a field changes its meaning or goes; new fields may appear within a version."""

READABLE_VERSIONS = (1, 2, 3, 4)
"""Version 1 had, in `options`, a rate and a router that were not those measured; version 2 a `vmaf_model` in
place of `metrics`; version 3 segments without leads or motion, so its BPP16 is token rate + 1/16. Their rows
still hold."""

OLDER_SEGMENT_FRAMES = 32
"""What rows had that do not say it, unless their file does."""


@dataclass(frozen=True, kw_only=True)
class Setting:
    """One point of a sweep of ours."""

    rate: float
    router: str
    allocation: AllocationName
    calibrated: bool = False
    """Whether the rate is that of footage at large, as with `infotok encode --calibrated-rate`."""

    def applied_to(self, options: EncodeOptions) -> EncodeOptions:
        """`options` for an encode at this point."""
        budget = Budget("calibrated-rate", self.rate) if self.calibrated else None
        return dataclasses.replace(
            options, rate=self.rate, router=self.router, allocation=self.allocation, budget=budget
        )


@dataclass(frozen=True, kw_only=True)
class AnchorSetting:
    """One point of an anchor's curve."""

    anchor: str
    crf: int


Wanted = Setting | AnchorSetting

ClipKey = tuple[str, int, int, int]
"""What two rows must share to be compared: the clip's content, frames, width and height."""


class CurveKey(NamedTuple):
    """What curve a row belongs to: the codec and, for ours, the weights and how they were used."""

    codec: str
    model: str | None
    weights_sha256: str | None
    router: str | None
    allocation: str | None
    calibrated: bool
    refine: int
    segment_frames: int | None
    """None for an anchor, which has no segments."""

    @property
    def at_rate_1(self) -> tuple[Any, ...]:
        """What curves share whose point at rate 1 is the same, all positions being kept."""
        return (self.codec, self.model, self.weights_sha256, self.refine, self.segment_frames)


@dataclass(frozen=True, kw_only=True)
class ClipResult:
    """One clip at one setting; quality figures are means over frames.

    Fields of tokens are None for anchors, `crf` and `encoder` are None for ours.
    """

    clip: str
    clip_sha256: str
    codec: str
    """`infotok`, or the name of an anchor."""
    model: str | None
    weights_sha256: str | None
    rate: float | None
    """Token rate asked for."""
    router: str | None
    allocation: str | None
    crf: int | None
    encoder: str | None
    """FFmpeg's encoder, its options and the versions of the libraries."""
    frames: int
    width: int
    height: int
    frame_rate: float
    psnr_db: float
    ssim: float | None
    """None, as any of the metrics but PSNR, when it was not asked for or the picture is too small for it."""
    ms_ssim: float | None
    ms_ssim_scales: int
    vmaf: float | None
    bpp: float
    """8 x bytes of the whole file / (frames x height x width)."""
    bpp16_nominal: float | None
    token_rate: float | None
    size_bytes: int
    map_bytes: int | None
    motion_bytes: int | None = None
    """None for what has none, and in files older than it."""
    token_bytes: int | None
    tokens: int | None
    positions: int | None
    encode_speed: float
    """Multiple of real time, video reading and file writing included, model loading not."""
    decode_speed: float
    """Multiple of real time to RGB frames, without encoding them to an output video."""
    seams: SeamReport
    calibrated: bool = False
    """Whether the rate asked for is that of footage at large."""
    refine: int = 0
    """Steps in which tokens were improved."""
    segment_frames: int = SEGMENT_FRAMES
    """Frames per segment; an anchor's seams were measured where this would put them."""
    lpips_vgg: float | None = None
    lpips_alex: float | None = None
    dists: float | None = None
    ssimulacra2: float | None = None
    vmaf_v1: float | None = None

    @property
    def clip_key(self) -> ClipKey:
        """Which frames of which clip, at which size, the row is about."""
        return (self.clip_sha256, self.frames, self.width, self.height)

    @property
    def wanted(self) -> tuple[Any, ...]:
        """What distinguishes this point from the others of its clip, as comparable parts."""
        return (*curve_key(self), self.rate, self.crf)

    @classmethod
    def from_json(cls, values: dict[str, Any], segment_frames: int = OLDER_SEGMENT_FRAMES) -> ClipResult:
        """Rebuild a row; raises ValueError when fields are missing. Unknown fields are ignored.

        segment_frames: for a row without it.
        """
        try:
            fields = dataclasses.fields(cls)
            older = {one.name: one.default for one in fields if one.default is not dataclasses.MISSING}
            known = {**older, "segment_frames": segment_frames, **values}
            known = {field.name: known[field.name] for field in fields}
            seams = {field.name: known["seams"][field.name] for field in dataclasses.fields(SeamReport)}
            return cls(**{**known, "seams": SeamReport(**seams)})
        except (KeyError, TypeError) as error:
            raise ValueError(f"a row lacks {error!s}, or has it of the wrong kind") from error


def read_results(path: Path) -> list[ClipResult]:
    """Rows of a file that `infotok eval` wrote; InputError if it is another file, or of another version."""
    try:
        document = json.loads(path.read_text("utf-8"))
        if not isinstance(document, dict) or document.get("schema") != SCHEMA:
            raise InputError(
                "does not contain results of 'infotok eval'",
                way_out="give a file made with `output`",
                where=str(path),
            )
        version = document.get("version")
        if version not in READABLE_VERSIONS:
            readable = f"{READABLE_VERSIONS[0]} to {READABLE_VERSIONS[-1]}"
            raise InputError(
                f"has results of version {version}, and this infotok reads {readable}",
                way_out="measure again",
                where=str(path),
            )
        segment_frames = _segment_frames(document)
        return [ClipResult.from_json(row, segment_frames) for row in document["clips"]]
    except OSError as error:
        raise InputError(f"cannot be read ({error.strerror or error})", where=str(path)) from error
    except (ValueError, KeyError) as error:
        raise InputError(
            f"does not contain whole results of 'infotok eval' ({error})",
            way_out="measure again",
            where=str(path),
        ) from error


def _segment_frames(document: dict[str, Any]) -> int:
    """Segment length of a file's rows that do not say theirs: the one its run asked for, or the default."""
    options = document.get("options")
    asked = options.get("segment_frames") if isinstance(options, dict) else None
    return asked if isinstance(asked, int) else OLDER_SEGMENT_FRAMES


def as_csv(results: Sequence[ClipResult]) -> str:
    """A header and a row per clip and setting; seam figures as columns `seams.*`, one list left out."""
    rows = [_flat(result) for result in results]
    return csv_text(rows, list(rows[0]) if rows else [])


def csv_text(rows: Iterable[Mapping[str, Any]], columns: Sequence[str]) -> str:
    """A header and a line per row."""
    text = io.StringIO()
    writer = csv.DictWriter(text, columns, lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    return text.getvalue()


def _flat(result: ClipResult) -> dict[str, Any]:
    values = asdict(result)
    seams = values.pop("seams")
    seams.pop("psnr_by_place")
    return values | {f"seams.{name}": value for name, value in seams.items()}


def curve_names(results: Iterable[ClipResult]) -> dict[CurveKey, str]:
    """A name for each curve (`curve_key`) there is, in order of appearance.

    Anchors go by their own name, ours by model, router and, where they are not the default, allocation,
    calibration, steps of refinement and frames per segment. Models of one name with different weights get
    the first digits of their SHA-256.
    """
    keys = dict.fromkeys(curve_key(result) for result in results)
    models: dict[str, set[str]] = {}
    for key in keys:
        models.setdefault(key.model or "", set()).add(key.weights_sha256 or "")
    names = {}
    for key in keys:
        if key.model is None:
            names[key] = key.codec
            continue
        parts = [key.model, key.router]
        if len(models[key.model]) > 1:
            parts.insert(1, (key.weights_sha256 or "")[:8])
        if key.allocation != "block":
            parts.append(key.allocation)
        if key.calibrated:
            parts.append("calibrated")
        if key.refine:
            parts.append(f"refine {key.refine}")
        if key.segment_frames != SEGMENT_FRAMES:
            parts.append(f"segments of {key.segment_frames}")
        names[key] = " ".join(filter(None, parts))
    return names


def curve_key(result: ClipResult) -> CurveKey:
    """What curve a row belongs to."""
    return CurveKey(
        codec=result.codec,
        model=result.model,
        weights_sha256=result.weights_sha256,
        router=result.router,
        allocation=result.allocation,
        calibrated=result.calibrated,
        refine=result.refine,
        segment_frames=result.segment_frames if result.codec == "infotok" else None,
    )
