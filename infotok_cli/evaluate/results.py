"""What one measurement is asked for and what it gives, and both as JSON and CSV."""

from __future__ import annotations

import csv
import dataclasses
import io
import json
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from infotok_cli.config import AllocationName, Budget, EncodeOptions, RouterName
from infotok_cli.errors import InputError
from infotok_cli.evaluate.seams import SeamReport

SCHEMA = "infotok-eval"
SCHEMA_VERSION = 1
"""Rises when a field changes its meaning or goes; new fields may appear within a version."""


METRICS: dict[str, str] = {"psnr_db": "PSNR dB", "ssim": "SSIM", "ms_ssim": "MS-SSIM", "vmaf": "VMAF"}
"""Fields of a row that are qualities, and how they are shown."""


@dataclass(frozen=True, kw_only=True)
class Setting:
    """One point of a sweep of ours."""

    rate: float
    router: RouterName
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
    ssim: float
    ms_ssim: float
    ms_ssim_scales: int
    vmaf: float | None
    """None when it was not asked for, or the picture is too small for it."""
    bpp: float
    """8 x bytes of the whole file / (frames x height x width)."""
    bpp16_nominal: float | None
    token_rate: float | None
    size_bytes: int
    map_bytes: int | None
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

    @property
    def clip_key(self) -> ClipKey:
        """Which frames of which clip, at which size, the row is about."""
        return (self.clip_sha256, self.frames, self.width, self.height)

    @property
    def wanted(self) -> tuple[Any, ...]:
        """What tells this point from the others of its clip; as comparable parts."""
        return (*curve_key(self), self.rate, self.crf)

    @classmethod
    def from_json(cls, values: dict[str, Any]) -> ClipResult:
        """Rebuild a row; raises ValueError when fields are missing. Unknown ones are passed over."""
        try:
            known = {"calibrated": False, "refine": 0, **values}
            known = {field.name: known[field.name] for field in dataclasses.fields(cls)}
            seams = {field.name: known["seams"][field.name] for field in dataclasses.fields(SeamReport)}
            return cls(**{**known, "seams": SeamReport(**seams)})
        except (KeyError, TypeError) as error:
            raise ValueError(f"is no row of results: {error!s} is missing or of the wrong kind") from error


def read_results(path: Path) -> list[ClipResult]:
    """Rows of a JSON file that `infotok eval` wrote; InputError if it is none, or of another version."""
    try:
        document = json.loads(path.read_text("utf-8"))
        if not isinstance(document, dict) or document.get("schema") != SCHEMA:
            raise InputError(f"{path}: holds no results of 'infotok eval': give a file made with --json")
        version = document.get("version")
        if version != SCHEMA_VERSION:
            raise InputError(
                f"{path}: has results of version {version}, this infotok reads {SCHEMA_VERSION}: measure anew"
            )
        return [ClipResult.from_json(row) for row in document["clips"]]
    except OSError as error:
        raise InputError(f"{path}: cannot be read: {error.strerror or error}") from error
    except (ValueError, KeyError) as error:
        raise InputError(f"{path}: holds no results of 'infotok eval' ({error}): measure anew") from error


def as_csv(results: Sequence[ClipResult]) -> str:
    """A header and a row per clip and setting; seam figures as columns `seams.*`, one list left out."""
    rows = [_flat(result) for result in results]
    text = io.StringIO()
    writer = csv.DictWriter(text, list(rows[0]) if rows else [], lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    return text.getvalue()


def _flat(result: ClipResult) -> dict[str, Any]:
    values = asdict(result)
    seams = values.pop("seams")
    seams.pop("psnr_by_place")
    return values | {f"seams.{name}": value for name, value in seams.items()}


def curve_names(results: Iterable[ClipResult]) -> dict[tuple[Any, ...], str]:
    """A name for each curve (`curve_key`) there is, in order of appearance.

    Anchors go by their own name, ours by model, router and, where they are not the default, allocation,
    calibration and steps of refinement. Models of one name with different weights get the first digits of
    their SHA-256.
    """
    keys = dict.fromkeys(curve_key(result) for result in results)
    models: dict[str, set[str]] = {}
    for _, model, weights, *_ in keys:
        models.setdefault(model or "", set()).add(weights or "")
    names = {}
    for key in keys:
        codec, model, weights, router, allocation, calibrated, refine = key
        if model is None:
            names[key] = codec
            continue
        parts = [model, router]
        if len(models[model]) > 1:
            parts.insert(1, weights[:8])
        if allocation != "block":
            parts.append(allocation)
        if calibrated:
            parts.append("calibrated")
        if refine:
            parts.append(f"refine {refine}")
        names[key] = " ".join(parts)
    return names


def curve_key(result: ClipResult) -> tuple[Any, ...]:
    """What curve a row belongs to: codec, model, weights and how these were used, refinement last."""
    ours = (result.model, result.weights_sha256, result.router, result.allocation)
    return (result.codec, *ours, result.calibrated, result.refine)
