"""mpv or ffplay as a window: frames and sound go through a pipe into its standard input."""

from __future__ import annotations

import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import IO, BinaryIO, cast

from infotok_cli.codec.decode_outputs import frame_output
from infotok_cli.errors import OutputError
from infotok_cli.view.play import Clock, Film, Played
from infotok_cli.view.players import Player

PATIENCE_SECONDS = 3
"""How long a player that is told to end may take."""


def play_in(player: Player, film: Film, *, title: str, heat: bool, audio: bool) -> Played:
    """Play until the end, or until the player is closed.

    title: stands over the window. heat: whether to show where the tokens went. Raises InputError for a
    damaged file, OutputError for a player that fails.
    """
    with _running(player, title) as (process, log):
        pipe = _Timed(cast(BinaryIO, process.stdin), player.name)
        try:
            played = _write(film, pipe, heat=heat, audio=audio)
        except OutputError as error:
            if not isinstance(error.__cause__, BrokenPipeError):
                raise
            played = pipe.played
        pipe.close()
        code = process.wait()
        if code != 0:
            said = _last_line(log)
            raise OutputError(
                f"ended with exit code {code}{f' ({said})' if said else ''}",
                way_out="choose another with `player`, for instance terminal",
                where=player.name,
            )
    return played


class _Timed:
    """A pipe, and how long its reader let us wait: a player that is paused, or has enough, does."""

    def __init__(self, stream: BinaryIO, name: str) -> None:
        self.name = name
        self.clock = Clock(0.0)
        self.played = Played(frames=0, dropped=0, player=name)
        self._stream = stream

    def write(self, data: bytes) -> int:
        before = time.monotonic()
        try:
            return self._stream.write(data)
        finally:
            self.clock.set_back(time.monotonic() - before)

    def flush(self) -> None:
        self._stream.flush()

    def close(self) -> None:
        with suppress(OSError):
            self._stream.close()


def _write(film: Film, pipe: _Timed, *, heat: bool, audio: bool) -> Played:
    """Decode the film into the pipe, a good frame standing for those that would come too late."""
    output = frame_output(cast(BinaryIO, pipe), stream_format="mkv")
    pipe.clock = Clock(film.span[0])
    header = film.reader.header
    track = header.audio if audio else None
    with (
        film.decoding(pipe.clock, audio=audio) as part,
        output.opened(header, track) as writer,
    ):
        done = 0
        for chunk in part.chunks:
            if track is not None:
                writer.write_audio(chunk.packets)
            if chunk.frames is None:
                continue
            pipe.clock.start()
            first = part.wanted.start + done
            writer.write(film.heated(first, chunk.frames) if heat else chunk.frames, chunk.ticks)
            done += len(chunk.frames)
            pipe.played = Played(frames=done, dropped=part.pace.dropped, player=pipe.name)
    return pipe.played


@contextmanager
def _running(player: Player, title: str) -> Iterator[tuple[subprocess.Popen[bytes], IO[bytes]]]:
    """Start a player, with what it says in a file, and see to it that it has ended afterwards."""
    with tempfile.TemporaryFile(prefix="infotok-") as log:
        try:
            process = subprocess.Popen(
                player.command(title),
                stdin=subprocess.PIPE,
                stdout=log,
                stderr=log,
                start_new_session=True,  # Ctrl-C is for us to pass on
                bufsize=0,
            )
        except OSError as error:
            raise OutputError(
                f"cannot be started ({error.strerror})",
                way_out="choose another with `player`, for instance terminal",
                where=player.path,
            ) from error
        try:
            yield process, log
        finally:
            _end(process)


def _end(process: subprocess.Popen[bytes]) -> None:
    """Have it ended, kindly at first."""
    with suppress(OSError):
        if process.stdin is not None:
            process.stdin.close()
    if process.poll() is None:
        process.terminate()
        try:
            process.wait(PATIENCE_SECONDS)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def _last_line(log: IO[bytes]) -> str:
    """The last thing a player said."""
    log.seek(0)
    lines = log.read().decode("utf-8", "replace").split("\n")
    return next((line.strip() for line in reversed(lines) if line.strip()), "")
