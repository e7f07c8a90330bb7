"""The evaluation measures what a user would get: decoded frames against source frames, real bytes."""

from __future__ import annotations

import multiprocessing
import time
from collections.abc import Generator
from dataclasses import replace
from fractions import Fraction
from pathlib import Path
from typing import cast

import numpy as np
import pytest

from infotok_cli.codec.decode import decode_file
from infotok_cli.codec.encode import encode_file
from infotok_cli.codec.options import EncodeOptions
from infotok_cli.errors import InputError, UsageError
from infotok_cli.evaluate import sweep as sweeping
from infotok_cli.evaluate.clips import clip_sha256, end_after, find_clips
from infotok_cli.evaluate.journal import Journal
from infotok_cli.evaluate.measure import measure_clip
from infotok_cli.evaluate.results import AnchorSetting, ClipResult, Setting, Wanted
from infotok_cli.evaluate.sweep import Sweep, run_sweep
from infotok_cli.evaluate.workers import Task, measure_in_processes
from infotok_cli.metrics import ms_ssim, psnr, ssim
from infotok_cli.model.engine import Engine, choose_runtime
from infotok_cli.model.weights import load_model
from infotok_cli.routers import ROUTERS, MaskingName
from infotok_cli.video.reader import open_video
from make_video import make_video, moving_shapes
from tiny_model import write_tiny_model

SETTINGS: list[Wanted] = [
    Setting(rate=1.0, router="fast", allocation="block"),
    Setting(rate=0.5, router="exact", allocation="block"),
    Setting(rate=0.5, router="fixed", allocation="position"),
    AnchorSetting(anchor="x264", crf=30),
]


def settled(row: ClipResult) -> ClipResult:
    """A row without what differs from run to run."""
    return replace(row, encode_speed=0, decode_speed=0)


def plan(folder: Path, settings: list[Wanted] = SETTINGS) -> Sweep:
    return Sweep(clips=find_clips([folder]), settings=settings, options=EncodeOptions())


def test_figures_are_those_of_the_files(engine: Engine, folder: Path, tmp_path: Path) -> None:
    clip = folder / "0.mkv"
    result = measure_clip(clip, engine, EncodeOptions(rate=0.5, segment_frames=4))
    report = encode_file(clip, tmp_path / "a.itk", engine, EncodeOptions(rate=0.5, segment_frames=4))
    assert result.size_bytes == report.size_bytes == (tmp_path / "a.itk").stat().st_size
    assert result.bpp == pytest.approx(8 * report.size_bytes / (10 * 40 * 56))
    # Lossless PNG frames of the same file must show the same figures.
    decode_file(tmp_path / "a.itk", tmp_path / "frames", engine)
    pictures = []
    for path in sorted((tmp_path / "frames").iterdir()):
        with open_video(path) as picture:
            pictures += list(picture.frames())
    shown = np.stack(pictures)
    with open_video(clip) as video:
        source = np.stack(list(video.frames()))
    assert result.psnr_db == pytest.approx(float(psnr(source, shown).mean()))
    assert result.ssim == pytest.approx(float(ssim(source, shown).mean()))
    assert result.ms_ssim == pytest.approx(float(ms_ssim(source, shown).mean()))
    error = shown.astype(int) - source
    jumps = np.sqrt((np.diff(error, axis=0) ** 2).mean((1, 2, 3)))
    assert result.seams.seams == 2
    assert result.seams.seam_flicker == pytest.approx(jumps[[3, 7]].mean())
    assert result.seams.inside_flicker == pytest.approx(np.delete(jumps, [3, 7]).mean())


def test_sweep_covers_clips_and_settings(engine: Engine, folder: Path) -> None:
    seen: list[bool] = []
    rows = run_sweep(plan(folder), engine, progress=lambda _, kept: seen.append(kept))
    assert [(row.clip, row.codec, row.router) for row in rows] == [
        (clip, codec, router)
        for clip in ("0.mkv", "1.mkv")
        for codec, router in [("infotok", "fast"), ("infotok", "exact"), ("infotok", "fixed"), ("x264", None)]
    ]
    assert seen == [False] * 8
    assert rows[0].bpp > rows[1].bpp
    assert rows[1].token_rate == pytest.approx(0.5, abs=0.02)
    assert {row.weights_sha256 for row in rows} == {engine.loaded.sha256, None}


@pytest.mark.parametrize(
    ("masking", "routers", "message"),
    [
        ("error", ("fast", "elastic"), "router elastic needs weights trained with masking elastic"),
        ("elastic", ("elastic", "fast"), "was trained with masking elastic: choose router elastic"),
    ],
)
def test_a_router_that_the_weights_do_not_know_stops_the_sweep_before_it_begins(
    folder: Path,
    tmp_path: Path,
    masking: MaskingName,
    routers: tuple[str, ...],
    message: str,
) -> None:
    write_tiny_model(tmp_path / "tiny.safetensors", masking)
    engine = Engine(load_model(tmp_path / "tiny.safetensors"), choose_runtime("cpu"))
    settings: list[Wanted] = [
        Setting(rate=0.5, router=router, allocation=ROUTERS[router].allocation or "block")
        for router in routers
    ]
    measured: list[ClipResult] = []
    with pytest.raises(UsageError, match=message):
        run_sweep(plan(folder, settings), engine, progress=lambda row, _: measured.append(row))
    assert not measured


def test_an_interrupted_sweep_goes_on(
    engine: Engine, folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = run_sweep(plan(folder), engine)
    path = tmp_path / "eval.jsonl"
    calls: list[Task] = []
    measure = sweeping.measure_task

    def counted(task: Task, engine: Engine) -> ClipResult:
        if len(calls) == 3:
            raise KeyboardInterrupt
        calls.append(task)
        return measure(task, engine)

    monkeypatch.setattr(sweeping, "measure_task", counted)
    with pytest.raises(KeyboardInterrupt):
        run_sweep(plan(folder), engine, journal=Journal.open(path, resume=True))
    assert path.read_text().count("\n") == 3
    # As if it had been killed in the middle of writing.
    with path.open("a") as file:
        file.write('{"key": "01')
    monkeypatch.setattr(sweeping, "measure_task", measure)
    kept: list[bool] = []
    rows = run_sweep(
        plan(folder),
        engine,
        journal=Journal.open(path, resume=True),
        progress=lambda _, was_there: kept.append(was_there),
    )
    assert kept == [True] * 3 + [False] * 5
    assert list(map(settled, rows)) == list(map(settled, whole))
    again = run_sweep(plan(folder), engine, journal=Journal.open(path, resume=True))
    assert again == rows


def test_only_what_is_the_same_is_taken_from_the_journal(
    engine: Engine, folder: Path, tmp_path: Path
) -> None:
    path = tmp_path / "eval.jsonl"
    one = replace(plan(folder, SETTINGS[1:2] + SETTINGS[3:]), clips=[folder / "0.mkv"])

    def kept(sweep: Sweep) -> list[bool]:
        seen: list[bool] = []
        run_sweep(
            sweep,
            engine,
            journal=Journal.open(path, resume=True),
            progress=lambda _, was_there: seen.append(was_there),
        )
        return seen

    assert kept(one) == [False, False]
    renamed = tmp_path / "renamed.mkv"
    renamed.write_bytes((folder / "0.mkv").read_bytes())
    assert kept(replace(one, clips=[renamed])) == [True, True]
    assert kept(replace(one, clips=[folder / "1.mkv"])) == [False, False]
    assert kept(replace(one, options=EncodeOptions(frames=5))) == [False, False]
    assert kept(replace(one, options=EncodeOptions(segment_frames=4))) == [False, False]
    assert kept(replace(one, options=EncodeOptions(short_side=32))) == [False, False]
    assert kept(replace(one, settings=[replace(cast(Setting, SETTINGS[1]), rate=0.75)])) == [False]
    assert kept(one) == [True, True]


def test_several_processes_measure_the_same(engine: Engine, folder: Path) -> None:
    alone = run_sweep(plan(folder), engine)
    shared = run_sweep(plan(folder), engine, jobs=2)
    assert list(map(settled, shared)) == list(map(settled, alone))
    assert no_children_left()


def no_children_left(seconds: float = 10.0) -> bool:
    """Whether all processes are gone; the pool's own thread may still be taking note of the last one."""
    until = time.monotonic() + seconds
    while multiprocessing.active_children() and time.monotonic() < until:
        time.sleep(0.05)
    return not multiprocessing.active_children()


def test_processes_end_when_nobody_waits_for_them(engine: Engine, folder: Path) -> None:
    options = EncodeOptions(rate=0.5)
    setting = Setting(rate=0.5, router="fast", allocation="block")
    tasks = {n: Task(str(n), folder / "0.mkv", setting, options, 4, ("psnr",)) for n in range(50)}
    rows = cast(Generator[tuple[int, ClipResult]], measure_in_processes(tasks, engine, 2))
    number, row = next(rows)
    assert number in tasks
    assert row.clip == "0.mkv"
    rows.close()
    assert no_children_left()


def test_what_goes_wrong_in_a_process_is_told(engine: Engine, folder: Path, tmp_path: Path) -> None:
    gone = Task("0", tmp_path / "gone.mkv", SETTINGS[0], EncodeOptions(), 4, ("psnr",))
    with pytest.raises(InputError, match=r"gone\.mkv: does not exist"):
        list(measure_in_processes({0: gone}, engine, 2))


@pytest.mark.parametrize(
    ("frames", "end", "expected"), [(1, None, 1), (4, None, 4), (9, 60, 9), (9, 0.01, 1)]
)
def test_a_number_of_frames_is_exact(
    engine: Engine, folder: Path, frames: int, end: float | None, expected: int
) -> None:
    options = EncodeOptions(frames=frames, end_seconds=end)
    rows = run_sweep(replace(plan(folder, SETTINGS[1:]), options=options), engine)
    assert [row.frames for row in rows] == [expected] * 6


def test_a_number_of_frames_of_uneven_times(tmp_path: Path) -> None:
    ticks = [0, 10, 11, 50, 51, 52]
    path = tmp_path / "uneven.mkv"
    make_video(path, moving_shapes(6, 16, 16), ticks=ticks, time_base=Fraction(1, 100))
    for frames in range(1, 6):
        with open_video(path) as video:
            assert len(list(video.frames(end_seconds=end_after(path, frames)))) == frames
    assert end_after(path, 6) is None
    assert end_after(path, 600) is None


def test_clips_are_files_or_folders(folder: Path, tmp_path: Path) -> None:
    assert [clip.name for clip in find_clips([folder])] == ["0.mkv", "1.mkv"]
    assert find_clips([folder / "1.mkv"]) == [folder / "1.mkv"]
    with pytest.raises(InputError, match="does not exist"):
        find_clips([tmp_path / "none"])
    with pytest.raises(InputError, match="no video files"):
        find_clips([tmp_path])


def test_a_clip_is_known_by_its_content(tmp_path: Path) -> None:
    one, other = tmp_path / "one", tmp_path / "other"
    one.write_bytes(b"abc")
    other.write_bytes(b"abc")
    assert clip_sha256(one) == clip_sha256(other)
    other.write_bytes(b"abcd")
    assert clip_sha256(one) != clip_sha256(other)
    with pytest.raises(InputError, match="cannot be read"):
        clip_sha256(tmp_path / "none")
