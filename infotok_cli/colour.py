"""Colour tags of a video, as read, stored and written. Standard library only."""

from __future__ import annotations

from dataclasses import dataclass

UNSPECIFIED = 2
"""H.273 code of primaries, transfer or matrix that nobody wrote down."""

RANGE_UNSPECIFIED, RANGE_LIMITED, RANGE_FULL = 0, 1, 2
"""Codes of a range, the same in .itk files and in FFmpeg."""

SWSCALE_MATRIX = {1: 1, 4: 4, 5: 5, 6: 5, 7: 7, 9: 9, 10: 9}
"""H.273 matrix code to FFmpeg's converter's; 10 (constant luminance) is treated as 9."""


@dataclass(frozen=True, kw_only=True)
class Colour:
    """How samples become light: three ITU-T H.273 codes, 0..255 each, and the range of the samples."""

    primaries: int = UNSPECIFIED
    """ColourPrimaries."""
    transfer: int = UNSPECIFIED
    """TransferCharacteristics."""
    matrix: int = UNSPECIFIED
    """MatrixCoefficients; 0 is RGB, 1 BT.709, 5 and 6 BT.601, 9 BT.2020."""
    range: int = RANGE_UNSPECIFIED
    """`RANGE_UNSPECIFIED`, `RANGE_LIMITED` or `RANGE_FULL`."""

    def matrix_for(self, height: int) -> int:
        """H.273 code to convert YCbCr with: the tag; without one BT.709 from 720 lines on, BT.601 below."""
        if self.matrix in SWSCALE_MATRIX:
            return self.matrix
        return 1 if height >= 720 else 6

    def __str__(self) -> str:
        codes = f"primaries {self.primaries}, transfer {self.transfer}, matrix {self.matrix}"
        return f"{codes}, {('unspecified', 'limited', 'full')[self.range]} range"


UNTAGGED = Colour()
BT709 = Colour(primaries=1, transfer=1, matrix=1, range=RANGE_LIMITED)
