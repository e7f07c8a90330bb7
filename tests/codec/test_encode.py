"""How often a video is opened and read, what is told meanwhile, and what may happen to it."""

from __future__ import annotations

import io
from collections.abc import Callable
from dataclasses import replace
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest

from infotok_cli.allocation.allocate import Allocation
from infotok_cli.allocation.budgets import Budget
from infotok_cli.codec import groups
from infotok_cli.codec.decode import decode_file
from infotok_cli.codec.encode import encode_file
from infotok_cli.codec.forecast import Forecast, forecast_file
from infotok_cli.codec.group_coder import GroupCoder
from infotok_cli.codec.options import EncodeOptions
from infotok_cli.container.reader import ItkReader
from infotok_cli.container.tracks import audio_bytes, pack_audio, pack_times, times_bytes
from infotok_cli.itk.token_file import TokenFile
from infotok_cli.model.engine import Engine, choose_runtime
from infotok_cli.model.weights import load_model
from infotok_cli.motion import DISPLACEMENTS, STILL
from infotok_cli.sound import AudioPacket
from made_motion import panned
from make_media import make_media, without_default_duration
from make_video import make_video, moving_shapes
from tiny_model import write_tiny_model


class Watcher:
    """Notes what it is told of an encode's progress."""

    def __init__(self) -> None:
        self.forecasts: list[Forecast] = []
        self.totals: list[int | None] = []
        self.frames: list[int] = []

    def expects(self, forecast: Forecast, seconds: Callable[[], float | None]) -> None:
        self.forecasts.append(forecast)

    def started(self, total: int | None) -> None:
        self.totals.append(total)

    def done(self, frames: int, tokens: int | None = None) -> None:
        self.frames.append(frames)


@pytest.fixture(scope="module")
def engine(tmp_path_factory: pytest.TempPathFactory) -> Engine:
    path = tmp_path_factory.mktemp("model") / "tiny.safetensors"
    write_tiny_model(path)
    return Engine(load_model(path), choose_runtime("cpu"))


@pytest.fixture
def opened(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Names of the files that FFmpeg opens for reading."""
    names: list[str] = []
    plain = av.open

    def counted(file: Any, *more: Any, mode: str = "r", **options: Any) -> Any:
        if mode == "r" and isinstance(file, str):
            names.append(Path(file).name)
        return plain(file, *more, mode=mode, **options)

    monkeypatch.setattr(av, "open", counted)
    return names


@pytest.mark.parametrize("name", ["film.mp4", "film.ts", "film.mkv"])
@pytest.mark.parametrize(("audio", "opens"), [(True, 2), (False, 1)])
def test_an_input_is_opened_once_and_once_for_its_sound(
    engine: Engine, opened: list[str], tmp_path: Path, name: str, audio: bool, opens: int
) -> None:
    """Also where a frame rate must be counted or only the first packet tells what the sound is."""
    source = make_media(tmp_path / name, time_base=Fraction(1, 1000) if name == "film.mkv" else None)
    if name == "film.mkv":
        without_default_duration(source)
    report = encode_file(source, tmp_path / "a.itk", engine, EncodeOptions(audio=audio))
    assert (report.frames, report.audio_codec) == (24, "A_AAC" if audio else None)
    assert opened == [name] * opens


def test_a_second_pass_opens_nothing(
    engine: Engine, opened: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = make_video(tmp_path / "clip.mp4", moving_shapes(32, 32, 48))
    monkeypatch.setattr(groups, "GROUP_POSITIONS", 50)
    options = EncodeOptions(budget=Budget("max-tokens", 100), segment_frames=4)
    assert encode_file(source, tmp_path / "a.itk", engine, options).passes == 2
    assert opened == ["clip.mp4"]


def test_places_are_paths_of_any_kind_or_streams(engine: Engine, tmp_path: Path) -> None:
    source = make_video(tmp_path / "clip.mkv", moving_shapes(8, 32, 48))
    encode_file(str(source), str(tmp_path / "a.itk"), engine, EncodeOptions(rate=1))
    stream = io.BytesIO()
    with source.open("rb") as file:
        report = encode_file(file, stream, engine, EncodeOptions(rate=1))
    assert (report.input, report.output, report.input_bytes) == (str(source), "standard output", None)
    assert decode_file(str(tmp_path / "a.itk"), str(tmp_path / "frames") + "/", engine).frames == 8
    assert len(list((tmp_path / "frames").iterdir())) == 8
    with pytest.raises(TypeError, match="a str, a path or a binary stream to read, not int"):
        encode_file(3, stream, engine, EncodeOptions())  # type: ignore[arg-type]
    with pytest.raises(TypeError, match="to write, not NoneType"):
        decode_file(tmp_path / "a.itk", None, engine)  # type: ignore[arg-type]


def test_progress_begins_with_the_number_of_frames(engine: Engine, tmp_path: Path) -> None:
    source = make_video(tmp_path / "clip.mp4", moving_shapes(32, 32, 48), rate=16)
    shown = Watcher()
    encode_file(source, tmp_path / "a.itk", engine, EncodeOptions(start_seconds=0.5), progress=shown)
    assert (shown.totals, shown.frames[-1]) == ([24], 24)
    assert shown.forecasts == [forecast_file(source, engine, EncodeOptions(start_seconds=0.5))]
    assert shown.frames == sorted(shown.frames)
    shown = Watcher()
    decode_file(tmp_path / "a.itk", tmp_path / "a.mp4", engine, end_seconds=1, progress=shown)
    assert (shown.totals, shown.frames[-1]) == ([16], 16)


def test_what_was_measured_is_not_coded_again(
    engine: Engine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also where a planner hands back equal allocations that it made anew."""
    coded: list[int] = []
    plain = GroupCoder._coded

    def counted(self: GroupCoder, pairs: Any) -> Any:
        for found in plain(self, pairs):
            coded.append(1)
            yield found

    def measure(self: GroupCoder, allocations: list[Allocation]) -> Any:
        plain_measure(self, allocations)
        return plain_measure(self, [replace(one, keep=one.keep.copy()) for one in allocations])

    plain_measure = GroupCoder.measure
    monkeypatch.setattr(GroupCoder, "_coded", counted)
    monkeypatch.setattr(GroupCoder, "measure", measure)
    source = make_video(tmp_path / "clip.mp4", moving_shapes(16, 32, 48))
    options = EncodeOptions(budget=Budget("target-size", 10_000_000), segment_frames=4)
    report = encode_file(source, tmp_path / "a.itk", engine, options)
    assert report.token_rate == 1
    assert len(coded) == report.segments == 4


def test_sizes_of_times_and_sound_are_those_of_their_sections() -> None:
    random = np.random.default_rng(3)
    for count in (0, 1, 7, 300):
        packets = [
            AudioPacket(int(time), int(span), bytes(int(length)))
            for time, span, length in zip(
                random.integers(-(10**9), 10**9, count),
                random.integers(0, 2**32, count),
                random.integers(0, 400, count),
                strict=True,
            )
        ]
        assert audio_bytes(packets) == len(pack_audio(0, packets))
        if count:
            durations = [int(ticks) for ticks in random.choice([1, 63, 64, 8191, 8192, 2**32 - 1], count)]
            assert times_bytes(durations) == len(pack_times(0, 0, durations))


def test_a_source_that_is_moved_away_meanwhile(engine: Engine, tmp_path: Path) -> None:
    """It is open, so all of it is encoded, and the report says how large it was."""
    source = make_video(tmp_path / "clip.mp4", moving_shapes(16, 32, 48))
    size_bytes = source.stat().st_size

    class Mover(Watcher):
        def done(self, frames: int, tokens: int | None = None) -> None:
            super().done(frames, tokens)
            if source.exists():
                source.rename(tmp_path / "elsewhere.mp4")

    target = tmp_path / "clip.itk"
    report = encode_file(source, target, engine, EncodeOptions(segment_frames=4), progress=Mover())
    assert not source.exists()
    assert (report.frames, report.input_bytes) == (16, size_bytes)
    with ItkReader(target) as reader:
        reader.verify()
        assert reader.total_frames == 16


@pytest.mark.parametrize("options", [{}, {"rate": 1.0}, {"router": "exact"}, {"router": "fixed"}], ids=str)
def test_a_file_holds_the_motion_of_its_video(
    engine: Engine, tmp_path: Path, options: dict[str, Any]
) -> None:
    video = make_video(tmp_path / "pan.mkv", panned(4, -16, steps=4)[0].numpy())
    report = encode_file(video, tmp_path / "a.itk", engine, EncodeOptions(**options, segment_frames=8))
    vector = len(DISPLACEMENTS) * DISPLACEMENTS.index(4) + DISPLACEMENTS.index(-16)
    with TokenFile(tmp_path / "a.itk") as file:
        for number in range(2):
            motion = file.motion_map(number)
            assert (motion[0] == STILL).all()
            # What comes in over the edge has no motion to be found.
            assert (motion[1:, 2:4, 2:4] == vector).all()
        assert report.motion_bytes == sum(file.index.column("motion_bytes"))
        assert report.motion_bytes >= 2
