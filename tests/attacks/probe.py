"""Everything that reads an .itk file and needs no model, on one file: what an attacker can reach.

Shared by the attack tests and the fuzz target, so that both hold the same promise of SECURITY.md: whatever
the bytes are, an InputError of one line or an answer.
"""

from __future__ import annotations

import contextlib
from pathlib import Path

from infotok_cli.container import layout
from infotok_cli.container.reader import ItkReader
from infotok_cli.container.stream import ItkStream
from infotok_cli.errors import InfotokError, InputError
from infotok_cli.itk.edit import cut_file, repair_file
from infotok_cli.itk.flat import export_file, import_file
from infotok_cli.itk.report import report_file, verify_file

MAX_POSITIONS = 1 << 18
"""Positions of a segment up to which its token layer is decoded here. Beyond, time grows in proportion."""


def probe(path: Path, max_positions: int = MAX_POSITIONS) -> list[str]:
    """Read the file in every way; the messages of all refusals. Raises whatever is not an InputError."""
    messages: list[str] = []
    for step in (report_file, _open_damaged, _stream):
        _attempt(messages, step, path)
    small = True
    with contextlib.suppress(InputError), ItkReader(path, recover=True) as reader:
        small = reader.header.positions() <= max_positions
    if small:
        for step in (verify_file, _cut, _repair, _export):
            _attempt(messages, step, path)
    return messages


def _attempt(messages: list[str], step: object, path: Path) -> None:
    try:
        step(path)  # type: ignore[operator]
    except InfotokError as error:
        if "\n" in str(error) or not str(error).isprintable():
            raise AssertionError(f"not one printable line: {str(error)!r}") from error
        messages.append(str(error))


def _open_damaged(path: Path) -> None:
    with ItkReader(path, recover=True) as reader:
        for number in range(min(len(reader.index), 1000)):
            for read in (reader.read_segment, reader.read_times, reader.read_audio):
                with contextlib.suppress(InputError):
                    read(number)
            times = reader.index[number].counts.frames * reader.header.has_times
            assert len(reader.times_at_any_rate(number)) == times


def _stream(path: Path) -> None:
    with path.open("rb") as file:
        for _ in ItkStream(file, "pipe").segments():
            pass


def _cut(path: Path) -> None:
    cut_file(path, path.with_name("cut.itk"), start_seconds=0.1, overwrite=True)
    report_file(path.with_name("cut.itk"))


def _repair(path: Path) -> None:
    target = path.with_name("repaired.itk")
    report = repair_file(path, target, overwrite=True)
    facts = report_file(target)
    assert facts.frames == report.frames
    if not report.notes and not _has_passed_flags(path):
        assert target.read_bytes() == path.read_bytes()


def _has_passed_flags(path: Path) -> bool:
    """Whether bits of HEAD's flags are set that are passed over, and so not copied."""
    fields = layout.HEAD_FIELDS[: [name for name, _ in layout.HEAD_FIELDS].index("flags")]
    at = len(layout.MAGIC) + layout.SECTION_STRUCT.size + layout.layout_of(fields).size
    return int.from_bytes(path.read_bytes()[at : at + 2], "little") & ~layout.REQUIRED_FLAGS != 0


def _export(path: Path) -> None:
    flat, back = path.with_name("flat.npy"), path.with_name("back.itk")
    report = export_file(path, flat, overwrite=True)
    import_file(flat, back, overwrite=True)
    if not report.left_out and not _has_passed_flags(path):
        assert back.read_bytes() == path.read_bytes()
