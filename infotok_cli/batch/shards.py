"""Which part of a batch this process does."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from infotok_cli.errors import UsageError


@dataclass(frozen=True)
class Shard:
    """Number `index` of `count`, from 0."""

    index: int = 0
    count: int = 1

    def name(self, stem: str, suffix: str) -> str:
        """What a file of this shard is called: stats.parquet, or stats-00003-of-00100.parquet."""
        return f"{stem}{suffix}" if self.count == 1 else f"{stem}-{self.index:05}-of-{self.count:05}{suffix}"


def choose_shard(asked: str | None, environment: Mapping[str, str]) -> Shard:
    """The shard i/n that was asked for, else that of RANK and WORLD_SIZE, else of a Slurm array, else all.

    Raises UsageError for what is no shard.
    """
    if asked is not None:
        return _checked(asked, *_numbers(asked, asked.split("/")))
    for index, count, first in (
        ("RANK", "WORLD_SIZE", ""),
        ("SLURM_ARRAY_TASK_ID", "SLURM_ARRAY_TASK_COUNT", "SLURM_ARRAY_TASK_MIN"),
    ):
        if environment.get(index) and environment.get(count):
            shown = f"{index}={environment[index]} {count}={environment[count]}"
            number, of = _numbers(shown, [environment[index], environment[count]])
            start = environment.get(first) or "0"
            return _checked(shown, number - (int(start) if start.isdecimal() else 0), of)
    return Shard()


def _numbers(shown: str, words: list[str]) -> tuple[int, int]:
    if len(words) != 2 or not all(re.fullmatch(r"[0-9]{1,9}", word.strip()) for word in words):
        raise _bad(shown)
    return int(words[0]), int(words[1])


def _checked(shown: str, index: int, count: int) -> Shard:
    if not 0 <= index < count:
        raise _bad(shown)
    return Shard(index, count)


def _bad(shown: str) -> UsageError:
    return UsageError(f"`shard` {shown} is not i/n with i from 0 to n - 1", way_out="give one such as 0/8")


def array_expression(rows: Iterable[int]) -> str:
    """Numbers as job arrays take them: 0-3,7."""
    runs: list[list[int]] = []
    for row in sorted(set(rows)):
        if runs and runs[-1][1] == row - 1:
            runs[-1][1] = row
        else:
            runs.append([row, row])
    return ",".join(f"{first}-{last}" if last > first else str(first) for first, last in runs)
