"""TokenDataset: every id once, whatever the workers; the same order for a seed; resumes anywhere."""

from __future__ import annotations

import copy
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch.utils.data import DataLoader

from infotok_cli.data import TokenDataset
from infotok_cli.errors import InputError, UsageError
from infotok_cli.itk.token_file import TokenFile
from infotok_cli.itk.training_formats.export import export_training
from make_itk import Plan, itk_bytes, itk_header

LENGTH = 7


@pytest.fixture(scope="module")
def videos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("videos")
    for number in range(9):
        plans = [Plan(8), Plan(8), Plan(1 + number % 8)]
        (folder / f"{number}.itk").write_bytes(itk_bytes(plans, itk_header(), number))
    return folder


@pytest.fixture(scope="module", params=["itk", "memmap"])
def source(request: pytest.FixtureRequest, videos: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    if request.param == "itk":
        return videos
    folder = tmp_path_factory.mktemp("export") / "out"
    export_training([videos], folder, "memmap")
    return folder


def all_ids(videos: Path, number: int) -> list[int]:
    with TokenFile(videos / f"{number}.itk") as file:
        return [int(value) for about in file.segments for value in file.tokens(about.number)]


def windows(dataset: Any) -> list[list[int]]:
    return [item["ids"].tolist() for item in dataset]


def test_packs_in_order(source: Path, videos: Path) -> None:
    items = list(TokenDataset(source, LENGTH, seed=None))
    stream = [value for number in range(9) for value in all_ids(videos, number)]
    units = [number for number in range(9) for _ in all_ids(videos, number)]
    count = len(stream) // LENGTH
    assert [item["ids"].tolist() for item in items] == np.reshape(
        stream[: count * LENGTH], (count, -1)
    ).tolist()
    assert torch.cat([item["units"] for item in items]).tolist() == units[: count * LENGTH]


def test_seeds_and_epochs_shuffle(source: Path) -> None:
    dataset = TokenDataset(source, LENGTH, seed=5)
    first, second = windows(dataset), windows(dataset)
    assert first != second
    assert windows(TokenDataset(source, LENGTH, seed=5)) == first
    assert windows(TokenDataset(source, LENGTH, seed=6)) != first
    dataset.set_epoch(1)
    assert windows(dataset) == second


def test_every_id_once_over_ranks_and_workers(source: Path, videos: Path) -> None:
    wanted = sorted(value for number in range(9) for value in all_ids(videos, number))
    found: list[int] = []
    for rank in range(2):
        dataset = TokenDataset(source, 1, rank=rank, world_size=2)
        found += [int(batch["ids"]) for batch in DataLoader(dataset, batch_size=1, num_workers=2)]
    assert sorted(found) == wanted


def test_resumes_anywhere(source: Path) -> None:
    whole = TokenDataset(source, LENGTH, endless=True)
    steps: Iterator[Any] = iter(whole)
    states, seen = [copy.deepcopy(whole.state_dict())], []
    for _ in range(110):  # more than two epochs
        seen.append(next(steps)["ids"].tolist())
        states.append(json.loads(json.dumps(whole.state_dict())))
    assert states[-1]["positions"]["0"][0] >= 2
    for at in range(0, 109, 5):
        again = TokenDataset(source, LENGTH, endless=True)
        again.load_state_dict(states[at])
        rest = iter(again)
        assert [next(rest)["ids"].tolist() for _ in range(min(8, 110 - at))] == seen[at : at + 8]


def test_resumes_with_workers(source: Path) -> None:
    dataset = TokenDataset(source, LENGTH)
    wanted = sorted(batch["ids"].tolist() for batch in DataLoader(dataset, batch_size=2, num_workers=2))
    loader = iter(DataLoader(dataset, batch_size=2, num_workers=2))
    seen = []
    for _ in range(3):
        batch = next(loader)
        dataset.record(batch)
        seen.append(batch["ids"].tolist())
    again = TokenDataset(source, LENGTH)
    again.load_state_dict(dataset.state_dict())
    rest = [batch["ids"].tolist() for batch in DataLoader(again, batch_size=2, num_workers=2)]
    assert sorted(seen + rest) == wanted
    with pytest.raises(UsageError, match="state is of 2 workers"):
        next(iter(again))


def test_marks(videos: Path) -> None:
    dataset = TokenDataset(videos, LENGTH, marks=["step", "video-end"], id_offset=10, seed=None)
    ids = torch.cat([item["ids"] for item in dataset])
    assert (ids == 64_015).sum() in (8, 9)
    assert ids[0] == 64_011
    assert dataset.vocab_size == 64_016


def test_what_is_refused(videos: Path, tmp_path: Path) -> None:
    for options in ({"context_length": 0}, {"rank": 2, "world_size": 2}, {"marks": ["stop"]}):
        with pytest.raises(UsageError):
            TokenDataset(videos, **({"context_length": 8} | options))
    with pytest.raises(InputError, match="does not exist"):
        TokenDataset(videos / "none.itk", 8)
    export_training([videos], tmp_path / "out", "memmap")
    with pytest.raises(UsageError, match="those it was made with"):
        TokenDataset(tmp_path / "out", 8, marks=["step"])
    with pytest.raises(UsageError, match="name it alone"):
        TokenDataset([tmp_path / "out", videos], 8)
    other = TokenDataset(videos, 8)
    with pytest.raises(UsageError, match="state is of context_length 8"):
        TokenDataset(videos, 9).load_state_dict(other.state_dict())
    with pytest.raises(UsageError, match="is more than worker 0"):
        next(iter(TokenDataset(videos, 10_000, endless=True)))
    assert windows(TokenDataset(videos, 10_000)) == []
    (tmp_path / "out" / "tokens.bin").write_bytes(b"ab")
    with pytest.raises(InputError, match="export it again"):
        TokenDataset(tmp_path / "out", 8)
    export_training([videos], tmp_path / "mega", "megatron")
    with pytest.raises(InputError, match="is an export as megatron"):
        TokenDataset(tmp_path / "mega", 8)
