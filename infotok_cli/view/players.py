"""Which program shows a film in a window, and how it is called. Standard library only."""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Mapping
from dataclasses import dataclass

from infotok_cli.errors import UsageError

MPV = (
    "--input-terminal=no",
    "--msg-level=all=error",
    "--force-window=immediate",
    "--cache=yes",
    "--force-seekable=yes",  # within the cache
)
FFPLAY = ("-hide_banner", "-loglevel", "error", "-nostats", "-autoexit")

TERMINAL = "terminal"
PLAYERS = ("mpv", "ffplay")
"""Those that are looked for, in this order."""

DISPLAYS = ("DISPLAY", "WAYLAND_DISPLAY")


@dataclass(frozen=True)
class Player:
    """A program that shows what comes through its standard input."""

    name: str
    path: str

    def command(self, title: str) -> list[str]:
        """What is run; title: stands over the window."""
        if self.name == "mpv":
            return [self.path, *MPV, f"--force-media-title={title}", "-"]
        return [self.path, *FFPLAY, "-window_title", title, "-i", "pipe:0"]


def find_player(choice: str, environment: Mapping[str, str] = os.environ) -> Player | None:
    """The player `choice` (auto, mpv, ffplay, terminal); None stands for the terminal.

    auto takes the first one that is installed where there is a display. Raises UsageError, as `player`, for
    one that is not there or has no display.
    """
    has_display = sys.platform in ("darwin", "win32") or any(environment.get(name) for name in DISPLAYS)
    names = PLAYERS if choice == "auto" else (choice,) if choice != TERMINAL else ()
    found = [Player(name, path) for name in names if (path := shutil.which(name)) is not None]
    if found and has_display:
        return found[0]
    if choice in ("auto", TERMINAL):
        return None
    if not found:
        raise UsageError(f"`player` {choice} is not installed", way_out=f"install it, or choose {TERMINAL}")
    raise UsageError(
        f"`player` {choice} has no display: neither {' nor '.join(DISPLAYS)} is set",
        way_out=f"choose {TERMINAL}, or run it on a desktop",
    )
