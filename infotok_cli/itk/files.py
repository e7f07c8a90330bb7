"""Files of tokens into others from Python: what `infotok cut`, `concat`, `repair`, `export`, `import` do."""

from __future__ import annotations

from collections.abc import Iterable

from infotok_cli.errors import UsageError
from infotok_cli.itk.edit import EditReport, concat_files, cut_file, repair_file
from infotok_cli.itk.flat import FlatReport, export_file, import_file
from infotok_cli.itk.token_file import TokenFile
from infotok_cli.places import PathName, Place, Source, check_source, check_target, path_of

Tokens = TokenFile | Source
"""An .itk file: opened, or named by its path, its bytes or a binary stream of them."""


def source_of(given: Tokens, parameter: str = "source") -> Source:
    """What an .itk file is read from; TypeError, naming the `parameter`, for what is none."""
    if isinstance(given, TokenFile):
        return given.source
    check_source(given, parameter)
    return given


def cut(
    source: Tokens,
    target: Place,
    start: float | None = None,
    end: float | None = None,
    *,
    overwrite: bool = False,
) -> EditReport:
    """Copy what is shown at start <= seconds < end, exact to the frame; nothing is encoded anew.

    Raises InputError, UsageError when nothing is shown then, OutputError, and TypeError for what names no
    file. `TokenFile.slice` gives the same file without a name.
    """
    check_target(target)
    return cut_file(source_of(source), target, start_seconds=start, end_seconds=end, overwrite=overwrite)


def concat(sources: Iterable[Tokens], target: Place, *, overwrite: bool = False) -> EditReport:
    """Join files one after the other; parts that were cut from one file become that file again.

    They must agree in size, frame rate, colours, model and kind of allocation.
    Raises InputError, UsageError when there are none, OutputError, and TypeError for what names no file.
    """
    if isinstance(sources, (str, bytes, TokenFile)) or not isinstance(sources, Iterable):
        raise TypeError(f"sources must be several files, such as a list, not {type(sources).__name__}")
    check_target(target)
    held = list(sources)  # a file without a name is gone when nobody holds it
    given = [source_of(source, f"sources[{place}]") for place, source in enumerate(held)]
    if not given:
        raise UsageError("`sources` is empty", way_out="name the files to join")
    return concat_files(given, target, overwrite=overwrite)


def repair(source: Tokens, target: Place, *, overwrite: bool = False) -> EditReport:
    """Copy what is whole of a damaged or truncated file; what was lost keeps its time.

    Raises InputError when nothing is whole, OutputError, and TypeError for what names no file.
    """
    check_target(target)
    return repair_file(source_of(source), target, overwrite=overwrite)


def export(
    source: Tokens,
    target: Place,
    format: str | None = None,
    *,
    model: PathName | None = None,
    overwrite: bool = False,
) -> FlatReport:
    """Write tokens as flat ids that other programs read, see docs/FORMAT.md.

    format: npz, npy, jsonl or safetensors; None takes the suffix of `target`.
    model: name or path of the weights that made the file, where its ids are coded and it is no packaged one.
    Raises InputError, UsageError, ModelError, OutputError, and TypeError for what names no file.
    """
    check_target(target)
    return export_file(source_of(source), target, format, model=model, overwrite=overwrite)


def import_(
    source: PathName,
    target: Place,
    format: str | None = None,
    *,
    model: PathName | None = None,
    overwrite: bool = False,
) -> FlatReport:
    """Write the .itk file whose flat ids `export` has written to `source`.

    Raises InputError, UsageError, ModelError, OutputError, and TypeError for what names no file.
    """
    check_target(target)
    return import_file(path_of(source, "source"), target, format, model=model, overwrite=overwrite)
