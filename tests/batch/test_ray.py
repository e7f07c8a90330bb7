"""`infotok batch --engine ray` on a real cluster of two workers: outputs are those of the local engine."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest

from infotok_cli.batch import films, ray_engine
from infotok_cli.batch.cluster import import_ray
from infotok_cli.batch.ray_worker import RayWorker
from infotok_cli.codec import groups
from make_video import make_video, moving_shapes

parquet = pytest.importorskip("pyarrow.parquet")

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(find_spec("ray") is None, reason="Ray is not installed"),
]

ROOT = Path(__file__).parent.parent.parent
Run = Callable[..., subprocess.CompletedProcess[str]]
SMALL_GROUP = 2 * 3 * 5 * 6
"""Positions of two segments of 8 frames of 40x48 pixels."""
COMMON = ("--deterministic", "--segment-frames", 8, "--rate", 0.25)


class FragileWorker(RayWorker):
    """A worker with small groups that dies once, in the middle of a part of the film."""

    def __init__(self, settings: Any, attempts: Any) -> None:
        from infotok_cli.container.writer import ItkWriter

        groups.GROUP_POSITIONS = SMALL_GROUP
        finish = ItkWriter.finish

        def dying(writer: ItkWriter) -> int:
            died = Path(settings.working_folder) / "died"
            if writer.frames == 16 and not died.exists():
                died.touch()
                os.kill(os.getpid(), signal.SIGKILL)
            return finish(writer)

        ItkWriter.finish = dying  # type: ignore[method-assign]
        super().__init__(settings, attempts)


@pytest.fixture(scope="module")
def address(model_file: Path) -> Iterator[str]:
    """A cluster of two CPUs in a folder of its own; its address."""
    ray = import_ray()
    folder = tempfile.mkdtemp(prefix="ray-")  # short: names of sockets are
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("INFOTOK_MODEL", str(model_file))  # workers have the surroundings of the cluster
        ray.init(
            address="local", num_cpus=2, object_store_memory=80 << 20, include_dashboard=False,
            log_to_driver=False, logging_level="ERROR", _temp_dir=folder,
        )  # fmt: skip
    ray.cloudpickle.register_pickle_by_value(sys.modules[__name__])
    yield str(ray.get_runtime_context().gcs_address)
    ray.shutdown()
    shutil.rmtree(folder, ignore_errors=True)


def outputs(folder: Path) -> dict[str, bytes]:
    paths = [path for path in sorted(folder.rglob("*.itk")) if "/.infotok-" not in str(path)]
    return {str(path.relative_to(folder)): path.read_bytes() for path in paths}


def stats(folder: Path) -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = parquet.read_table(folder / "stats.parquet").to_pylist()
    return [{**row, "ms": None} for row in rows]


def make_clips(folder: Path, count: int) -> None:
    folder.mkdir()
    for number in range(count):
        make_video(folder / f"{number}.mp4", moving_shapes(12, 40, 48, number), audio_seconds=0.2)


def test_the_outcome_is_that_of_the_local_engine(
    run: Run, tmp_path: Path, address: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With a film in parts, a broken file, a name that is not UTF-8, a file done already, a worker killed."""
    make_clips(tmp_path / "clips", 4)
    (tmp_path / "clips" / "bad.mp4").write_bytes(b"nothing")
    shutil.copy("clips/0.mp4", os.fsdecode(b"clips/caf\xe9.mp4"))
    film = make_video(tmp_path / "clips" / "film.mkv", moving_shapes(70, 40, 48), audio_seconds=2.5)
    monkeypatch.setattr(groups, "GROUP_POSITIONS", SMALL_GROUP)
    local = run("clips", "-o", "local", *COMMON, code=6)
    monkeypatch.setattr(films, "PART_GROUPS", 1)
    monkeypatch.setattr(ray_engine, "FILM_BYTES", film.stat().st_size)
    monkeypatch.setattr(ray_engine, "RayWorker", FragileWorker)
    run("clips", "-o", "ray", *COMMON, "--limit", 1)
    made = list(outputs(Path("ray")))
    assert len(made) == 1
    result = run("clips", "-o", "ray", *COMMON, "--engine", "ray", "--json", code=6)
    assert Path("died").exists()
    report = json.loads(result.stdout)
    assert (report["encoded"], report["skipped"], report["failed"], report["left"]) == (5, 1, 1, 0)
    warning = json.loads(result.stderr)["warning"]
    assert f"infotok: failed: {warning}" == local.stderr.splitlines()[0]
    assert outputs(Path("ray")) == outputs(Path("local"))
    assert [path.name for path in Path("ray").glob(".infotok-*")] == []
    (skipped,) = [row["id"] for row in stats(Path("ray")) if row["status"] == "skipped"]
    assert made == [str(Path(skipped).with_suffix(".itk"))]
    assert [{**row, "status": None} for row in stats(Path("ray"))] == [
        {**row, "status": None} for row in stats(Path("local"))
    ]
    assert Path("ray/run.json").read_bytes() == Path("local/run.json").read_bytes()
    mine, other = (json.loads(Path(name, "failures.jsonl").read_text()) for name in ("ray", "local"))
    assert {**mine, "seconds": None} == {**other, "seconds": None}
    assert run("clips", "-o", "ray", *COMMON, "--engine", "ray", "--missing").stdout == "4\n"


def test_the_driver_is_killed_and_run_again(run: Run, tmp_path: Path, address: str) -> None:
    """Its own cluster ends with it; then one at an address does the rest."""
    make_clips(tmp_path / "clips", 12)
    run("clips", "-o", "local", *COMMON)
    expected = outputs(Path("local"))
    words = [*map(str, COMMON), "--engine", "ray"]
    command = [sys.executable, "-P", "-m", "infotok_cli", "batch", "clips", "-o", "out", *words]
    folder = tempfile.mkdtemp(prefix="ray-")
    environment = {**os.environ, "RAY_TMPDIR": folder, "PYTHONPATH": os.pathsep.join(sys.path)}
    driver = subprocess.Popen(command, stderr=subprocess.DEVNULL, env=environment)
    ends = time.monotonic() + 120
    while len(outputs(Path("out"))) < 3 and driver.poll() is None and time.monotonic() < ends:
        time.sleep(0.002)
    driver.send_signal(signal.SIGKILL)
    driver.wait()
    assert wait_until(lambda: not processes_of(folder)), processes_of(folder)
    shutil.rmtree(folder, ignore_errors=True)
    there = outputs(Path("out"))
    assert 3 <= len(there) < 12
    assert there.items() <= expected.items()
    for name in there:
        os.utime(Path("out") / name, (1, 1))
    again = [*command, "--address", address, "--workers", "1", "--json"]
    result = subprocess.run(again, capture_output=True, text=True, check=False, env=environment)
    assert (result.returncode, result.stderr) == (0, "")
    report = json.loads(result.stdout)
    assert (report["skipped"], report["encoded"]) == (len(there), 12 - len(there))
    assert outputs(Path("out")) == expected
    assert sum((Path("out") / name).stat().st_mtime == 1 for name in there) == len(there)
    assert len(stats(Path("out"))) == 12


def processes_of(folder: str) -> list[str]:
    """Command lines of processes that name a folder, as all of a cluster do."""
    found = []
    for path in Path("/proc").glob("[0-9]*"):
        try:
            known = (path / "cmdline").read_bytes() + (path / "environ").read_bytes()
            if folder.encode() in known and int(path.name) != os.getpid():
                found.append((path / "cmdline").read_bytes().replace(b"\0", b" ").decode()[:80])
        except OSError:
            continue
    return found


def wait_until(true: Callable[[], bool]) -> bool:
    ends = time.monotonic() + 120
    while not true() and time.monotonic() < ends:
        time.sleep(0.05)
    return true()


def test_the_pipeline_of_the_docs(run: Run, tmp_path: Path, address: str) -> None:
    make_clips(tmp_path / "clips", 2)
    (tmp_path / "clips" / "bad.mp4").write_bytes(b"nothing")
    text = (ROOT / "docs" / "DATASETS.md").read_text("utf-8").partition("\n## Ray\n")[2].partition("\n## ")[0]
    (code,) = re.findall(r"^```python\n(.*?)^```$", text, re.DOTALL | re.MULTILINE)
    exec(compile(code, "DATASETS.md", "exec"), {"__name__": "typed"})
    rows = {row["id"]: row for row in parquet.read_table(tmp_path / "stats").to_pylist()}
    assert {name: (row["status"], row["folder"]) for name, row in rows.items()} == {
        "0": ("encoded", "clips"), "1": ("encoded", "clips"), "bad": ("failed", "clips"),
    }  # fmt: skip
    assert "is not a video" in rows["bad"]["error"]
    run("clips", "-o", "local", "--rate", 0.25, code=6)
    assert outputs(tmp_path / "tokens-3") == outputs(Path("local"))
