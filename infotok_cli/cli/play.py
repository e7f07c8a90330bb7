"""`infotok play`: an .itk file is shown while it is decoded."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from infotok_cli.cli import options, quantities
from infotok_cli.cli.file_checks import check_input
from infotok_cli.cli.model_options import ModelOptions
from infotok_cli.cli.output import printable, tell, warn_of_each
from infotok_cli.cli.pipes import is_piped, seekable
from infotok_cli.cli.time_options import Duration, End, Start, end_of
from infotok_cli.errors import UsageError

if TYPE_CHECKING:
    from infotok_cli.view.play import Film, Played
    from infotok_cli.view.players import Player


def register(app: typer.Typer) -> None:
    """Add the command to `app`."""
    app.command()(play)


def play(
    source_file: options.ItkFile,
    *,
    player: Annotated[
        str,
        typer.Option(
            "--player",
            metavar="auto|mpv|ffplay|terminal",
            parser=quantities.one_of("--player", ("auto", "mpv", "ffplay", "terminal")),
            help="Where to show it; auto takes mpv or ffplay if one is installed and there is a display.",
            rich_help_panel=options.OUTPUT_PANEL,
        ),
    ] = "auto",
    heat: Annotated[
        bool,
        typer.Option(
            "--heat", help="Lay a heat map of the tokens over it.", rich_help_panel=options.OUTPUT_PANEL
        ),
    ] = False,
    start: Start = None,
    end: End = None,
    duration: Duration = None,
    skip_bad: Annotated[
        bool,
        options.skip_bad_option("Play a damaged file too: lost frames repeat the last good one."),
    ] = False,
    no_audio: options.NoAudio = False,
    run: ModelOptions,
    quiet: options.Quiet = False,
) -> None:
    """Play an .itk file while it is decoded, in mpv, ffplay or the terminal itself.

    Frames that would come too late are dropped, to keep time, and are counted at the end. Keys: space
    pauses, left and right go 5 seconds back and on, q quits; on the terminal h shows where the tokens went.

    \b
    Examples:
      infotok play clip.itk
      infotok play clip.itk --heat --player terminal
      infotok play clip.itk --start 1:30 --duration 10
    """
    until = end_of(start, end, duration)
    if not is_piped(source_file):
        check_input(source_file)
    chosen = _player(player)

    from infotok_cli.cli.progress import progress
    from infotok_cli.container.layout import MAGIC
    from infotok_cli.container.reader import ItkReader

    with seekable(source_file, MAGIC) as given, ItkReader(given, recover=skip_bad) as reader:
        with progress() as bar:
            bar.describe("loading the model")
            from infotok_cli.view.play import Film

            engine = run.engine()
            film = Film(
                reader=reader, engine=engine, start_seconds=start, end_seconds=until, skip_bad=skip_bad
            )
        played = _play(film, chosen, heat=heat, audio=not no_audio)
    warn_of_each(list(dict.fromkeys(film.lost)))  # what was played twice is told once
    tell(_in_words(played, printable(reader.name)))


def _player(choice: str) -> Player | None:
    """The program to play in, None for the terminal; UsageError where there is neither."""
    from infotok_cli.view.players import TERMINAL, find_player

    found = find_player(choice)
    if found is None:
        if not sys.stdout.isatty():
            others = "" if choice == TERMINAL else ", and there is no player with a display"
            raise UsageError(
                f"standard output is not a terminal to play on{others}",
                way_out="run it in a terminal, or install mpv and run it on a desktop",
            )
        from infotok_cli.cli.screen import check_size

        check_size()
    return found


def _play(film: Film, player: Player | None, *, heat: bool, audio: bool) -> Played:
    if player is not None:
        from infotok_cli.view.player_window import play_in

        title = printable(Path(film.reader.name).name)
        return play_in(player, film, title=title, heat=heat, audio=audio)
    from infotok_cli.cli.play_terminal import TerminalPlayer
    from infotok_cli.cli.screen import Screen

    with Screen() as screen:
        return TerminalPlayer(film, screen, heat=heat).play()


def _in_words(played: Played, name: str) -> str:
    frames = f"{played.frames:,} frame{'' if played.frames == 1 else 's'}"
    if not played.dropped:
        return f"{name}: {frames} played in {played.player}, none dropped"
    return f"{name}: {frames} played in {played.player}, {played.dropped:,} of them dropped to keep time"
