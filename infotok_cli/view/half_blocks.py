"""Pictures as characters, two pixels to each: the upper half of a block before a background."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from infotok_cli.metrics import luma
from infotok_cli.view.drawing import Picture

UPPER_HALF = "▀"

Painter = Callable[[Picture], list[bytes]]
"""Lines of characters with their colours, UTF-8, of a picture `[2 * lines, columns, 3]`."""


def fitted(picture: Picture, columns: int, lines: int, *, pixel_aspect: float = 1.0) -> Picture:
    """The picture as large as `columns` and `lines` of characters allow, an even number of rows high.

    pixel_aspect: width of its pixels over their height.
    """
    height, width = picture.shape[0], picture.shape[1] * pixel_aspect
    scale = min(columns / width, 2 * lines / height)
    size = max(1, min(columns, round(width * scale))), 2 * max(1, min(lines, round(height * scale / 2)))
    return np.asarray(Image.fromarray(picture).resize(size, Image.Resampling.BOX))


def in_true_colour(picture: Picture) -> list[bytes]:
    """A painter with 24 bits of colour."""
    upper, lower = _decimal()[picture[::2]], _decimal()[picture[1::2]]
    return _filled(b"\x1b[38;2;%b;%b;%b;48;2;%b;%b;%bm", [*_channels(upper), *_channels(lower)])


def in_256_colours(picture: Picture) -> list[bytes]:
    """A painter with the 6x6x6 colours that terminals have long had."""
    levels = (picture.astype(np.uint16) * 5 + 127) // 255
    cube = (16 + 36 * levels[..., 0] + 6 * levels[..., 1] + levels[..., 2]).astype(np.uint8)
    return _filled(b"\x1b[38;5;%b;48;5;%bm", [_decimal()[cube[::2]], _decimal()[cube[1::2]]])


def in_shades(shades: str) -> Painter:
    """A painter without colours, by characters from dark to bright."""
    encoded = [shade.encode() for shade in shades]

    def paint(picture: Picture) -> list[bytes]:
        grey = luma(picture).reshape(len(picture) // 2, 2, -1).mean(axis=1)
        levels = np.minimum((grey * len(shades) / 256).astype(int), len(shades) - 1)
        return [b"".join(encoded[level] for level in row) for row in levels.tolist()]

    return paint


@cache
def _decimal() -> NDArray[np.uint8]:
    """`[256, 3]` the digits of each number of a byte."""
    digits = "".join(f"{number:03}" for number in range(256)).encode()
    return np.frombuffer(digits, np.uint8).reshape(256, 3)


def _channels(digits: NDArray[np.uint8]) -> list[NDArray[np.uint8]]:
    return [digits[..., channel, :] for channel in range(3)]


def _filled(template: bytes, numbers: list[NDArray[np.uint8]]) -> list[bytes]:
    """Half blocks behind the template, whose places take the digits `[lines, columns, 3]` in order."""
    pieces = template.split(b"%b")
    lines, columns, _ = numbers[0].shape
    cell = b"000".join(pieces) + UPPER_HALF.encode()
    cells = np.empty((lines, columns, len(cell)), np.uint8)
    cells[:] = np.frombuffer(cell, np.uint8)
    at = 0
    for piece, digits in zip(pieces, numbers, strict=False):
        at += len(piece)
        cells[..., at : at + 3] = digits
        at += 3
    return [row.tobytes() + b"\x1b[0m" for row in cells]
