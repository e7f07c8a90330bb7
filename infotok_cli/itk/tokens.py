"""The token layer of one segment from its bytes and back. No network, no torch."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

from infotok_cli.container.header import Header
from infotok_cli.container.layout import Segment
from infotok_cli.entropy.keep_map import pack_keep, unpack_keep
from infotok_cli.entropy.motion_map import pack_motion, unpack_motion
from infotok_cli.entropy.token_coding import pack_ids, unpack_first_ids, unpack_ids
from infotok_cli.entropy.token_net import TokenNet
from infotok_cli.errors import InputError
from infotok_cli.motion import Motion, motion_grid
from infotok_cli.segment_tokens import Maps, Tokens


class Stored(Protocol):
    """What an opened file and a stream have in common."""

    @property
    def header(self) -> Header: ...
    @property
    def name(self) -> str: ...
    def place(self, number: int) -> str: ...
    def damaged(self, number: int, what: str) -> InputError: ...


def unpack_tokens(reader: Stored, segment: Segment, net: TokenNet | None) -> Tokens:
    """The token layer of a segment of `reader`; `net`: where the file's token coding needs one.

    Of a segment that was cut short the ids behind its whole latent steps, which alone are shown, are 0.

    Raises:
        InputError: the segment was lost, or its payloads are no code or contradict each other.
    """
    maps = Maps(unpack_keep_map(reader, segment), unpack_motion_map(reader, segment))
    if segment.missing_bytes:
        first = first_ids(reader.header, segment, maps, net)
        return Tokens(*maps, np.pad(first, (0, segment.tokens - len(first))))
    with _naming(reader, segment):
        header = reader.header
        ids = unpack_ids(header.token_coding, segment.token_payload, maps, header.levels, net)
    return Tokens(*maps, ids)


def first_ids(header: Header, segment: Segment, maps: Maps, net: TokenNet | None) -> NDArray[np.uint16]:
    """Ids of the whole latent steps of a segment that was cut short."""
    whole_bytes = len(segment.token_payload) + segment.missing_bytes
    return unpack_first_ids(
        header.token_coding, segment.token_payload, whole_bytes, maps, header.levels, net=net
    )


def unpack_keep_map(reader: Stored, segment: Segment) -> NDArray[np.bool_]:
    """The keep map alone; raises InputError as `unpack_tokens`."""
    _check_held(reader, segment)
    header = reader.header
    with _naming(reader, segment):
        return unpack_keep(
            segment.map_payload, header.allocation, header.grid(segment.frames), segment.tokens
        )


def unpack_motion_map(reader: Stored, segment: Segment) -> Motion:
    """The motion map alone; raises InputError as `unpack_tokens`."""
    _check_held(reader, segment)
    with _naming(reader, segment):
        return unpack_motion(segment.motion_payload, reader.header.grid(segment.frames))


def _check_held(reader: Stored, segment: Segment) -> None:
    if segment.lost:
        raise InputError(
            f"{reader.place(segment.number)} is lost",
            way_out="encode the video again",
            where=reader.name,
        )


@contextmanager
def _naming(reader: Stored, segment: Segment) -> Iterator[None]:
    """Say of what is wrong with a payload whose it is."""
    try:
        yield
    except InputError as error:
        raise reader.damaged(segment.number, error.what) from error


class Payloads(NamedTuple):
    """A segment's token layer as coded."""

    keep: bytes
    motion: bytes
    ids: bytes


def pack_tokens(tokens: Tokens, header: Header, net: TokenNet | None) -> Payloads:
    """Coded token layer, the only bytes that an encoder gives for it.

    Raises:
        InputError: the keep map cannot be one of the header's allocation, the motion map is of another grid
            or has a lead that moves, or an id is none of the header's quantizer.
    """
    keep, motion, ids = tokens
    coded = pack_keep(keep, header.allocation)
    t, h, w = keep.shape
    if motion.shape != motion_grid((t, h, w)):
        raise InputError(f"motion map of shape {motion.shape} does not fit a grid {keep.shape}")
    try:
        return Payloads(
            coded, pack_motion(motion), pack_ids(header.token_coding, ids, tokens.maps, header.levels, net)
        )
    except ValueError as error:
        raise InputError(str(error)) from error
