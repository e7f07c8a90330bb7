"""Options and output of `infotok eval`."""

from __future__ import annotations

from collections.abc import Sequence
from types import TracebackType
from typing import Self, TypeVar

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from rich.table import Table

from infotok_cli.config import MIN_RATE
from infotok_cli.errors import UsageError
from infotok_cli.evaluate.sweep import ClipResult, Summary

Name = TypeVar("Name", bound=str)


def parse_rates(text: str) -> list[float]:
    """Token rates of a comma-separated list; UsageError for one that is no rate."""
    rates = []
    for part in text.split(","):
        try:
            rate = float(part)
        except ValueError as error:
            raise UsageError(f"--rates {part!r} is not a number: give rates like 1,0.5") from error
        if not MIN_RATE <= rate <= 1:
            raise UsageError(f"--rates {part} is out of range: choose 0.125 to 1")
        rates.append(rate)
    return rates


def parse_list(option: str, text: str, choices: Sequence[Name]) -> list[Name]:
    """Names of a comma-separated list; UsageError for one that is not among `choices`."""
    names = {str(choice): choice for choice in choices}
    chosen = []
    for part in text.split(","):
        if part not in names:
            raise UsageError(f"{option} {part!r} is unknown: choose {', '.join(names)}")
        chosen.append(names[part])
    return chosen


class Watch:
    """Progress bar over measurements, on stderr."""

    def __init__(self, total: int) -> None:
        self._progress = Progress(
            TextColumn("{task.description}"),
            BarColumn(),
            MofNCompleteColumn(),
            TimeRemainingColumn(),
            console=Console(stderr=True),
        )
        self._task = self._progress.add_task("measuring", total=total)

    def __enter__(self) -> Self:
        self._progress.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._progress.stop()

    def advance(self, result: ClipResult) -> None:
        text = f"{result.clip} {result.router} {result.rate:g}: {result.psnr_db:.2f} dB"
        self._progress.update(self._task, advance=1, description=text)


def show_summary(summaries: Sequence[Summary]) -> None:
    """Print the means over clips as a table on stdout."""
    table = Table(box=None, pad_edge=False)
    for name in ("router", "allocation"):
        table.add_column(name)
    for name in ("rate", "kept", "PSNR dB", "SSIM", "bpp", "BPP16", "map bit/pos", "encode", "decode"):
        table.add_column(name, justify="right")
    for row in summaries:
        table.add_row(
            row.setting.router,
            row.setting.allocation,
            f"{row.setting.rate:g}",
            f"{row.token_rate:.4f}",
            f"{row.psnr_db:.2f}",
            f"{row.ssim:.4f}",
            f"{row.bpp:.4f}",
            f"{row.bpp16_nominal:.3f}",
            f"{row.map_bits_per_position:.3f}",
            f"{row.encode_speed:.1f}x",
            f"{row.decode_speed:.1f}x",
        )
    Console().print(table)
