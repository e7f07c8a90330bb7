"""Token ids as bytes, token coding 1: digits range-coded under the frequencies of a token net.

The range coder is that of `constriction` (its RangeEncoder: 32-bit words, 64-bit state, 24-bit
precision): a maintained, compiled coder that takes a frequency table for each symbol of an array,
which Python alone is far too slow for. It wants probabilities as floats; ours are whole multiples of
2^-15, for which its rounding is exact in float64, so integers decide (docs/FORMAT.md).
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from infotok_cli.entropy import token_ids
from infotok_cli.entropy.token_net import TokenNet, Wave, Waves
from infotok_cli.errors import InputError
from infotok_cli.segment_tokens import Maps

Ids = NDArray[np.uint16]

AHEAD = 2
"""Words that a decoder holds, beyond those that an encoder has written for the same digits."""


def pack_ids(coding: int, ids: Ids, maps: Maps, levels: Sequence[int], net: TokenNet | None) -> bytes:
    """Token payload of a segment in a coding of `TOKEN_CODINGS`.

    ids: `[n]` of the positions that are kept, in grid order. net: where the coding needs one.
    Raises ValueError when they do not fit each other, or the net is missing.
    """
    return _CODERS[coding].pack(ids, maps, levels, net)


def unpack_ids(coding: int, data: bytes, maps: Maps, levels: Sequence[int], net: TokenNet | None) -> Ids:
    """Token ids `[n]` of `pack_ids`.

    Raises InputError when `data` is not the code of any, ValueError when the net is missing.
    """
    return _CODERS[coding].unpack(data, maps, levels, net)


def unpack_first_ids(
    coding: int,
    data: bytes,
    whole_bytes: int,
    maps: Maps,
    levels: Sequence[int],
    *,
    net: TokenNet | None,
) -> Ids:
    """Token ids `[m]` of as many first latent steps as `data`, the start of a payload, decides.

    whole_bytes: length of the whole payload. maps: of the whole segment; the m ids are those of
    its first steps, and 0 to t of these are whole. Nothing tells a changed byte from a true one.
    Raises ValueError when the net is missing.
    """
    return _CODERS[coding].unpack_first(data, whole_bytes, maps, levels, net)


class _Coder(Protocol):
    """One way to code the ids of a segment."""

    def pack(self, ids: Ids, maps: Maps, levels: Sequence[int], net: TokenNet | None) -> bytes: ...
    def unpack(self, data: bytes, maps: Maps, levels: Sequence[int], net: TokenNet | None) -> Ids: ...
    def unpack_first(
        self,
        data: bytes,
        whole_bytes: int,
        maps: Maps,
        levels: Sequence[int],
        net: TokenNet | None,
    ) -> Ids: ...


class _Packed:
    """Coding 0: two bytes each."""

    def pack(self, ids: Ids, maps: Maps, levels: Sequence[int], net: TokenNet | None) -> bytes:
        if len(ids) != maps.keep.sum():
            raise ValueError(f"{len(ids)} ids for {maps.keep.sum()} kept positions")
        return token_ids.pack_raw(ids, levels)

    def unpack(self, data: bytes, maps: Maps, levels: Sequence[int], net: TokenNet | None) -> Ids:
        return token_ids.unpack_raw(data, int(maps.keep.sum()), levels)

    def unpack_first(
        self,
        data: bytes,
        whole_bytes: int,
        maps: Maps,
        levels: Sequence[int],
        net: TokenNet | None,
    ) -> Ids:
        return _first_steps(token_ids.unpack_first(data, levels), maps.keep)


class _UnderNet:
    """Coding 1: digits under the chances of a token net, or packed where that is no longer."""

    def pack(self, ids: Ids, maps: Maps, levels: Sequence[int], net: TokenNet | None) -> bytes:
        packed = token_ids.pack_raw(ids, levels)
        coded = encode_ids(ids, maps, _needed(net))
        return coded if len(coded) < len(packed) else packed

    def unpack(self, data: bytes, maps: Maps, levels: Sequence[int], net: TokenNet | None) -> Ids:
        count = int(maps.keep.sum())
        if len(data) == token_ids.packed_bytes(count, levels):
            return token_ids.unpack_raw(data, count, levels)
        return decode_ids(data, maps, _needed(net))

    def unpack_first(
        self,
        data: bytes,
        whole_bytes: int,
        maps: Maps,
        levels: Sequence[int],
        net: TokenNet | None,
    ) -> Ids:
        if whole_bytes == token_ids.packed_bytes(int(maps.keep.sum()), levels):
            return _first_steps(token_ids.unpack_first(data, levels), maps.keep)
        return decode_first_ids(data, maps, _needed(net))


def _needed(net: TokenNet | None) -> TokenNet:
    if net is None:
        raise ValueError("token coding 1 needs the token net of the file's weights")
    return net


_CODERS: dict[int, _Coder] = {0: _Packed(), 1: _UnderNet()}


def encode_ids(ids: Ids, maps: Maps, net: TokenNet) -> bytes:
    """Code token ids `[n]` of the n kept positions, in grid order.

    Raises ValueError when counts differ or an id is outside the quantizer.
    """
    size = int(np.prod(net.levels))
    if ids.shape != (int(maps.keep.sum()),) or (ids.size and int(ids.max()) >= size):
        raise ValueError(
            f"{ids.shape} token ids do not fit a keep map of {int(maps.keep.sum())} and {size} ids"
        )
    whole = np.zeros(maps.keep.size, np.uint16)
    whole[maps.keep.ravel()] = ids
    waves = Waves(net, maps)
    digits = to_digits(whole[waves.places], net.levels)
    coder = _stream().RangeEncoder()
    for wave in waves:
        for channel, symbols in enumerate(np.ascontiguousarray(digits[wave.tokens].T)):
            coder.encode(symbols, _family(), wave.chances(channel))
            wave.put(channel, symbols)
    return _bytes_of(coder)


def decode_ids(data: bytes, maps: Maps, net: TokenNet) -> Ids:
    """Token ids `[n]` of `encode_ids`.

    Raises InputError when `data` is not the code of any ids under these maps.
    """
    if len(data) % 4:
        raise InputError(
            f"coded token ids take {len(data)} bytes, not whole words", way_out="encode the video again"
        )
    decoding = _Decoding(data, maps, net)
    try:
        for wave in decoding.waves:
            decoding.take(wave)
    except (ValueError, AssertionError) as error:
        raise InputError("coded token ids are damaged", way_out="encode the video again") from error
    if _bytes_of(decoding.again) != data:
        raise InputError(
            "coded token ids are not the code of the ids they give", way_out="encode the video again"
        )
    return decoding.ids()


def decode_first_ids(data: bytes, maps: Maps, net: TokenNet) -> Ids:
    """Ids `[m]` of the first latent steps that `data`, the start of a code of `encode_ids`, decides.

    A decoder is `AHEAD` words ahead of what an encoder has written for the digits so far, and has read none
    but these. maps: of the whole segment.
    """
    words = len(data) // 4
    decoding = _Decoding(data[: 4 * words], maps, net)
    certain = 0
    try:
        for wave in decoding.waves:
            decoding.take(wave)
            if decoding.again.pos()[0] + AHEAD > words:
                break
            certain = wave.tokens.stop
    except (ValueError, AssertionError):  # the zeros behind the end are the code of nothing
        pass
    # In coding order whole steps come one after the other, as they do in grid order.
    return _first_steps(decoding.ids()[:certain], maps.keep)


def _first_steps(ids: Ids, keep: NDArray[np.bool_]) -> Ids:
    """Without those of a latent step that not all tokens are there of."""
    ends = np.cumsum(keep.sum(axis=(1, 2)))
    return ids[: max(ends[ends <= len(ids)], default=0)]


class _Decoding:
    """Digits of a segment as they are decoded, wave by wave, and encoded again."""

    def __init__(self, data: bytes, maps: Maps, net: TokenNet) -> None:
        self.waves = Waves(net, maps)
        self.again = _stream().RangeEncoder()
        self._coder = _stream().RangeDecoder(np.frombuffer(data, "<u4").astype(np.uint32))
        self._keep = maps.keep
        self._digits = np.zeros((len(self.waves.places), len(net.levels)), np.int32)

    def take(self, wave: Wave) -> None:
        """Decode the digits of the next wave; ValueError or AssertionError where they have no code."""
        for channel in range(self._digits.shape[1]):
            chances = wave.chances(channel)
            symbols = self._coder.decode(_family(), chances)
            self.again.encode(symbols, _family(), chances)
            self._digits[wave.tokens, channel] = symbols
            wave.put(channel, symbols)

    def ids(self) -> Ids:
        """Ids `[n]` of all kept positions, in grid order; 0 for those that are not decoded yet."""
        whole = np.zeros(self._keep.size, np.uint16)
        whole[self.waves.places] = from_digits(self._digits, self.waves.net.levels)
        return whole[self._keep.ravel()]


def _bytes_of(coder: Any) -> bytes:
    """What an encoder has written; a decoder reads zeros after the end, so zero words there are left out."""
    words: NDArray[np.uint32] = coder.get_compressed()
    written = np.flatnonzero(words)
    return words[: written[-1] + 1 if len(written) else 0].astype("<u4").tobytes()


def to_digits(ids: Ids, levels: tuple[int, ...]) -> NDArray[np.int32]:
    """FSQ digits `[n, C]` of ids `[n]`, first channel least."""
    rest, digits = ids.astype(np.int32), []
    for level in levels:
        digits.append(rest % level)
        rest = rest // level
    return np.stack(digits, axis=-1)


def from_digits(digits: NDArray[np.int32], levels: tuple[int, ...]) -> Ids:
    """Ids `[n]` of FSQ digits `[n, C]`."""
    ids = np.zeros(len(digits), np.int64)
    for channel in reversed(range(len(levels))):
        ids = ids * levels[channel] + digits[:, channel]
    return ids.astype(np.uint16)


@cache
def _constriction() -> Any:
    import constriction

    return constriction


def _stream() -> Any:
    return _constriction().stream.queue


@cache
def _family() -> Any:
    return _constriction().stream.model.Categorical(perfect=False)
