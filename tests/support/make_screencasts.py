"""Recordings of a code editor, a kind of footage anybody can make alike: the example of docs/FINETUNING.md.

    python tests/support/make_screencasts.py FOLDER CLIPS SEED

A clip is 4 seconds of 448x256 at 15 frames per second: a module of Python's standard library in one of four
colour schemes, scrolled, paged through or typed, with a mouse pointer. Every fourth module is kept for
measuring: seed 0 draws from the others, any other seed from those, so that no text is in both sets.
"""

from __future__ import annotations

import sys
import sysconfig
from pathlib import Path

import matplotlib
import numpy as np
from PIL import Image, ImageDraw, ImageFont
from pygments.lexers.python import PythonLexer
from pygments.styles import get_style_by_name

from make_video import Frames, make_video

WIDTH, HEIGHT, RATE, SECONDS = 448, 256, 15, 4
LINE, BAR, TEXT = 14, 16, 40
"""Pixels: from line to line, of the title bar, from the left edge to the code."""

SCHEMES = ("monokai", "friendly", "nord", "solarized-light")
ACTIONS = ("scroll", "page", "type")
FONT = ImageFont.truetype(str(Path(matplotlib.get_data_path()) / "fonts" / "ttf" / "DejaVuSansMono.ttf"), 11)
POINTER = ((0, 0), (0, 12), (3, 9), (5, 14), (7, 13), (5, 8), (9, 8))

Piece = tuple[str, str]
"""A colour and the text in it."""


def colour(value: str | None, otherwise: str) -> str:
    """A pygments colour (six hexadecimal digits, or none) as Pillow wants it."""
    return "#" + (value or otherwise)


def coloured_lines(text: str, scheme: str) -> list[list[Piece]]:
    """The lines of Python source, cut into pieces of one colour."""
    style = get_style_by_name(scheme)
    plain = "d0d0d0" if is_dark(scheme) else "303030"
    lines: list[list[Piece]] = [[]]
    for token, value in PythonLexer().get_tokens(text):
        ink = colour(style.style_for_token(token)["color"], plain)
        for index, part in enumerate(value.split("\n")):
            if index:
                lines.append([])
            if part:
                lines[-1].append((ink, part))
    return lines


def is_dark(scheme: str) -> bool:
    """Whether a scheme's ground is dark."""
    ground = get_style_by_name(scheme).background_color.lstrip("#")
    if len(ground) == 3:
        ground = "".join(digit * 2 for digit in ground)
    return sum(bytes.fromhex(ground)) < 3 * 128


class Editor:
    """Draws one moment of an editor that shows `lines`."""

    def __init__(self, title: str, lines: list[list[Piece]], scheme: str) -> None:
        self.title, self.lines = title, lines
        self.ground = get_style_by_name(scheme).background_color
        self.bar, self.ink = ("#3a3a44", "#c8c8c8") if is_dark(scheme) else ("#d8d8d0", "#404040")

    def draw(
        self, top: float, typed: tuple[int, int] | None, pointer: tuple[float, float], blink: bool
    ) -> Frames:
        """Picture `[H, W, 3]`, scrolled down by `top` lines; line `typed[0]` is cut to `typed[1]` letters."""
        image = Image.new("RGB", (WIDTH, HEIGHT), self.ground)
        pen = ImageDraw.Draw(image)
        step = pen.textlength("x", FONT)
        first = int(top)
        for number in range(first, min(len(self.lines), first + HEIGHT // LINE + 2)):
            y = BAR + 2 + round((number - top) * LINE)
            pen.text((6, y), f"{number + 1:4d}", self.bar, FONT)
            left = 0
            limit = typed[1] if typed and typed[0] == number else 1 << 20
            for ink, part in self.lines[number]:
                pen.text((TEXT + left * step, y), part[: max(0, limit - left)], ink, FONT)
                left += len(part)
            if typed and typed[0] == number and blink:
                x = TEXT + min(left, limit) * step
                pen.rectangle((x, y, x + 1, y + LINE - 2), self.ink)
        pen.rectangle((0, 0, WIDTH, BAR), self.bar)
        pen.text((8, 1), self.title, self.ink, FONT)
        length = max(12, (HEIGHT - BAR) * 18 // max(18, len(self.lines)))
        start = BAR + round((HEIGHT - BAR - length) * min(1, top / max(1, len(self.lines) - 18)))
        pen.rectangle((WIDTH - 6, start, WIDTH - 1, start + length), self.bar)
        x, y = pointer
        pen.polygon([(x + a, y + b) for a, b in POINTER], "white", "black")
        return np.asarray(image)


def screencast(source: Path, random: np.random.Generator) -> Frames:
    """A recording `[T, H, W, 3]` of somebody at work on a file."""
    scheme = SCHEMES[random.integers(len(SCHEMES))]
    action = ACTIONS[random.integers(len(ACTIONS))]
    lines = coloured_lines(source.read_text(), scheme)
    editor = Editor(source.name, lines, scheme)
    frames, rows = RATE * SECONDS, HEIGHT // LINE - 1
    top = float(random.integers(0, max(1, len(lines) - 4 * rows)))
    row, column = int(top) + int(random.integers(4, rows - 2)), 0
    at, towards = random.uniform((40, 30), (WIDTH - 40, HEIGHT - 30), (2, 2))
    speed = random.choice((0.15, 0.4, 1.0))
    pictures = []
    for t in range(frames):
        # The hand rests for the first second, and for the last.
        moving = RATE <= t < frames - RATE
        if action == "scroll" and moving:
            top += speed
        if action == "page" and t % (2 * RATE) == RATE:
            top += rows - 2
        if action == "type":
            column += int(random.integers(0, 3))
            if column > sum(len(part) for _, part in lines[row]) and row < int(top) + rows - 1:
                row, column = row + 1, 0
        share = min(1.0, max(0.0, (t - RATE) / (frames - 2 * RATE)))
        x, y = at + (towards - at) * share * (action != "type")
        blink = action == "type" and t // (RATE // 2) % 2 == 0
        pictures.append(editor.draw(top, (row, column) if action == "type" else None, (x, y), blink))
    return np.stack(pictures)


def modules_of(seed: int) -> list[Path]:
    """The standard library's modules of some length that a seed draws from."""
    modules = sorted(Path(sysconfig.get_path("stdlib")).glob("*.py"))
    modules = [path for path in modules if path.read_text().count("\n") > 120]
    return [path for index, path in enumerate(modules) if (index % 4 == 3) == (seed > 0)]


def main(folder: Path, clips: int, seed: int) -> None:
    """Write so many clips into a new folder."""
    random = np.random.default_rng(seed)
    modules = modules_of(seed)
    folder.mkdir(parents=True)
    for index, choice in enumerate(random.choice(len(modules), clips, replace=clips > len(modules))):
        pictures = screencast(modules[choice], random)
        name = f"{index:03d}-{modules[choice].stem}.mp4"
        make_video(folder / name, pictures, rate=RATE, options={"crf": "12"}, group=60)


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3]))
