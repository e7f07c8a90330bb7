"""Adaptive binary range coder, integers only: 32-bit range, 16-bit probabilities, carry resolved in place.

docs/FORMAT.md specifies it exactly. Both sides adapt in the same way, so the bits decoded are the bits
encoded on every machine. The code of a bit sequence is unique: `BitDecoder.finish` refuses any other bytes.
"""

from __future__ import annotations

from collections.abc import Sequence

from infotok_cli.errors import InputError

RANGE_BITS = 32
FULL_RANGE = (1 << RANGE_BITS) - 1
PROBABILITY_BITS = 16
ONE = 1 << PROBABILITY_BITS

FIRST_COUNT = 12
"""Observations the initial probability is worth."""
LAST_COUNT = 60
"""Observations the memory of a context is limited to."""

RATES: tuple[int, ...] = tuple(ONE // count for count in range(FIRST_COUNT, LAST_COUNT + 1))
"""Share (of 65,536) of the way to the bit just seen that a probability moves, by bits seen before."""


def encode_bits(bits: Sequence[int], contexts: Sequence[int], initial: Sequence[int]) -> bytes:
    """Code `bits` (0 or 1), each under the context of the same index.

    Args:
        bits: n values, 0 or 1.
        contexts: n indices into `initial`.
        initial: probability of a 1 in each context, 1..65535 out of 65,536.

    Returns:
        The shortest code that decodes to `bits` when read as if followed by zeros; may be empty.
    """
    probabilities = list(initial)
    steps = [0] * len(probabilities)
    rates, last_step = RATES, len(RATES) - 1
    out = bytearray()
    low, span = 0, FULL_RANGE
    for bit, context in zip(bits, contexts, strict=True):
        probability = probabilities[context]
        step = steps[context]
        bound = (span * probability) >> 16
        if bit:
            span = bound
            probabilities[context] = probability + (((65536 - probability) * rates[step]) >> 16)
        else:
            low += bound
            span -= bound
            probabilities[context] = probability - ((probability * rates[step]) >> 16)
        if step < last_step:
            steps[context] = step + 1
        while span < 0x1000000:
            if low > 0xFFFFFFFF:
                _carry(out)
                low &= 0xFFFFFFFF
            out.append(low >> 24)
            low = (low & 0xFFFFFF) << 8
            span <<= 8
    last = (low + 0xFFFFFF) >> 24
    if last > 0xFF:
        _carry(out)
    out.append(last & 0xFF)
    return bytes(out.rstrip(b"\0"))


def _carry(out: bytearray) -> None:
    """Add one to the number `out` writes in base 256; it never overflows its first byte."""
    at = len(out) - 1
    while out[at] == 0xFF:
        out[at] = 0
        at -= 1
    out[at] += 1


class BitDecoder:
    """Gives back the bits of `encode_bits`, one `decode` per bit, then `finish`.

    Bytes past the end of `data` read as zeros, so `decode` never fails and never reads further than asked:
    bytes that are no code give some bits, and `finish` says so.
    """

    __slots__ = ("_at", "_data", "_offset", "_probabilities", "_span", "_steps")

    def __init__(self, data: bytes, initial: Sequence[int]) -> None:
        """`data`: a whole code; `initial`: as it was given to `encode_bits`."""
        self._data = data
        self._probabilities = list(initial)
        self._steps = [0] * len(self._probabilities)
        self._at = 4
        self._offset = int.from_bytes(data[:4].ljust(4, b"\0"), "big")
        self._span = FULL_RANGE

    def decode(self, context: int) -> int:
        """Next bit, 0 or 1, under `context`."""
        probability = self._probabilities[context]
        step = self._steps[context]
        bound = (self._span * probability) >> 16
        if self._offset < bound:
            bit = 1
            span = bound
            self._probabilities[context] = probability + (((65536 - probability) * RATES[step]) >> 16)
        else:
            bit = 0
            self._offset -= bound
            span = self._span - bound
            self._probabilities[context] = probability - ((probability * RATES[step]) >> 16)
        if step < LAST_COUNT - FIRST_COUNT:
            self._steps[context] = step + 1
        while span < 0x1000000:
            at = self._at
            byte = self._data[at] if at < len(self._data) else 0
            self._offset = (self._offset << 8) | byte
            self._at = at + 1
            span <<= 8
        self._span = span
        return bit

    def finish(self) -> None:
        """Check that the bytes are exactly the code of the bits decoded.

        Raises:
            InputError: bytes are missing, changed or left over.
        """
        window = int.from_bytes(self._data[self._at - 4 : self._at].ljust(4, b"\0"), "big")
        low = (window - self._offset) & FULL_RANGE
        last = (low + 0xFFFFFF) & 0xFF000000
        if len(self._data) > self._at - 3 or self._data.endswith(b"\0"):
            raise InputError(
                f"range code of {len(self._data)} bytes has some left over", way_out="encode the video again"
            )
        if window != last:
            raise InputError(
                f"range code of {len(self._data)} bytes is damaged", way_out="encode the video again"
            )
