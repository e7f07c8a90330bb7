"""The token layer of one segment: keep map and token ids from its bytes and back. No network, no torch."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from infotok_cli.container.header import Header
from infotok_cli.container.layout import Segment
from infotok_cli.entropy.keep_map import pack_keep, unpack_keep
from infotok_cli.entropy.token_coding import pack_ids, unpack_first_ids, unpack_ids
from infotok_cli.entropy.token_net import TokenNet
from infotok_cli.errors import InputError

Tokens = tuple[NDArray[np.bool_], NDArray[np.uint16]]
"""Keep map `[t, h, w]` and the ids of its kept positions in grid order, `[n]`; 0 behind the end of a segment
that was cut short, whose whole steps alone are shown."""


class Stored(Protocol):
    """What an opened file and a stream have in common."""

    @property
    def header(self) -> Header: ...
    @property
    def name(self) -> str: ...
    def place(self, number: int) -> str: ...
    def damaged(self, number: int, what: str) -> InputError: ...


def unpack_tokens(reader: Stored, segment: Segment, net: TokenNet | None) -> Tokens:
    """Keep map and ids of a segment of `reader`; `net`: where the file's token coding needs one.

    Raises:
        InputError: the segment was lost, or its payloads are no code or contradict each other.
    """
    keep = unpack_keep_map(reader, segment)
    if segment.missing_bytes:
        first = first_ids(reader.header, segment, keep, net)
        return keep, np.pad(first, (0, segment.tokens - len(first)))
    with _naming(reader, segment):
        header = reader.header
        return keep, unpack_ids(header.token_coding, segment.token_payload, keep, header.levels, net)


def first_ids(
    header: Header, segment: Segment, keep: NDArray[np.bool_], net: TokenNet | None
) -> NDArray[np.uint16]:
    """Ids of the whole latent steps of a segment that was cut short."""
    whole_bytes = len(segment.token_payload) + segment.missing_bytes
    return unpack_first_ids(
        header.token_coding, segment.token_payload, whole_bytes, keep, header.levels, net=net
    )


def unpack_keep_map(reader: Stored, segment: Segment) -> NDArray[np.bool_]:
    """The keep map alone; raises InputError as `unpack_tokens`."""
    if segment.lost:
        raise InputError(
            f"{reader.place(segment.number)} is lost",
            way_out="encode the video again",
            where=reader.name,
        )
    header = reader.header
    with _naming(reader, segment):
        return unpack_keep(
            segment.map_payload, header.allocation, header.grid(segment.frames), segment.tokens
        )


@contextmanager
def _naming(reader: Stored, segment: Segment) -> Iterator[None]:
    """Say of what is wrong with a payload whose it is."""
    try:
        yield
    except InputError as error:
        raise reader.damaged(segment.number, error.what) from error


def pack_tokens(
    keep: NDArray[np.bool_], ids: NDArray[np.uint16], header: Header, net: TokenNet | None
) -> tuple[bytes, bytes]:
    """Coded keep map and coded ids, the only bytes that an encoder gives for these.

    Raises:
        InputError: the keep map cannot be one of the header's allocation, or an id is none of its quantizer.
    """
    coded = pack_keep(keep, header.allocation)
    try:
        return coded, pack_ids(header.token_coding, ids, keep, header.levels, net)
    except ValueError as error:
        raise InputError(str(error)) from error
