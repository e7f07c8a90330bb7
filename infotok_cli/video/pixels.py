"""Pixels between FFmpeg's frames and RGB arrays: matrix, range, bit depth, alpha, size.

The conversion is FFmpeg's swscale in its accurate, bit-exact mode, one reused context per direction.
"""

from __future__ import annotations

import numpy as np
from av.video.frame import VideoFrame
from av.video.reformatter import ColorRange, Interpolation, VideoReformatter

from infotok_cli.colour import RANGE_FULL, RANGE_LIMITED, RANGE_UNSPECIFIED, SWSCALE_MATRIX, Colour
from infotok_cli.video.video_info import Frame

EXACT = Interpolation.ACCURATE_RND | Interpolation.FULL_CHR_H_INT | Interpolation.BITEXACT

H273_NAMES = {8: "YCgCo", 11: "YDzDx", 12: "chroma-derived", 13: "chroma-derived", 14: "ICtCp"}
H273_NAMES |= {15: "IPT-PQ-C2", 16: "YCgCo-Re", 17: "YCgCo-Ro"}
"""Matrices that swscale cannot undo."""

FULL_FROM_LIMITED = np.clip((np.arange(256) - 16) * (255 / 219) + 0.5, 0, 255).astype(np.uint8)


def colour_of(frame: VideoFrame) -> Colour:
    """Colour tags of a decoded frame; RGB formats are matrix 0 and full range whatever the tags say."""
    if _is_rgb(frame):
        return Colour(primaries=frame.color_primaries, transfer=frame.color_trc, matrix=0, range=RANGE_FULL)
    known = frame.color_range in (RANGE_LIMITED, RANGE_FULL)
    tagged = int(frame.color_range) if known else RANGE_UNSPECIFIED
    return Colour(
        primaries=frame.color_primaries,
        transfer=frame.color_trc,
        matrix=frame.colorspace,
        range=RANGE_FULL if frame.format.name.startswith("yuvj") else tagged,
    )


class RgbConverter:
    """Turns decoded frames into RGB arrays of one size.

    Alpha is composited over black. Gray without a range tag is full range, as FFmpeg has it; any
    other YCbCr without one is limited range.
    """

    def __init__(self, width: int, height: int) -> None:
        self._size = (width, height)
        self._reformatter = VideoReformatter()
        self._scaler = VideoReformatter()

    def __call__(self, frame: VideoFrame) -> Frame:
        """RGB `[H, W, 3]`, 0..255, a new array; raises ValueError if the format cannot be converted."""
        colour = colour_of(frame)
        if _has_alpha(frame):
            straight = self._convert(frame, "rgba", colour, (frame.width, frame.height))
            frame = VideoFrame.from_ndarray(_over_black(_samples(straight)), format="rgb24")
        picture = _samples(self._convert(frame, "rgb24", colour, self._size))
        if frame.format.name.startswith("gray") and colour.range == RANGE_LIMITED:
            # swscale takes all gray for full range.
            return np.take(FULL_FROM_LIMITED, picture)
        return picture

    def _convert(self, frame: VideoFrame, target: str, colour: Colour, size: tuple[int, int]) -> VideoFrame:
        source_range = ColorRange.JPEG if _is_rgb(frame) or colour.range == RANGE_FULL else ColorRange.MPEG
        if not _is_rgb(frame) and colour.matrix in H273_NAMES:
            raise ValueError(f"colours coded as {H273_NAMES[colour.matrix]} are not supported")
        matrix = SWSCALE_MATRIX[colour.matrix_for(frame.height)]
        shrinks = size[0] * size[1] < frame.width * frame.height
        reformatter = self._scaler if _is_rgb(frame) else self._reformatter
        try:
            return reformatter.reformat(
                frame,
                *size,
                format=target,
                src_colorspace=matrix,
                dst_colorspace=matrix,
                src_color_range=source_range,
                dst_color_range=ColorRange.JPEG,
                interpolation=(Interpolation.AREA if shrinks else Interpolation.BICUBIC) | EXACT,
            )
        except (OSError, ValueError, RuntimeError) as error:
            raise ValueError(f"pixel format {frame.format.name} is not supported") from error


class YuvConverter:
    """Turns RGB arrays into frames of one pixel format, with the matrix and range that `colour` names."""

    def __init__(self, pixel_format: str, colour: Colour) -> None:
        self._format = pixel_format
        self._colour = colour
        self._reformatter = VideoReformatter()

    def __call__(self, picture: Frame) -> VideoFrame:
        """Frame of RGB `[H, W, 3]`, 0..255, tagged with the colour."""
        frame = VideoFrame.from_ndarray(np.ascontiguousarray(picture), format="rgb24")
        converted = self._reformatter.reformat(
            frame,
            format=self._format,
            dst_colorspace=SWSCALE_MATRIX.get(self._colour.matrix),
            src_color_range=ColorRange.JPEG,
            dst_color_range=ColorRange.JPEG if self._colour.range == RANGE_FULL else ColorRange.MPEG,
            interpolation=Interpolation.BICUBIC | EXACT,
        )
        converted.color_primaries = self._colour.primaries
        converted.color_trc = self._colour.transfer
        return converted


def _is_rgb(frame: VideoFrame) -> bool:
    return frame.format.is_rgb or frame.format.has_palette


def _has_alpha(frame: VideoFrame) -> bool:
    return frame.format.has_palette or any(component.is_alpha for component in frame.format.components)


def _samples(frame: VideoFrame) -> Frame:
    """Samples `[H, W, C]` of a packed 8-bit frame, as an array of their own."""
    return np.array(frame.to_ndarray(), dtype=np.uint8, order="C")


def _over_black(straight: Frame) -> Frame:
    """RGB `[H, W, 3]` of RGBA `[H, W, 4]` with straight alpha, on a black ground."""
    scaled = straight[..., :3].astype(np.uint16) * straight[..., 3:]
    return ((scaled + 127) // 255).astype(np.uint8)
