"""One file of a batch: encoded, or written down as what failed."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from infotok_cli.batch.ahead_videos import Begun
from infotok_cli.batch.items import Item, Refused
from infotok_cli.batch.outputs import Row, row_of
from infotok_cli.batch.remote import is_url
from infotok_cli.batch.run_file import RunSettings, make_folder
from infotok_cli.errors import InfotokError, InputError
from infotok_cli.places import output_of

if TYPE_CHECKING:
    from infotok_cli.codec.progress import EncodeProgress
    from infotok_cli.model.engine import Engine


def encode_item(
    item: Item,
    begun: Begun,
    folder: Path,
    run: RunSettings,
    *,
    engine: Engine,
    spelled: Callable[[str], str],
    progress: EncodeProgress | None = None,
) -> Row:
    """Encode one file; whatever goes wrong, be it in `progress`, is in the row."""
    from infotok_cli.codec.encode import encode_input
    from infotok_cli.codec.video_psnr import encoded_psnr_db

    target = folder / item.target
    began = time.perf_counter()
    psnr_db: float | None = None
    try:
        given = begun()
        with given.kept_open():
            make_folder(target.parent)
            encode_input(given, output_of(target, overwrite=True), engine, run.options, progress)
            milliseconds = 1000 * (time.perf_counter() - began)
            if run.psnr:
                psnr_db = encoded_psnr_db(given.video, target, engine, run.options)
        row = row_of(target, run, id=item.id, source=item.source, output=item.target, status="encoded")
        if row is None:
            raise InputError(
                "is not what was written", way_out="check the disk, and run again", where=str(target)
            )
    except Exception as error:  # one file of many: the rest goes on
        return failed_row(item, _reason(error, item, spelled))
    return replace(row, ms=milliseconds, psnr_db=psnr_db)


def _reason(error: Exception, item: Item, spelled: Callable[[str], str]) -> str:
    if isinstance(error, InputError) and is_url(item.source):  # it names the temporary copy
        return InputError(error.what, way_out=error.way_out, where=item.source).text(spelled)
    if isinstance(error, InfotokError):
        return error.text(spelled)
    if isinstance(error, OSError) and error.strerror:
        return f"{error.filename or tempfile.gettempdir()}: {error.strerror}"
    return f"internal error (please report): {type(error).__name__}: {error}"


def failed_row(item: Item | Refused, reason: str) -> Row:
    return Row(id=item.id, source=item.source, status="failed", error=" ".join(reason.split()))
