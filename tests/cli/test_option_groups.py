"""Groups of options: the command line has each of their fields, a command gets them together."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

import typer
from typer.testing import CliRunner

from infotok_cli.cli.help import App

Name = Annotated[str | None, typer.Option("--name", help="Of whom.", rich_help_panel="Who")]


@dataclass(frozen=True, kw_only=True)
class Person:
    name: Name = None
    age: Annotated[int, typer.Option("--age", min=0, rich_help_panel="Who")] = 40


@dataclass(frozen=True, kw_only=True)
class Worker(Person):
    hours: Annotated[int, typer.Option("--hours", rich_help_panel="Work")] = 8

    @property
    def minutes(self) -> int:
        return 60 * self.hours


def tell(place: Annotated[str, typer.Argument()], *, loud: bool = False, who: Worker) -> None:
    """Say who it is."""
    typer.echo(f"{place} {loud} {who} {who.minutes}")


@dataclass(frozen=True, kw_only=True)
class Place:
    street: Annotated[str, typer.Option("--street")]


def go(*, place: Place) -> None:
    typer.echo(place.street)


def called(*words: str) -> tuple[int, str]:
    app = App()
    app.command()(tell)
    done = CliRunner().invoke(app, words)
    return done.exit_code, done.output


def test_a_command_gets_its_options_together() -> None:
    assert called("here", "--age", "3", "--hours", "2", "--loud") == (
        0,
        f"here True {Worker(name=None, age=3, hours=2)} 120\n",
    )
    assert called("here") == (0, f"here False {Worker()} 480\n")


def test_an_option_without_a_default_must_be_given() -> None:
    app = App()
    app.command()(go)
    assert CliRunner().invoke(app, []).exit_code == 2
    assert CliRunner().invoke(app, ["--street", "x"]).output == "x\n"


def test_options_of_a_group_are_checked_and_explained_as_others() -> None:
    assert called("here", "--age", "-1")[0] == 2
    assert called("here", "--who", "x")[0] == 2
    code, told = called("--help")
    assert code == 0
    panels = [told.index(text) for text in ("--loud", "Who", "--name", "--age", "Work", "--hours")]
    assert panels == sorted(panels)
    assert "Of whom." in told
