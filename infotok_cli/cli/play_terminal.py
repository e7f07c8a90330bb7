"""Playing on the terminal itself, in half blocks."""

from __future__ import annotations

import os
from collections import deque
from dataclasses import dataclass

from infotok_cli.cli import charts
from infotok_cli.cli.output import can_show
from infotok_cli.cli.screen import Screen
from infotok_cli.video.video_info import Frame
from infotok_cli.view.half_blocks import (
    UPPER_HALF,
    Painter,
    fitted,
    in_256_colours,
    in_shades,
    in_true_colour,
)
from infotok_cli.view.play import ROUNDING_SECONDS, Clock, Film, Part, Played, shown_times

JUMP_SECONDS = 5.0

AHEAD_SECONDS = 2.0
"""Decoded frames that wait to be shown."""

LOOK_SECONDS = 0.03
"""How often it is looked whether there are more of them."""


@dataclass(frozen=True)
class _Waiting:
    """A frame whose time has not come."""

    number: int
    start: float
    picture: Frame


class TerminalPlayer:
    """What is shown, and what the keys do with it."""

    def __init__(self, film: Film, screen: Screen, *, heat: bool) -> None:
        self._film, self._screen, self._heat = film, screen, heat
        self._painter = painter()
        self._shown = self._dropped = 0
        self._paused = False
        self._drawn: _Waiting | None = None
        self._size = (0, 0)

    def play(self) -> Played:
        """Play until the end or q; raises InputError for a damaged file."""
        first: int | None = self._film.wanted.start
        self._screen.put([], "decoding the beginning   q", clear=True)
        while first is not None:
            clock = Clock(self._start_of(first))
            with self._film.decoding(clock, first=first, audio=False) as part:
                # The terminal is given back before the segment is waited for that is being decoded.
                try:
                    first = self._play_part(part, clock)
                except BaseException:
                    self._screen.leave()
                    raise
                if first is None:
                    self._screen.leave()
        total = self._shown + self._dropped
        return Played(frames=total, dropped=self._dropped, player="the terminal")

    def _start_of(self, frame: int) -> float:
        number = self._film.segment_of(frame)
        return max(self._film.span[0], self._film.reader.time_range_seconds(number)[0])

    def _play_part(self, part: Part, clock: Clock) -> int | None:
        """Show frames at their time; returns the frame to go on at, None at the end."""
        waiting: deque[_Waiting] = deque()
        done, decoded_to, is_whole = part.wanted.start, clock.at, False
        while True:
            self._come_back(clock)
            if not is_whole and part.chunks.is_ready and decoded_to < clock.at + AHEAD_SECONDS:
                chunk = next(part.chunks, None)
                is_whole = chunk is None
                if chunk is not None and chunk.frames is not None:
                    times = shown_times(part, self._film.reader, chunk, done)
                    frames = zip(range(done, done + len(times)), times, chunk.frames, strict=True)
                    waiting += [_Waiting(number, start, picture) for number, (start, _), picture in frames]
                    done, decoded_to = done + len(times), times[-1][1]
            self._show_due(waiting, part, clock)
            if is_whole and not waiting and clock.at >= decoded_to:
                return None
            pause = waiting[0].start - clock.at if waiting and clock.is_running else LOOK_SECONDS
            for key in self._screen.keys(max(0.0, min(LOOK_SECONDS, pause))):
                if key == "q":
                    return None
                if key in ("left", "right"):
                    by = JUMP_SECONDS if key == "right" else -JUMP_SECONDS
                    return self._film.moved(clock.at, by)
                self._press(key, clock)

    def _come_back(self, clock: Clock) -> None:
        """Go on where the program was stopped, on a screen that is empty again."""
        away = self._screen.away_seconds()
        if away:
            self._size = (0, 0)
            if clock.is_running:
                clock.set_back(away)

    def _press(self, key: str, clock: Clock) -> None:
        if key == " ":
            self._paused = not self._paused
            if self._paused:
                clock.stop()
            else:
                clock.start()
        elif key == "h":
            self._heat = not self._heat
        else:
            return
        self._draw(clock)

    def _show_due(self, waiting: deque[_Waiting], part: Part, clock: Clock) -> None:
        """Draw the last frame whose time has come; those before it are dropped."""
        due: _Waiting | None = None
        while waiting and waiting[0].start <= clock.at + ROUNDING_SECONDS:
            frame = waiting.popleft()
            if part.pace.is_passed(frame.number):
                self._dropped += 1
                continue
            self._dropped += due is not None
            due = frame
        if due is not None:
            self._drawn = due
            self._shown += 1
            self._draw(clock)
            if not self._paused:
                clock.start()
        elif self._screen.size != self._size:
            self._draw(clock)

    def _draw(self, clock: Clock) -> None:
        if self._drawn is None:
            return
        size = self._screen.size
        aspect = float(self._film.reader.header.sample_aspect)
        picture = fitted(self._drawn.picture, size[0], size[1] - 1, pixel_aspect=aspect)
        if self._heat:
            picture = self._film.heat(self._drawn.number, picture)
        self._screen.width = picture.shape[1]
        self._screen.put(self._painter(picture), self._status(clock), clear=size != self._size)
        self._size = size

    def _status(self, clock: Clock) -> str:
        state = "paused" if self._paused else "playing"
        dropped = f", {self._dropped} frames dropped" if self._dropped else ""
        end = self._film.span[1]
        return f"{clock.at:.1f} of {end:.1f} s, {state}{dropped}   space, left, right, h (heat), q"


def painter() -> Painter:
    """The one for this terminal: in colour where it has some and they are wanted."""
    if not can_show(UPPER_HALF):
        return in_shades(charts.ASCII.shades)
    if not charts.wants_colour(is_terminal=True):
        return in_shades(charts.BLOCKS.shades)
    return in_true_colour if os.environ.get("COLORTERM") in ("truecolor", "24bit") else in_256_colours
