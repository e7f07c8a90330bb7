"""Whole runs of `infotok batch`: trees, resume, shards, failures, and refusals."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from infotok_cli.batch.shards import Shard, array_expression, choose_shard
from infotok_cli.cli.app import main
from infotok_cli.errors import UsageError
from make_video import make_video, moving_shapes

parquet = pytest.importorskip("pyarrow.parquet")

Run = Callable[..., subprocess.CompletedProcess[str]]
NAMES = ["a/0.itk", "a/1.itk", "b/2.itk", "top.itk"]


def outputs(folder: Path) -> dict[str, bytes]:
    """Finished .itk files by their path below the folder; a kill may leave hidden, unfinished ones."""
    paths = [path for path in sorted(folder.rglob("*.itk")) if not path.name.startswith(".")]
    return {str(path.relative_to(folder)): path.read_bytes() for path in paths}


def stats(path: Path) -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = parquet.read_table(path).to_pylist()
    return rows


def failures(path: Path) -> dict[str, str]:
    rows = [json.loads(line) for line in path.read_text().splitlines()]
    assert all(set(row) == {"id", "reason", "seconds"} for row in rows)
    return {row["id"]: row["reason"] for row in rows}


def test_a_folder_becomes_a_tree_of_the_bytes_that_encode_makes(run: Run, clips: Path) -> None:
    run("clips", "-o", "out", "--deterministic", "--segment-frames", 8)
    made = outputs(Path("out"))
    assert list(made) == NAMES
    for name, data in made.items():
        (source,) = clips.glob(name.replace(".itk", ".m*"))
        words = ["encode", str(source), "-o", "one.itk", "-y", "--deterministic", "--segment-frames", "8"]
        assert main(words) == 0
        assert Path("one.itk").read_bytes() == data
    rows = stats(Path("out/stats.parquet"))
    assert [row["id"] for row in rows] == ["a/0.mp4", "a/1.mp4", "b/2.mp4", "top.mkv"]
    assert [row["frames"] for row in rows] == [8, 12, 16, 20]
    for row in rows:
        bits = sum(row[f"{name}_bits"] for name in ("token", "map", "motion", "time", "audio", "other"))
        assert bits == 8 * row["size_bytes"] == 8 * len(made[row["output"]])
        assert row["status"] == "encoded"
        assert row["error"] is None
        assert row["ms"] > 0
    assert not Path("out/failures.jsonl").exists()


@pytest.mark.parametrize("count", [2, 3])
def test_shards_and_order_do_not_change_a_byte(run: Run, clips: Path, count: int) -> None:
    options = ("--deterministic", "--rate", 0.25, "--short-side", 32)
    run("clips", "-o", "whole", *options)
    Path("list.txt").write_text("clips/top.mkv\nclips/b/2.mp4\n\nclips/a/1.mp4\nclips/a/0.mp4\n")
    for index in reversed(range(count)):
        run("list.txt", "-o", "parts", *options, "--shard", f"{index}/{count}")
    assert outputs(Path("parts/clips")) == outputs(Path("whole"))
    ids = [row["id"] for path in Path("parts").glob("stats-*.parquet") for row in stats(path)]
    assert sorted(ids) == ["clips/a/0.mp4", "clips/a/1.mp4", "clips/b/2.mp4", "clips/top.mkv"]


def test_what_is_whole_and_of_this_run_is_skipped(run: Run, clips: Path) -> None:
    run("clips", "-o", "out")
    before = outputs(Path("out"))
    took = {row["id"]: row["ms"] for row in stats(Path("out/stats.parquet"))}
    os.utime("out/a/0.itk", (1, 1))
    Path("out/a/1.itk").write_bytes(before["a/1.itk"][:-20])
    flipped = bytearray(before["b/2.itk"])
    flipped[len(flipped) // 2] ^= 1
    Path("out/b/2.itk").write_bytes(flipped)
    assert main(["encode", "clips/top.mkv", "-o", "out/top.itk", "-y", "--rate", "0.75"]) == 0
    assert run("clips", "-o", "out", "--missing").stdout == "1-3\n"
    report = json.loads(run("clips", "-o", "out", "--json").stdout)
    assert (report["encoded"], report["skipped"], report["failed"]) == (3, 1, 0)
    assert report["duration_seconds"] > 0
    assert "video_seconds" not in report
    assert Path("out/a/0.itk").stat().st_mtime == 1
    assert outputs(Path("out")) == before
    rows = stats(Path("out/stats.parquet"))
    assert [row["status"] for row in rows] == ["skipped", "encoded", "encoded", "encoded"]
    assert rows[0]["ms"] == took["a/0.mp4"]
    assert run("clips", "-o", "out", "--missing").stdout == ""


def test_psnr_is_that_of_the_decoded_video(run: Run, clips: Path) -> None:
    from infotok_cli.codec.video_psnr import pooled_psnr_db

    (clips / "top.mkv").unlink()
    run("clips", "-o", "out", "--psnr", "--rate", 0.5)
    rows = stats(Path("out/stats.parquet"))
    for row in rows:
        assert main(["decode", f"out/{row['output']}", "-o", "one.mkv", "-y", "--codec", "ffv1"]) == 0
        assert row["psnr_db"] == pytest.approx(pooled_psnr_db(Path(row["source"]), Path("one.mkv")), abs=0.1)
    run("clips", "-o", "out", "--rate", 0.5)
    assert [row["psnr_db"] for row in stats(Path("out/stats.parquet"))] == [row["psnr_db"] for row in rows]
    run("clips", "-o", "part", "--psnr", "--frames", 5, "--start", 0.1, "--short-side", 32, "--limit", 1)
    (row,) = stats(Path("part/stats.parquet"))
    assert row["frames"] == 5
    assert 5 < row["psnr_db"] < 60
    run("clips", "-o", "without", "--limit", 1)
    assert stats(Path("without/stats.parquet"))[0]["psnr_db"] is None


def test_a_run_that_disagrees_is_refused(run: Run, clips: Path) -> None:
    run("clips", "-o", "out", "--rate", 0.25)
    before = outputs(Path("out"))
    refused = run("clips", "-o", "out", "--rate", 0.5, code=2).stderr
    assert "out/run.json: the run there has rate 0.25, this one 0.5" in refused
    refused = run("clips", "-o", "out", "--rate", 0.25, "--shard", "0/2", code=2).stderr
    assert "has shards 1, this one 2: give --shard i/1" in refused
    assert "deterministic" in run("clips", "-o", "out", "--rate", 0.25, "--deterministic", code=2).stderr
    assert outputs(Path("out")) == before
    Path("out/run.json").unlink()
    assert "no run.json says" in run("clips", "-o", "out", "--rate", 0.25, code=2).stderr


def test_failures_are_rows_and_the_rest_goes_on(run: Run, clips: Path) -> None:
    (clips / "a" / "broken.mp4").write_bytes(b"nothing")
    whole = (clips / "top.mkv").read_bytes()
    (clips / "cut.mkv").write_bytes(whole[: len(whole) // 2])
    (clips / "a" / "0.mkv").write_bytes(whole)
    result = run("clips", "-o", "out", code=6)
    assert result.stderr.count("infotok: failed: ") == 4
    assert "3 encoded, 0 there already, 4 failed" in result.stderr
    found = failures(Path("out/failures.jsonl"))
    assert set(found) == {"a/broken.mp4", "cut.mkv", "a/0.mp4", "a/0.mkv"}
    assert "is not a video" in found["a/broken.mp4"]
    assert "would be written to a/0.itk, as clips/a/0.mkv would" in found["a/0.mp4"]
    assert list(outputs(Path("out"))) == ["a/1.itk", "b/2.itk", "top.itk"]
    errors = {
        row["id"]: row["error"] for row in stats(Path("out/stats.parquet")) if row["status"] == "failed"
    }
    assert errors == found
    assert not list(Path("out").rglob(".infotok-*"))
    (clips / "a" / "0.mkv").unlink()
    (clips / "cut.mkv").unlink()
    (clips / "a" / "broken.mp4").unlink()
    assert "1 encoded, 3 there already, 0 failed" in run("clips", "-o", "out").stderr
    assert not Path("out/failures.jsonl").exists()


def test_max_failures_and_limit(run: Run, clips: Path) -> None:
    for name in ("0", "00", "000"):
        (clips / f"{name}.mp4").write_bytes(b"nothing")
    result = run("clips", "-o", "out", "--max-failures", 1, code=6)
    assert "2 failed, 5 not tried" in result.stderr
    assert "--max-failures" in result.stderr
    assert not outputs(Path("out"))
    assert "1 encoded, 0 there already, 3 failed" in run("clips", "-o", "out", "--limit", 4, code=6).stderr
    assert list(outputs(Path("out"))) == ["a/0.itk"]


def test_dry_run_and_missing_touch_nothing_and_load_no_torch(run: Run, clips: Path) -> None:
    code = (
        "import sys; from infotok_cli.cli.app import main; code = main(sys.argv[1:]); "
        "assert 'torch' not in sys.modules; sys.exit(code)"
    )
    for option in ("--dry-run", "--missing"):
        command = [sys.executable, "-P", "-c", code, "batch", "clips", "-o", "out", option]
        result = subprocess.run(command, capture_output=True, text=True, check=False)
        assert result.returncode == 0, result.stderr
        assert not Path("out").exists()
    assert result.stdout == "0-3\n"
    listed = run("clips", "-o", "out", "--dry-run").stdout.splitlines()
    assert listed[0] == "encode  clips/a/0.mp4 -> out/a/0.itk"
    assert len(listed) == 4


def test_tables_with_ids(run: Run, clips: Path) -> None:
    Path("sub").mkdir()
    Path("sub/videos.csv").write_text(
        "id,label,path\nfirst,x,../clips/a/0.mp4\nv1.2,y,../clips/a/1.mp4\nup/../../x,z,../clips/b/2.mp4\n,q,\n"
    )
    result = run("sub/videos.csv", "-o", "out", code=6)
    assert list(outputs(Path("out"))) == ["first.itk", "v1.2.itk"]
    assert "is not a path below the output folder" in result.stderr
    assert "row 3 has no path" in result.stderr
    assert run("sub/videos.csv", "-o", "out", "--missing").stdout == "2-3\n"


def test_parquet_by_url_and_videos_by_url(run: Run, clips: Path) -> None:
    fsspec = pytest.importorskip("fsspec")
    import pyarrow

    memory = fsspec.filesystem("memory")
    memory.store.clear()
    memory.put(str(clips / "a" / "0.mp4"), "/bucket/x/0.mp4")
    memory.put(str(clips / "a" / "1.mp4"), "/bucket/x/1.mp4")
    with memory.open("/bucket/x/bad.mp4", "wb") as file:
        file.write(b"nothing")
    table = pyarrow.table(
        {
            "path": ["x/0.mp4", "memory://bucket/x/1.mp4", "x/gone.mp4", None, "x/bad.mp4"],
            "n": [1, 2, 3, 4, 5],
        }
    )
    with memory.open("/bucket/videos.parquet", "wb") as file:
        parquet.write_table(table, file)
    result = run("memory://bucket/videos.parquet", "-o", "out", "--deterministic", code=6)
    assert "memory://bucket/x/gone.mp4: does not exist" in result.stderr
    assert "memory://bucket/x/bad.mp4: is not a video" in result.stderr
    memory.rm("/bucket/x/bad.mp4")
    run("clips", "-o", "local", "--deterministic")
    local, made = outputs(Path("local")), outputs(Path("out"))
    assert made == {"x/0.itk": local["a/0.itk"], "bucket/x/1.itk": local["a/1.itk"]}
    run("memory://bucket/x", "-o", "folder", "--deterministic")
    run("memory://bucket/x/*.mp4", "-o", "matched", "--deterministic")
    assert outputs(Path("folder")) == outputs(Path("matched")) == {
        name.removeprefix("a/"): data for name, data in local.items() if name.startswith("a/")
    }  # fmt: skip
    assert "cannot be reached" in run("nosuch://bucket/x", "-o", "other", code=3).stderr


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        (["gone.mp4", "-o", "out"], 3, "gone.mp4: does not exist"),
        (["empty", "-o", "out"], 3, "empty: names no videos"),
        (["none/*.mp4", "-o", "out"], 3, "none/*.mp4: names no videos"),
        (["bad.csv", "-o", "out"], 3, "bad.csv: has no column path (columns: id, file)"),
        (["latin.txt", "-o", "out"], 3, "latin.txt: is not UTF-8 text"),
        (["bad.parquet", "-o", "out"], 3, "bad.parquet: is not a whole Parquet file"),
        (["clips", "-o", "clips"], 2, "clips: lies in the input folder clips"),
        (["clips", "-o", "clips/a/out"], 2, "lies in the input folder clips"),
        (["clips", "-o", "bad.csv"], 2, "bad.csv: is not a folder"),
        (["clips", "-o", "s3://bucket/out"], 2, "outputs are local files"),
        (["clips", "-o", "out", "--shard", "2/2"], 2, "--shard 2/2 is not i/n"),
        (["clips", "-o", "out", "--rate", "0.5", "--max-tokens", "9"], 2, "exclude each other"),
        (["clips", "-o", "out", "--router", "elastic"], 2, "needs weights trained with"),
        (["clips", "-o", "out", "--workers", "0"], 2, "--workers 0 is"),
        (["clips", "-o", "out", "--gpus", "none"], 2, "--gpus none is neither"),
        (["clips", "-o", "out", "--model", "gone.safetensors"], 4, "does not exist"),
    ],
)
def test_refusals_are_one_line_and_make_nothing(
    run: Run, clips: Path, arguments: list[str], code: int, words: str
) -> None:
    Path("empty").mkdir()
    Path("bad.csv").write_text("id,file\n1,clips/a/0.mp4\n")
    Path("latin.txt").write_bytes(b"\xe9t\xe9.mp4\n")
    Path("bad.parquet").write_bytes(b"PAR1 no")
    before = sorted(Path().rglob("*"))
    result = run(*arguments, code=code)
    assert words in result.stderr
    assert result.stderr.count("\n") == 1
    assert sorted(Path().rglob("*")) == before


def test_a_bad_input_among_others_is_a_failure(run: Run, clips: Path) -> None:
    Path("bad.csv").write_text("id,file\n1,clips/a/0.mp4\n")
    result = run("bad.csv", "gone", "clips", "-o", "out", code=6)
    assert set(failures(Path("out/failures.jsonl"))) == {"bad.csv", "gone"}
    assert "4 encoded, 0 there already, 2 failed" in result.stderr


def test_names_that_are_not_utf8(run: Run, clips: Path) -> None:
    name = os.fsdecode(b"caf\xe9.mp4")
    (clips / "a" / "0.mp4").rename(clips / name)
    (clips / os.fsdecode(b"bad\xe9.mp4")).write_bytes(b"nothing")
    for encoded in (4, 0):
        result = run("clips", "-o", "out", code=6)
        assert f"{encoded} encoded, {4 - encoded} there already, 1 failed" in result.stderr
        assert Path("out", name).with_suffix(".itk").exists()
        row = next(row for row in stats(Path("out/stats.parquet")) if row["id"] == "caf\\udce9.mp4")
        assert row["ms"] > 0


def test_no_space_left_for_one_file(run: Run, clips: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from infotok_cli.container.writer import ItkWriter
    from infotok_cli.errors import OutputError

    finish = ItkWriter.finish

    def full(writer: ItkWriter) -> int:
        if writer.frames == 12:
            raise OutputError("cannot be written (No space left on device)", where="out/a/1.itk")
        return finish(writer)

    monkeypatch.setattr(ItkWriter, "finish", full)
    run("clips", "-o", "out", code=6)
    assert "No space left" in failures(Path("out/failures.jsonl"))["a/1.mp4"]
    assert list(outputs(Path("out"))) == ["a/0.itk", "b/2.itk", "top.itk"]


def test_killed_anywhere_and_run_again(run: Run, tmp_path: Path, fresh_seed: int) -> None:
    """After SIGKILL every output that stands is whole, stays, and the rest is made."""
    import random

    random.seed(fresh_seed)
    for number in range(12):
        path = tmp_path / "many" / f"{number:02}.mp4"
        path.parent.mkdir(exist_ok=True)
        make_video(path, moving_shapes(16, 40, 48, number))
    run("many", "-o", "whole", "--deterministic")
    expected = outputs(Path("whole"))
    command = [sys.executable, "-P", "-m", "infotok_cli", "batch", "many", "-o", "out", "--deterministic"]
    for wanted in (1, 5):
        process = subprocess.Popen(command, stderr=subprocess.DEVNULL)
        ends = time.monotonic() + 60
        while len(outputs(Path("out"))) < wanted and process.poll() is None and time.monotonic() < ends:
            time.sleep(0.002)
        time.sleep(random.uniform(0, 0.02))
        process.send_signal(signal.SIGKILL)
        process.wait()
        there = outputs(Path("out"))
        assert there.items() <= expected.items()
        for name in there:
            os.utime(Path("out") / name, (1, 1))
    report = json.loads(run("many", "-o", "out", "--deterministic", "--json").stdout)
    assert report["skipped"] == len(there)
    assert report["encoded"] == 12 - len(there)
    assert outputs(Path("out")) == expected
    assert sum((Path("out") / name).stat().st_mtime == 1 for name in there) == len(there)
    assert len(stats(Path("out/stats.parquet"))) == 12


def test_shards_come_from_the_surroundings() -> None:
    assert choose_shard(None, {}) == Shard(0, 1)
    assert choose_shard("3/8", {"RANK": "1", "WORLD_SIZE": "2"}) == Shard(3, 8)
    slurm = {"SLURM_ARRAY_TASK_ID": "4", "SLURM_ARRAY_TASK_COUNT": "4", "SLURM_ARRAY_TASK_MIN": "1"}
    assert choose_shard(None, slurm) == Shard(3, 4)
    assert choose_shard(None, {"RANK": "1", "WORLD_SIZE": "2", **slurm}) == Shard(1, 2)
    for bad in ("1", "a/2", "-1/2", "2/2", "0/0", "1/2/3"):
        with pytest.raises(UsageError, match=r"is not i/n"):
            choose_shard(bad, {})
    assert array_expression([7, 0, 1, 2, 3, 9, 10]) == "0-3,7,9-10"
