"""A report: .itk files of one clip, their source and their numbers as one page that opens from disk."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from infotok_cli.codec.load_engine import check_model
from infotok_cli.container.reader import ItkReader
from infotok_cli.errors import UsageError
from infotok_cli.itk.cut_segment import show_cut_segment
from infotok_cli.itk.keep_maps import damaged_segments
from infotok_cli.model.engine import Engine
from infotok_cli.view.report_data import (
    FileFacts,
    clip_values,
    curve_values,
    file_values,
    read_facts,
    shown_name,
)
from infotok_cli.view.report_page import Page, Published, check_folder, publish
from infotok_cli.view.report_videos import CRF, Film, write_decoded
from infotok_cli.view.same_clip import check_same_clip, longer_source

MOST_FILES = 9
"""A key for each."""


@dataclass(frozen=True, kw_only=True)
class Report:
    """What a report is made of; UsageError for too many files."""

    files: Sequence[Path]
    """.itk files of one clip, the first of which is shown first."""
    source: Path | None = None
    """The video that was encoded."""
    results: Path | None = None
    """A JSON file of `infotok eval`, for rate-distortion curves."""
    skip_bad: bool = False
    """Whether damaged segments are shown as lost ones, instead of InputError."""

    def __post_init__(self) -> None:
        if not 1 <= len(self.files) <= MOST_FILES:
            raise UsageError(
                f"{len(self.files)} files are more than a page has keys for",
                way_out=f"give at most {MOST_FILES}",
            )


@dataclass(frozen=True, kw_only=True)
class Made:
    """What a report wrote."""

    published: Published
    frames: int
    seconds: float
    psnr_db: tuple[float | None, ...]
    """Mean over frames of each file; None without a source."""
    notes: tuple[str, ...]
    """What could not be decoded, and what else a person should know, a line for each thing."""


def make_report(
    report: Report,
    target: Path,
    engine: Engine,
    *,
    overwrite: bool = False,
    written: Callable[[int], None] = lambda frames: None,
) -> Made:
    """Decode the files and write the page `target`, and `NAME_files/` beside it where videos do not fit.

    `written` is told of all frames decoded so far. All appears whole or not at all. Raises InputError for
    files that are damaged, of different clips, or not of the source; ModelError for other weights;
    OutputError.
    """
    check_folder(target, overwrite)
    curves = None if report.results is None else curve_values(report.results, report.source)
    with ExitStack() as stack:
        readers = [stack.enter_context(ItkReader(path, recover=report.skip_bad)) for path in report.files]
        for path, reader in zip(report.files, readers, strict=True):
            check_model(engine, reader.header, str(path))
            if report.skip_bad:
                show_cut_segment(reader, engine.loaded.token_net)
            check_same_clip(path, reader, report.files[0], readers[0])
        notes = longer_source(report.source, readers[0].total_frames)
        net = engine.loaded.token_net
        damaged = [damaged_segments(reader, net) if report.skip_bad else {} for reader in readers]
        facts = [read_facts(*one) for one in zip(report.files, readers, damaged, strict=True)]
        poster = facts[0].where.telling_frame()
        scratch = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="infotok-report-")))
        films, original = _films(
            readers,
            facts,
            engine,
            scratch,
            source=report.source,
            poster=poster,
            skip_bad=report.skip_bad,
            written=written,
        )
        values = [file_values(fact, film.psnrs or None) for fact, film in zip(facts, films, strict=True)]
        data = clip_values(readers[0], poster) | {"files": values, "source": None, "curves": curves}
        page = _page(data, report.source, films, original)
        published = publish(page, target, overwrite=overwrite)
    return Made(
        published=published,
        frames=data["frames"],
        seconds=data["seconds"],
        psnr_db=tuple(value["psnr"] for value in values),
        notes=(*notes, *(line for film in films for line in film.lost)),
    )


def _films(
    readers: Sequence[ItkReader],
    facts: Sequence[FileFacts],
    engine: Engine,
    folder: Path,
    *,
    source: Path | None,
    poster: int,
    skip_bad: bool,
    written: Callable[[int], None],
) -> tuple[list[Film], Film | None]:
    """Videos of all files and, where there is one, of the source."""
    films: list[Film] = []
    original: Film | None = None
    done = 0

    def count() -> None:
        nonlocal done
        done += 1
        written(done)

    for number, (reader, fact) in enumerate(zip(readers, facts, strict=True), 1):
        film, beside = write_decoded(
            reader,
            engine,
            folder,
            f"file-{number}",
            source=source,
            with_source=number == 1,
            poster=poster,
            skip_bad=skip_bad or bool(fact.where.lost),
            written=count,
        )
        films.append(film)
        original = original or beside
    return films, original


def _page(data: dict[str, Any], source: Path | None, films: Sequence[Film], original: Film | None) -> Page:
    """The page of these numbers and films; `data` is told where in the page the films are."""
    held = {str(number): film for number, film in enumerate(films, 1)}
    for key, value in zip(held, data["files"], strict=True):
        value |= {"video": f"video-{key}", "poster": f"poster-{key}"}
    if original is not None and source is not None:
        held["source"] = original
        data["source"] = {"name": shown_name(source), "video": "video-source", "poster": "poster-source"}
    first = data["files"][0]
    return Page(
        title=first["name"],
        headline=first["headline"],
        note=f"Made by infotok. The pictures went through H.264 (crf {CRF}) for this page"
        f"{'' if original is None else '; PSNR was measured before that'}.",
        data=data,
        videos={f"video-{key}": film.path for key, film in held.items()},
        posters={f"poster-{key}": film.poster for key, film in held.items()},
    )
