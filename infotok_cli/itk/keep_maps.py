"""The keep maps of a whole file in order, also of one that is damaged. No network, no torch."""

from __future__ import annotations

from collections.abc import Collection, Iterator

import numpy as np
from numpy.typing import NDArray

from infotok_cli.container.layout import Segment
from infotok_cli.container.reader import ItkReader
from infotok_cli.entropy.token_net import TokenNet
from infotok_cli.errors import InputError
from infotok_cli.itk.tokens import unpack_keep_map, unpack_tokens
from infotok_cli.wording import counted


def damaged_segments(reader: ItkReader, net: TokenNet | None) -> dict[int, InputError]:
    """What is wrong with each segment whose tokens cannot be decoded, by its number.

    net: where the file's token coding needs one. Segments that a repair found lost are passed over.
    """
    damaged: dict[int, InputError] = {}
    for number in range(len(reader.index)):
        try:
            segment = reader.read_segment(number)
            if not segment.lost:
                unpack_tokens(reader, segment, net)
        except InputError as error:
            damaged[number] = error
    return damaged


def noted_damage(reader: ItkReader) -> list[str]:
    """What is wrong with the index of a file that was opened with `recover`, a line for each thing."""
    notes = [] if reader.damage is None else [f"{reader.name} {reader.damage}: what is whole is shown"]
    cut = reader.cut
    if cut is not None and cut.number < len(reader.index):
        shown = counted(cut.counts.shown, "frame")
        notes.append(f"{reader.name}: {reader.place(cut.number)} is cut short: {shown} of it are shown")
    return notes


def keep_maps(
    reader: ItkReader, damaged: Collection[int] = ()
) -> Iterator[tuple[Segment, NDArray[np.bool_]]]:
    """Every segment with its keep map `[t, h, w]`, one at a time; a lost one keeps nothing.

    Those in `damaged` stand as lost ones without being read. Raises InputError at any other damaged one.
    """
    for number in range(len(reader.index)):
        segment = _as_lost(reader, number) if number in damaged else reader.read_segment(number)
        if segment.lost:
            yield segment, np.zeros(reader.header.grid(segment.frames), np.bool_)
        else:
            yield segment, unpack_keep_map(reader, segment)


def _as_lost(reader: ItkReader, number: int) -> Segment:
    counts = reader.index[number].counts
    return Segment(
        number,
        counts.frames,
        0,
        b"",
        b"",
        trim_start=counts.trim_start,
        trim_end=counts.trim_end,
        lost=True,
    )
