"""`cut`, `concat`, `repair`, `export`, `import`, `inspect --verify` and `decode --skip-bad` as commands."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from infotok_cli.cli.app import main
from infotok_cli.container.reader import ItkReader
from infotok_cli.video.reader import open_video

Run = Callable[..., Any]
Refused = Callable[..., str]


def damage(path: Path, *numbers: int) -> None:
    """Change the last byte of these segments."""
    data = bytearray(path.read_bytes())
    with ItkReader(path) as reader:
        for number in numbers:
            entry = reader.index[number]
            data[entry.offset + entry.length - 1] ^= 1
    path.write_bytes(data)


def pictures(run: Run, path: Path, *options: object) -> list[bytes]:
    folder = path.with_suffix("")
    run("decode", path, "-o", folder, "-y", *options)
    return [picture.read_bytes() for picture in sorted(folder.iterdir())]


def test_cut_and_concat(run: Run, encoded: Path) -> None:
    whole = pictures(run, encoded)
    one, two, both = (encoded.with_name(f"{name}.itk") for name in ("one", "two", "both"))
    run("cut", encoded, "--end", 0.3, "-o", one)
    result = run("cut", encoded, "--start", 0.3, "-o", two)
    assert result.stdout == ""
    assert "11 frames in 3 segments, 1 hidden frame" in result.stderr
    assert pictures(run, one) == whole[:9]
    assert pictures(run, two) == whole[9:]
    assert pictures(run, two, "--start", 0.1, "--end", 0.2) == whole[12:15]
    assert "11 frames" in run("inspect", two).stdout
    facts = json.loads(run("inspect", two, "--json").stdout)
    assert (facts["format_version"], facts["frames"], facts["hidden_frames"]) == (1, 11, 1)
    rows = json.loads(run("stats", two, "--json").stdout)["per_segment"]
    assert [row["frames"] for row in rows] == [3, 4, 4]
    report = json.loads(run("concat", one, two, "-o", both, "--json").stdout)
    assert (report["frames"], report["frame_rate"]) == (20, "30000/1001")
    assert both.read_bytes() == encoded.read_bytes()
    run("concat", two, one, two, "-o", both, "-y")
    assert pictures(run, both) == whole[9:] + whole[:9] + whole[9:]


def test_skip_bad(run: Run, refused: Refused, encoded: Path) -> None:
    whole = pictures(run, encoded)
    damage(encoded, 1, 3)
    assert "segment 1 (0.133 s to 0.267 s" in refused(3, "decode", encoded, "-o", encoded.with_name("x.mp4"))
    told = run("decode", encoded, "-o", encoded.with_name("frames"), "--skip-bad").stderr
    assert "infotok: warning: segment 1 (0.133 s" in told
    result = run("decode", encoded, "-o", encoded.with_name("frames"), "-y", "--skip-bad", "--json")
    lines = [json.loads(line)["warning"] for line in result.stderr.splitlines()]
    assert [line.split(" (")[0] for line in lines] == ["segment 1", "segment 3"]
    assert "a good frame stands for its 4 frames" in lines[0]
    report = json.loads(result.stdout)
    assert report["frames"] == 20
    assert report["warnings"] == lines
    got = [picture.read_bytes() for picture in sorted(encoded.with_name("frames").iterdir())]
    assert got == whole[:4] + [whole[3]] * 4 + whole[8:12] + [whole[11]] * 4 + whole[16:]


def test_skip_bad_of_a_truncated_file(run: Run, refused: Refused, encoded: Path) -> None:
    with ItkReader(encoded) as reader:
        end = reader.index[2].offset + reader.index[2].length
    encoded.write_bytes(encoded.read_bytes()[: end + 10])
    assert "with 3 whole segments" in refused(3, "decode", encoded)
    result = run("decode", encoded, "-o", encoded.with_name("a.mkv"), "--skip-bad")
    assert "is truncated" in result.stderr
    with open_video(encoded.with_name("a.mkv")) as video:
        assert len(list(video.frames())) == 12


def test_skip_bad_shows_the_whole_steps_of_a_cut_segment(
    run: Run, refused: Refused, clip: Path, tmp_path: Path
) -> None:
    """Frames are those of the whole file, and more of them the later it ends."""
    path, frames = tmp_path / "cut.itk", tmp_path / "frames"
    run("encode", clip, "-o", path, "--segment-frames", 20, "--rate", 0.5)
    run("decode", path, "-o", frames)
    expected = [picture.read_bytes() for picture in sorted(frames.iterdir())]
    whole = path.read_bytes()
    with ItkReader(path) as reader:
        entry = reader.index[0]
        end = entry.offset + entry.length
    counts = set()
    for length in range(end - entry.counts.token_bytes, end, entry.counts.token_bytes // 8 + 1):
        path.write_bytes(whole[:length])
        assert "with 0 whole segments" in refused(3, "decode", path)
        shown = main(["decode", str(path), "-o", str(frames), "-y", "--skip-bad"]) == 0
        got = [picture.read_bytes() for picture in sorted(frames.iterdir())] if shown else []
        assert got == expected[: len(got)]
        assert not counts or len(got) >= max(counts)
        counts.add(len(got))
    assert {4, 8, 12} <= counts <= {0, 4, 8, 12, 16}
    path.write_bytes(whole[: end - 1])
    said = run("decode", path, "-o", frames, "-y", "--skip-bad").stderr
    assert "segment 0 (0.000 s to 0.534 s) is cut short: 16 frames of it are shown" in said


def test_repair(run: Run, refused: Refused, encoded: Path) -> None:
    whole = encoded.read_bytes()
    repaired = encoded.with_name("repaired.itk")
    assert "nothing to repair" in run("repair", encoded, "-o", repaired).stderr
    assert repaired.read_bytes() == whole
    encoded.write_bytes(whole[:-3])
    assert "whole segments" in refused(3, "inspect", encoded)
    result = run("repair", encoded, "-o", repaired, "-y")
    assert f"warning: {encoded} is truncated" in result.stderr
    assert repaired.read_bytes() == whole
    encoded.write_bytes(whole)
    damage(encoded, 2)
    run("repair", encoded, "-o", repaired, "-y")
    assert "4 frames, before the file was repaired" in run("inspect", repaired, "--verify").stdout
    assert "segment 2 (0.267 s to 0.400 s) is lost" in refused(3, "decode", repaired)
    assert len(pictures(run, repaired, "--skip-bad")) == 20
    assert run("stats", repaired, "--csv").stdout.splitlines()[3].split(",")[5] == "0"
    encoded.write_bytes(whole[:50])
    refused(3, "repair", encoded, "-o", encoded.with_name("none.itk"))


def test_verify_names_all_damaged_segments(run: Run, refused: Refused, encoded: Path) -> None:
    run("inspect", encoded, "--verify")
    damage(encoded, 1)
    assert "segment 1 (0.133 s to 0.267 s" in refused(3, "inspect", encoded, "--verify")
    damage(encoded, 4)
    message = refused(3, "inspect", encoded, "--verify")
    assert "2 of 5 segments are damaged, segment 1 (0.133 s to 0.267 s), segment 4" in message


@pytest.mark.parametrize("command", [("inspect", "--verify"), ("export",)], ids=lambda words: words[0])
def test_a_model_that_is_none_is_refused(
    run: Run, refused: Refused, encoded: Path, model_file: Path, command: tuple[str, ...]
) -> None:
    """Although these tokens need no token coder: the file was named, so it must be what it is named as."""
    text, other = encoded.with_name("text.safetensors"), encoded.with_name("other.safetensors")
    text.write_text("no tensors")
    other.write_bytes((2).to_bytes(8, "little") + b"{}")
    word, *options = command
    assert f"{text}: is not a weights file" in refused(4, word, encoded, *options, "--model", text)
    assert f"{other}: holds no model of infotok" in refused(4, word, encoded, *options, "--model", other)
    assert "does not exist" in refused(4, word, encoded, *options, "--model", "none.safetensors")
    run(word, encoded, *options, "--model", model_file)


def test_verify_finds_what_no_checksum_does(refused: Refused, run: Run, tmp_path: Path) -> None:
    """A keep map that contradicts the count of tokens, under right checksums."""
    from infotok_cli.container.writer import ItkWriter
    from make_itk import itk_header

    path = tmp_path / "made.itk"
    with path.open("wb") as stream:
        writer = ItkWriter(stream, itk_header())
        writer.write_segment(frames=8, tokens=3, map_payload=b"\xff", token_payload=bytes(6))
        writer.finish()
    run("inspect", path)
    assert "segment 0 (0.000 s to 0.267 s, byte 114) is damaged" in refused(3, "inspect", path, "--verify")


@pytest.mark.parametrize("kind", ["npz", "npy", "jsonl", "safetensors"])
def test_export_and_import(run: Run, encoded: Path, kind: str) -> None:
    result = run("export", encoded, "--format", kind, "--json")
    report = json.loads(result.stdout)
    assert report["output"] == str(encoded.with_suffix(f".{kind}"))
    back = encoded.with_name("back.itk")
    assert "in 5 segments" in run("import", encoded.with_suffix(f".{kind}"), "-o", back).stderr
    assert back.read_bytes() == encoded.read_bytes()


def test_export_of_a_pipe_for_a_model(run: Run, encoded: Path) -> None:
    """What a training script does with it."""
    run("export", encoded)
    with np.load(encoded.with_suffix(".npz")) as arrays:
        ids, offsets = arrays["ids"], arrays["offsets"]
    sequences = np.split(ids, offsets[1:-1])
    assert [sequence[0] for sequence in sequences] == [64_000] * 5
    report = json.loads(run("inspect", encoded, "--json").stdout)
    assert sum(int((sequence < 64_000).sum()) for sequence in sequences) == report["tokens"]


@pytest.mark.parametrize(
    ("words", "code", "message"),
    [
        (("cut", "{}", "--start", "9"), 2, "no frame lies between"),
        (("cut", "{}", "--start", "nan"), 2, "give seconds"),
        (("cut", "{}.none"), 3, "does not exist"),
        (("concat", "{}"), 2, "name two or more"),
        (("concat", "{}", "{}.none"), 3, "does not exist"),
        (("repair", "{}.none"), 3, "does not exist"),
        (("export", "{}", "--format", "csv"), 2, "choose npz, npy, jsonl, safetensors"),
        (("export", "{}.none"), 3, "does not exist"),
        (("import", "{}"), 3, "is an .itk file, and no file of flat ids"),
        (("import", "{}", "--format", "csv"), 2, "choose npz, npy, jsonl, safetensors"),
        (("import", "{}", "--format", "npz"), 3, "cannot be read as npz"),
    ],
)
def test_usage(refused: Refused, encoded: Path, words: tuple[str, ...], code: int, message: str) -> None:
    target = encoded.with_name("out.itk")
    assert message in refused(code, *(word.format(encoded) for word in words), "-o", target)


@pytest.mark.parametrize("command", ["cut", "concat", "repair", "export"])
def test_input_and_existing_output_are_kept(refused: Refused, encoded: Path, command: str) -> None:
    more = (encoded,) if command == "concat" else ()
    assert "is the input itself" in refused(2, command, encoded, *more, "-o", encoded, "-y")
    other = encoded.with_name("other.npz")
    other.write_text("old")
    assert "exists already" in refused(5, command, encoded, *more, "-o", other)
