"""Several processes: the same bytes as one, a death that costs one file, ends that leave nothing behind."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from multiprocessing import Pipe
from pathlib import Path
from types import SimpleNamespace

import pytest

from fake_devices import FakeDevices
from infotok_cli.batch import worker
from infotok_cli.batch.devices import Seat, seats
from infotok_cli.batch.encode import BatchReport
from infotok_cli.batch.inputs import find_items
from infotok_cli.batch.outputs import Row
from infotok_cli.batch.plan import find_work
from infotok_cli.batch.run_file import RunSettings, model_sha256
from infotok_cli.batch.shards import Shard
from infotok_cli.batch.worker import Job
from infotok_cli.batch.workers import encode_batch_in_workers
from infotok_cli.codec.options import EncodeOptions
from infotok_cli.errors import UsageError
from make_video import make_video, moving_shapes

pytest.importorskip("pyarrow")

Run = Callable[..., subprocess.CompletedProcess[str]]


def outputs(folder: Path) -> dict[str, bytes]:
    """Finished .itk files; a worker that is killed leaves a hidden, unfinished one."""
    paths = [path for path in sorted(folder.rglob("*.itk")) if not path.name.startswith(".")]
    return {str(path.relative_to(folder)): path.read_bytes() for path in paths}


class Seen:
    """Progress that keeps what it is told."""

    def __init__(self) -> None:
        self.files = 0
        self.rows: list[Row] = []

    def started(self, files: int) -> None:
        self.files = files

    def done(self, row: Row) -> None:
        self.rows.append(row)


def encode_on(load: FakeDevices, gpus: str, progress: Seen) -> BatchReport:
    """The folder clips into out, by a process for each device."""
    settings = RunSettings(
        shards=1,
        model_sha256=model_sha256(load.weights),
        options=EncodeOptions(),
        precision="auto",
        deterministic=load.batch_segments is None,
    )
    out = Path("out")
    work = find_work(find_items(["clips"], out), out, Shard(), settings)
    return encode_batch_in_workers(
        work, out, settings, load, progress, seats=seats("auto", 1, gpus, {}), shard=Shard()
    )


@pytest.mark.slow
def test_workers_shards_and_order_do_not_change_a_byte(run: Run, clips: Path) -> None:
    options = ("--deterministic", "--rate", 0.25, "--frames", 11)
    run("clips", "-o", "whole", *options)
    Path("list.txt").write_text("clips/top.mkv\nclips/b/2.mp4\nclips/a/1.mp4\nclips/a/0.mp4\n")
    run("list.txt", "-o", "parts", *options, "--workers", 2, "--shard", "1/2")
    run("list.txt", "-o", "parts", *options, "--shard", "0/2")
    assert outputs(Path("parts/clips")) == outputs(Path("whole"))


@pytest.mark.slow
def test_a_worker_that_dies_costs_its_file_only(clips: Path, model_file: Path) -> None:
    load = FakeDevices(model_file, Path("notes").resolve(), deadly_frames=12)
    seen = Seen()
    report = encode_on(load, "0,1", seen)
    assert seen.files == 4
    assert (report.encoded, report.failed, report.left) == (3, 1, 0)
    (failed,) = [row for row in seen.rows if row.error is not None]
    assert failed.id == "a/1.mp4"
    assert failed.error is not None
    assert "the worker that encoded it was killed" in failed.error
    assert list(outputs(Path("out"))) == ["a/0.itk", "b/2.itk", "top.itk"]
    assert {row.id for row in seen.rows} == {"a/0.mp4", "a/1.mp4", "b/2.mp4", "top.mkv"}
    assert set(Path("notes").read_text().split()) == {"0", "1"}
    assert "a/1.mp4" in Path("out/failures.jsonl").read_text()


@pytest.mark.parametrize("takes_ready", [False, True])
def test_a_worker_whose_parent_is_gone_ends_quietly(
    tmp_path: Path, model_file: Path, monkeypatch: pytest.MonkeyPatch, takes_ready: bool
) -> None:
    settings = RunSettings(
        shards=1, model_sha256="", options=EncodeOptions(), precision="auto", deterministic=True
    )
    actions = []
    monkeypatch.setattr(worker.signal, "signal", lambda number, action: actions.append((number, action)))
    engine = SimpleNamespace(batch=lambda positions: 1)
    monkeypatch.setattr(worker, "checked_engine", lambda load, run: engine)
    theirs, ours = Pipe()
    if takes_ready:
        monkeypatch.setattr(worker, "Wanted", ours.close)
    else:
        ours.close()
    load = FakeDevices(model_file, tmp_path / "notes")
    worker.run_worker(theirs, Seat(device="cpu"), Job(folder=tmp_path, run=settings, load=load, spelled=str))
    with pytest.raises((EOFError, OSError)):
        theirs.recv()
    assert actions[-1] == (signal.SIGTERM, signal.SIG_DFL), "nothing is left to unwind"


@pytest.mark.slow
def test_a_worker_that_dies_of_one_of_several_files(clips: Path, model_file: Path) -> None:
    """The one that it has had longest is taken to be the cause, and perhaps is not."""
    load = FakeDevices(model_file, Path("notes").resolve(), deadly_frames=12, batch_segments=8)
    seen = Seen()
    report = encode_on(load, "1", seen)
    failed = {row.id for row in seen.rows if row.error is not None}
    assert failed in ({"a/1.mp4"}, {"a/0.mp4", "a/1.mp4"})
    assert (report.encoded, report.failed, report.left) == (4 - len(failed), len(failed), 0)
    assert len(outputs(Path("out"))) >= report.encoded


@pytest.mark.slow
def test_a_device_that_is_missing_stops_the_batch_before_it_begins(clips: Path, model_file: Path) -> None:
    load = FakeDevices(model_file, Path("notes").resolve(), missing="1")
    with pytest.raises(UsageError, match="CUDA device 1: finds no device"):
        encode_on(load, "2", Seen())
    load = FakeDevices(model_file, Path("notes").resolve(), deadly="0")
    with pytest.raises(UsageError, match=r"a worker was killed.*before it had loaded the model"):
        encode_on(load, "1", Seen())
    assert not Path("out").exists()


@pytest.mark.slow
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGKILL])
def test_no_process_and_no_unfinished_file_is_left(
    clips: Path, tmp_path: Path, number: signal.Signals
) -> None:
    """Ctrl-C reaches every process of a terminal, a kill only the first."""
    long = make_video(clips / "00.mp4", moving_shapes(96, 40, 48))
    for place in range(1, 24):
        shutil.copy(long, clips / f"{place:02}.mp4")
    command = [sys.executable, "-P", "-m", "infotok_cli", "batch", "clips", "-o", "out", "--workers", "2"]
    process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True, start_new_session=True)
    ends = time.monotonic() + 120
    while not outputs(Path("out")) and process.poll() is None and time.monotonic() < ends:
        time.sleep(0.01)
    assert process.poll() is None
    if number == signal.SIGINT:
        os.killpg(process.pid, number)
    else:
        process.send_signal(number)
    _, told = process.communicate(timeout=60)  # until no process holds the pipe
    expected = (130, "infotok: interrupted\n") if number == signal.SIGINT else (-9, "")
    assert (process.returncode, told) == expected
    assert not list(Path("out").rglob(".infotok-*"))
    assert 0 < len(outputs(Path("out"))) < 28


def test_seats_are_for_devices_in_turn() -> None:
    assert seats("auto", 3, None, {}) == [Seat(device="auto", share=3)] * 3
    two = seats("auto", 2, "0,2", {})
    assert [seat.gpu for seat in two] == ["0", "2", "0", "2"]
    assert {(seat.device, seat.share) for seat in two} == {("cuda", 4)}
    assert [seat.gpu for seat in seats("cuda", 1, "2", {})] == ["0", "1"]
    assert [seat.gpu for seat in seats("auto", 1, "3,", {})] == ["3"]
    assert two[1].environment == {"CUDA_VISIBLE_DEVICES": "2"}
    visible = {"CUDA_VISIBLE_DEVICES": "5,GPU-7f"}
    assert [seat.gpu for seat in seats("auto", 1, "2", visible)] == ["5", "GPU-7f"]
    assert [seat.gpu for seat in seats("auto", 1, "1,", visible)] == ["GPU-7f"]


@pytest.mark.parametrize(
    ("gpus", "device", "environment", "words"),
    [
        ("two", "auto", {}, "is neither a number of devices nor a list"),
        ("-1", "auto", {}, "is neither a number"),
        ("0", "auto", {}, "is no device"),
        ("1,1", "auto", {}, "names a device twice"),
        ("3", "auto", {"CUDA_VISIBLE_DEVICES": "0,1"}, "asks for more devices than CUDA_VISIBLE_DEVICES=0,1"),
        ("1", "auto", {"CUDA_VISIBLE_DEVICES": ""}, "asks for more devices"),
        ("1", "cpu", {}, "does not go with `device` cpu"),
    ],
)
def test_seats_that_are_none(gpus: str, device: str, environment: dict[str, str], words: str) -> None:
    with pytest.raises(UsageError) as raised:
        seats(device, 1, gpus, environment)
    assert words in raised.value.what
