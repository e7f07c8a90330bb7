"""Help texts as plain lines that fit the terminal: what a command does, its options in named panels.

Options without a panel are the common ones and come first. Nothing is imported that makes help slow.
"""

from __future__ import annotations

import os
import re
import textwrap
from collections.abc import Callable, Iterable, Iterator
from typing import Any

import typer
from typer.core import TyperCommand, TyperGroup

from infotok_cli.cli import plain
from infotok_cli.cli.completion import offer_words
from infotok_cli.cli.input_names import check_current_folder
from infotok_cli.cli.option_groups import with_options_apart
from infotok_cli.cli.output import terminal_width
from infotok_cli.cli.usage import no_command

WIDEST = 100
"""Columns; longer lines are hard to read."""

_NARROW = 60
"""Below this many columns a text stands under its name, not beside it."""

_LONGEST_NAME = 26
"""Longer names of options have their text on the next line."""

_WHOLE = 30
"""A default that takes at most as many characters stays on one line."""

_GLUE = "\x00"
"""A blank at which a line does not end."""

Row = tuple[str, str]


class Command(TyperCommand):
    """A command with this help, which runs in a current folder that exists."""

    def get_params(self, ctx: Any) -> list[Any]:
        """As the parser's, all of them taken plainly, and with words to offer to a shell."""
        parameters = plain.all_plain(super().get_params(ctx))
        offer_words(parameters)
        return parameters

    def format_help(self, ctx: Any, formatter: Any) -> None:
        """Write the whole help text into `formatter`."""
        width = min(WIDEST, terminal_width())
        rows = [(_name(parameter), _text(parameter)) for parameter in _arguments(self)]
        formatter.write("\n\n".join(_parts(self, ctx, [("", rows), *_option_panels(self)], width)) + "\n")

    def invoke(self, ctx: Any) -> Any:
        """As the parser's; InputError where the current folder is gone, which libraries do not survive."""
        check_current_folder()
        return super().invoke(ctx)


class Group(TyperGroup):
    """The command that has the others, with this help: they are listed in panels."""

    def get_params(self, ctx: Any) -> list[Any]:
        """As the parser's, all of them taken plainly."""
        return plain.all_plain(super().get_params(ctx))

    def format_help(self, ctx: Any, formatter: Any) -> None:
        """Write the whole help text into `formatter`."""
        width = min(WIDEST, terminal_width())
        panels: dict[str, list[Row]] = {}
        for name in self.list_commands(ctx):
            command = self.get_command(ctx, name)
            if command is not None and not command.hidden:
                panel = getattr(command, "rich_help_panel", None) or "Commands"
                panels.setdefault(panel, []).append((name, _summary(command.help or "")))
        parts = _parts(self, ctx, [*panels.items(), *_option_panels(self, everything=True)], width)
        formatter.write("\n\n".join([*parts, *_paragraphs(self.epilog or "", width)]) + "\n")

    def resolve_command(self, ctx: Any, args: list[str]) -> Any:
        """As the parser's; UsageError for a command that does not exist."""
        if not ctx.resilient_parsing and self.get_command(ctx, args[0]) is None:
            raise no_command(args[0], self.list_commands(ctx))
        return super().resolve_command(ctx, args)


class App(typer.Typer):
    """A Typer application whose commands have this help; new ones are listed in `panel`."""

    panel: str | None = None

    def command(self, name: str | None = None, **settings: Any) -> Callable[..., Any]:
        """As Typer's, for a command of this help in the current panel, whose options may be in groups."""
        add = super().command(name, **{"cls": Command, "rich_help_panel": self.panel} | settings)
        return lambda command: add(with_options_apart(command))


def _parts(command: Any, ctx: Any, panels: Iterable[tuple[str, list[Row]]], width: int) -> Iterator[str]:
    """Usage, description and panels, each a block of lines."""
    usage = " ".join([ctx.command_path, *_usage(command)])
    yield textwrap.fill(f"Usage: {usage}", width, subsequent_indent=" " * 7, break_on_hyphens=False)
    yield from _paragraphs(command.help or "", width)
    shown = [(heading, rows) for heading, rows in panels if rows]
    names = [name for _, rows in shown for name, _ in rows]
    column = min(_LONGEST_NAME, max(map(len, names), default=0)) + 4
    for heading, rows in shown:
        lines = [line for row in rows for line in _row(*row, column, width)]
        yield "\n".join([*([_bold(heading)] if heading else []), *lines])


def _usage(command: Any) -> Iterator[str]:
    if hasattr(command, "commands"):
        yield from ("[OPTIONS]", "COMMAND", "...")
        return
    for parameter in _arguments(command):
        name = _name(parameter)
        yield name if parameter.required else f"[{name}]"
    for parameter in command.params:
        if parameter.param_type_name == "option" and parameter.required:
            yield " ".join([min(parameter.opts, key=len), *_metavar(parameter)])
    yield "[OPTIONS]"


def _arguments(command: Any) -> list[Any]:
    return [parameter for parameter in command.params if parameter.param_type_name == "argument"]


def _option_panels(command: Any, *, everything: bool = False) -> Iterator[tuple[str, list[Row]]]:
    """Options in their panels, those without one first. everything: also --version and --help."""
    panels: dict[str, list[Row]] = {"Options": []}
    for parameter in command.get_params(typer.Context(command)) if everything else command.params:
        if parameter.param_type_name == "option" and not parameter.hidden:
            panel = parameter.rich_help_panel if hasattr(parameter, "rich_help_panel") else None
            panels.setdefault(panel or "Options", []).append((_name(parameter), _text(parameter)))
    yield from panels.items()


def _name(parameter: Any) -> str:
    """-o, --output OUT.itk; for an argument its metavar."""
    if parameter.param_type_name == "argument":
        metavar = parameter.metavar or parameter.name.upper()
        return metavar if parameter.nargs == 1 or "..." in metavar else f"{metavar}..."
    spellings = sorted([*parameter.opts, *parameter.secondary_opts], key=lambda text: text.startswith("--"))
    return " ".join([", ".join(spellings), *_metavar(parameter)])


def _metavar(parameter: Any) -> Iterator[str]:
    """What an option takes: as declared, else the last word of its name; nothing for a flag."""
    if not parameter.is_flag:
        yield parameter.metavar or str(parameter.opts[0]).rpartition("-")[2].upper()


def _text(parameter: Any) -> str:
    """What an option does, and its default in brackets."""
    shown = parameter.show_default
    if not shown or parameter.required:
        return parameter.help or ""
    default = parameter.default if shown is True else shown
    if default is None or default is False or default in ("", ()):
        return parameter.help or ""
    if default is True:
        default = "on"
    if isinstance(default, (list, tuple)):
        default = ", ".join(map(str, default))
    shown = f"[default: {default}]"
    return f"{parameter.help or ''} {shown.replace(' ', _GLUE) if len(shown) <= _WHOLE else shown}"


def _row(name: str, text: str, column: int, width: int) -> list[str]:
    """Lines of one option: its text beside its name, or below where there is no room."""
    if width < _NARROW:
        beside, indent = False, " " * 6
    else:
        beside, indent = len(name) + 4 <= column, " " * column
    wrapped = textwrap.wrap(text, width - len(indent), break_on_hyphens=False) or [""]
    lines = [line.replace(_GLUE, " ") for line in wrapped]
    if not beside:
        return [f"  {name}", *(indent + line for line in lines if line)]
    return [f"  {name:<{column - 2}}{lines[0]}".rstrip(), *(indent + line for line in lines[1:])]


def _summary(text: str) -> str:
    """The first paragraph, which is one sentence."""
    return " ".join(text.partition("\n\n")[0].split())


def _paragraphs(text: str, width: int) -> Iterator[str]:
    """Paragraphs filled to `width`; one that begins with \\b keeps its lines, which are commands."""
    for paragraph in filter(None, text.strip().split("\n\n")):
        if paragraph.startswith("\b"):
            lines = paragraph.removeprefix("\b").strip("\n").split("\n")
            yield "\n".join(part for line in lines for part in _command_lines(line, width))
        else:
            yield textwrap.fill(" ".join(paragraph.split()), width, break_on_hyphens=False)


def _command_lines(line: str, width: int) -> list[str]:
    """A line to type, `command   # comment`; one too long is continued with a backslash."""
    if len(line) <= width:
        return [line]
    indent = " " * (len(line) - len(line.lstrip()))
    command, _, comment = line.partition(" # ")
    together = re.sub(r"(?<=\s)(--?[a-z][a-z-]*) (?=[^-\s|>])", rf"\1{_GLUE}", command.strip())
    wrapped = textwrap.wrap(
        together, width - 2, initial_indent=indent, subsequent_indent=f"{indent}    ",
        break_on_hyphens=False, break_long_words=False,
    )  # fmt: skip
    continued = [f"{part} \\" for part in wrapped[:-1]] + wrapped[-1:]
    typed = [part.replace(_GLUE, " ") for part in continued]
    return [*([f"{indent}# {comment.strip()}"] if comment else []), *typed]


def _bold(heading: str) -> str:
    return heading if os.environ.get("NO_COLOR") else typer.style(heading, bold=True)
