"""Two short videos and a frame cache of them."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path

import pytest

import train_together
from infotok_cli.train import fit_to_model
from infotok_cli.train.make_cache import make_cache
from make_video import make_video, moving_shapes


@pytest.fixture(scope="session")
def clips(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    folder = tmp_path_factory.mktemp("clips")
    return [
        make_video(folder / f"{width}.mp4", moving_shapes(40, 64, width, seed=width), rate=Fraction(24))
        for width in (64, 112)
    ]


@pytest.fixture(scope="session")
def cache(tmp_path_factory: pytest.TempPathFactory, clips: list[Path]) -> Path:
    folder = tmp_path_factory.mktemp("caches") / "cache"
    tiles = make_cache(clips, folder)
    # Of each video one whole run of 32 frames and a rest of 8; the wider one gives two tiles a run.
    assert tiles == 2 + 4
    return folder


@pytest.fixture(autouse=True)
def _fits_take_few_clips(monkeypatch: pytest.MonkeyPatch) -> None:
    """What is fitted at the end of a run would take longer than the run itself."""
    for name, few in train_together.FEW_CLIPS.items():
        monkeypatch.setattr(fit_to_model, name, few)


@pytest.fixture
def hears_interrupts() -> Iterator[None]:
    """Ctrl-C raises KeyboardInterrupt, also in the background of a shell, which ignores it."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)
