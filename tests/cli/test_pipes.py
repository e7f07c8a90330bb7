"""`-`: through real pipes, early, and with nothing on stdout but data."""

from __future__ import annotations

import json
import os
import pty
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from infotok_cli.container.reader import ItkReader
from infotok_cli.video.reader import open_video
from make_media import make_media, read_media, without_early_sound

Run = Callable[..., Any]
Piped = Callable[..., tuple[bytes, str]]
ENCODE = ["encode", "-", "-o", "-", "--segment-frames", "4"]


@pytest.fixture
def piped(warm: list[str]) -> Piped:
    """Run `infotok` on real pipes; gives its output for some input, and what it says."""

    def call(data: bytes, *words: object, code: int = 0) -> tuple[bytes, str]:
        command = [*warm, *map(str, words)]
        done = subprocess.run(command, input=data, capture_output=True, timeout=120, check=False)
        assert done.returncode == code, done.stderr.decode()
        return done.stdout, done.stderr.decode()

    return call


@pytest.mark.parametrize("name", ["film.ts", "film.mkv", "film.webm"])
def test_there_and_back_through_pipes(piped: Piped, run: Run, tmp_path: Path, name: str) -> None:
    source = make_media(tmp_path / name, sound="libopus" if name.endswith("webm") else "aac")
    given = read_media(source)
    coded, said = piped(source.read_bytes(), *ENCODE)
    assert said.startswith("standard input -> standard output")
    (tmp_path / "x.itk").write_bytes(coded)
    run("inspect", tmp_path / "x.itk", "--verify")
    shown, said = piped(coded, "decode", "-", "-o", "-")
    assert "24 frames" in said
    back = tmp_path / "back.mkv"
    back.write_bytes(shown)
    got = read_media(back)
    assert got.sound_bytes == given.sound_bytes
    assert len(got.video) == 24
    for one, other in ((got.video, given.video), ([t for t, _ in got.sound], [t for t, _ in given.sound])):
        assert [float(time) for time in one] == pytest.approx([float(time) for time in other], abs=2e-3)
    # The same tokens as from the file, where all of it is one group in both.
    run("encode", source, "-o", tmp_path / "file.itk", "--segment-frames", 4, "--rate", 1)
    again, _ = piped(source.read_bytes(), *ENCODE, "--rate", 1)
    (tmp_path / "x.itk").write_bytes(again)
    with ItkReader(tmp_path / "x.itk") as reader, ItkReader(tmp_path / "file.itk") as other_reader:
        tokens = [(segment.map_payload, segment.token_payload) for segment in reader.segments()]
        assert tokens == [(each.map_payload, each.token_payload) for each in other_reader.segments()]
        assert reader.header.has_times


def test_decoding_a_pipe_gives_what_the_file_gives(piped: Piped, run: Run, tmp_path: Path) -> None:
    source = make_media(tmp_path / "film.mp4")
    itk = tmp_path / "film.itk"
    run("encode", source, "-o", itk, "--segment-frames", 4)
    for times in ([], ["--start", "0.3"], ["--start", "0.2", "--end", "0.5"]):
        from_pipe, _ = piped(itk.read_bytes(), "decode", "-", "-o", "-", *times)
        from_file, _ = piped(b"", "decode", itk, "-o", "-", *times)
        assert from_pipe == from_file
    raw, _ = piped(itk.read_bytes(), "decode", "-", "-o", "-", "--stream-format", "y4m")
    assert raw.startswith(b"YUV4MPEG2 W48 H40 F30:1 Ip A1:1 C420mpeg2 XCOLORRANGE=LIMITED\nFRAME\n")
    assert raw.count(b"FRAME\n") == 24
    (tmp_path / "raw.y4m").write_bytes(raw)
    run("decode", itk, "-o", tmp_path / "lossless.mkv", "--codec", "ffv1")
    with open_video(tmp_path / "raw.y4m") as one, open_video(tmp_path / "lossless.mkv") as other:
        for here, there in zip(one.frames(), other.frames(), strict=True):
            # Colours are noise with this model, and 4:2:0 evens them out.
            luma = np.array([0.299, 0.587, 0.114])
            assert np.abs(here @ luma - there @ luma).mean() < 3
    # What came through a pipe has frame times, and these are those of the frame rate.
    ts = make_media(tmp_path / "film.ts", sound=None)
    coded, _ = piped(ts.read_bytes(), *ENCODE)
    raw, _ = piped(coded, "decode", "-", "-o", "-", "--stream-format", "y4m")
    assert raw.count(b"FRAME\n") == 24
    again, _ = piped(raw, "encode", "-", "-o", "-")
    (tmp_path / "again.itk").write_bytes(again)
    with ItkReader(tmp_path / "again.itk") as reader:
        assert (reader.total_frames, reader.header.has_times) == (24, False)


def test_the_report_of_a_pipe_goes_by_the_times_of_frames(piped: Piped, tmp_path: Path) -> None:
    ticks = [20 * number + 200 * (number // 12) for number in range(24)]
    source = make_media(tmp_path / "film.mkv", ticks=ticks, time_base=Fraction(1, 1000), sound=None)
    coded, _ = piped(source.read_bytes(), *ENCODE)
    for times, seconds in ([], 0.66 + 1 / 30), (["--start", "0.1", "--end", "0.5"], 0.4):
        target = tmp_path / "back.mkv"
        report, _ = piped(coded, "decode", "-", "-o", target, "-y", "--json", *times)
        assert json.loads(report)["duration_seconds"] == pytest.approx(seconds, abs=0.03)


def test_y4m_refuses_a_variable_frame_rate(piped: Piped, tmp_path: Path) -> None:
    ticks = [number * number * 20 for number in range(24)]
    source = make_media(tmp_path / "film.mkv", ticks=ticks, time_base=Fraction(1, 1000), sound=None)
    coded, _ = piped(source.read_bytes(), *ENCODE)
    _, said = piped(coded, "decode", "-", "-o", "-", "--stream-format", "y4m", code=2)
    assert "Y4M has one frame rate only" in said


class _Slow:
    """A child that is fed by hand and watched."""

    def __init__(self, command: list[str], stderr: int | None = None) -> None:
        self.process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=stderr)
        self.got = bytearray()
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def _read(self) -> None:
        assert self.process.stdout is not None
        while data := os.read(self.process.stdout.fileno(), 65536):
            self.got += data

    def feed(self, data: bytes) -> None:
        assert self.process.stdin is not None
        self.process.stdin.write(data)
        self.process.stdin.flush()

    def wait_for(self, enough: Callable[[bytes], bool]) -> bool:
        until = time.monotonic() + 60
        while time.monotonic() < until and self.process.poll() is None:
            if enough(bytes(self.got)):
                return True
            time.sleep(0.05)
        return enough(bytes(self.got))

    def finish(self) -> bytes:
        assert self.process.stdin is not None
        self.process.stdin.close()
        assert self.process.wait(60) == 0
        self._reader.join(10)
        return bytes(self.got)


def test_first_bytes_come_while_the_input_goes_on(warm: list[str], run: Run, tmp_path: Path) -> None:
    """Two thirds of twelve seconds in: segments of the first seconds are out, of both commands."""
    source = make_media(tmp_path / "film.ts", frames=360)
    data = source.read_bytes()
    encoder = _Slow([*warm, "encode", "-", "-o", "-", "--segment-frames", "8"])
    encoder.feed(data[: 2 * len(data) // 3])
    assert encoder.wait_for(lambda got: got.count(b"SEGM") >= 10)
    assert b"ITKEND" not in encoder.got
    encoder.feed(data[2 * len(data) // 3 :])
    coded = encoder.finish()
    for kind in ("mkv", "y4m"):
        decoder = _Slow([*warm, "decode", "-", "-o", "-", "--stream-format", kind])
        third = coded.find(b"SEGM", len(coded) // 3)
        decoder.feed(coded[:third])
        frame = 48 * 40 * 3 // 2
        assert decoder.wait_for(lambda got, least=frame * 8 if kind == "y4m" else 2000: len(got) > least)
        decoder.feed(coded[third:])
        decoder.finish()


@pytest.mark.parametrize("share", [1, 0.8], ids=["never", "late"])
def test_sound_that_is_declared_and_does_not_come(warm: list[str], tmp_path: Path, share: float) -> None:
    """Segments leave while the input goes on, and whoever asked for sound is told."""
    data = without_early_sound(make_media(tmp_path / "film.ts", frames=600), share).read_bytes()
    encoder = _Slow([*warm, "encode", "-", "-o", "-", "--segment-frames", "8"], stderr=subprocess.PIPE)
    encoder.feed(data[: len(data) // 2])
    assert encoder.wait_for(lambda got: got.count(b"SEGM") >= 10)
    encoder.feed(data[len(data) // 2 :])
    assert encoder.process.stderr is not None
    (tmp_path / "x.itk").write_bytes(encoder.finish())
    said = encoder.process.stderr.read().decode()
    encoder.process.stderr.close()
    assert said.startswith("infotok: warning: standard input: its sound had not begun after 5 seconds")
    assert said.count("\n") == 2
    with ItkReader(tmp_path / "x.itk") as reader:
        assert (reader.total_frames, reader.header.audio) == (600, None)


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="reads /proc")
def test_memory_does_not_grow_with_length(tmp_path: Path) -> None:
    """Ten times the length takes no more, through both pipes."""
    peaks: dict[str, list[int]] = {"encode": [], "decode": []}
    for frames in (75, 750):
        source = make_media(tmp_path / f"{frames}.ts", frames=frames, sound_seconds=frames / 30)
        data = source.read_bytes()
        for command, measured in peaks.items():
            words = [command, "-", "-o", "-", *(["--segment-frames", "8"] if command == "encode" else [])]
            script = (
                "import sys; from infotok_cli.cli.app import main; code = main(sys.argv[1:]); "
                "peak = open('/proc/self/status').read().split('VmHWM:')[1].split()[0]; "
                "print('peak', peak, file=sys.stderr); sys.exit(code)"
            )
            done = subprocess.run(
                [sys.executable, "-P", "-c", script, *words], input=data, capture_output=True, check=True
            )
            measured.append(int(done.stderr.split(b"peak ")[1]))
            data = done.stdout
    for command, (short, long) in peaks.items():
        assert long < short + 8_000, (command, peaks)  # kibibytes; 675 frames more are 15.6 MB of float32


def test_a_pipe_that_is_cut_off(piped: Piped, tmp_path: Path, encoded_bytes: bytes) -> None:
    at = encoded_bytes.rfind(b"SEGM")
    shown, said = piped(encoded_bytes[: at + 20], "decode", "-", "-o", "-", "--stream-format", "y4m", code=3)
    assert shown.count(b"FRAME\n") == 16
    assert "standard input: is truncated" in said
    assert "with 4 whole segments before" in said
    for place in (3, 60, at + 30, len(encoded_bytes) - 3):
        data = bytearray(encoded_bytes)
        data[place] ^= 1
        _, said = piped(bytes(data), "decode", "-", "-o", "-", "--stream-format", "y4m", code=3)
        assert said.count("\n") == 1
        assert "standard input: " in said
    for data in (b"", encoded_bytes + b"x", encoded_bytes[:-1], b"GIF89a"):
        piped(data, "decode", "-", "-o", "-", "--stream-format", "y4m", code=3)


def test_the_whole_steps_of_a_cut_segment_come_out_of_a_pipe(
    piped: Piped, run: Run, clip: Path, tmp_path: Path
) -> None:
    run("encode", clip, "-o", tmp_path / "x.itk", "--segment-frames", 16, "--rate", 1)
    data = (tmp_path / "x.itk").read_bytes()
    words = ["decode", "-", "-o", "-", "--stream-format", "y4m"]
    whole, _ = piped(data, *words)
    with ItkReader(tmp_path / "x.itk") as reader:
        entry = reader.index[0]
    end = entry.offset + entry.length
    shown, said = piped(data[: end - entry.counts.token_bytes // 3], *words, code=3)
    assert "standard input: is truncated" in said
    assert shown.count(b"FRAME\n") == 8
    assert whole.startswith(shown)


@pytest.mark.parametrize("codec", ["h264", "vp9", "av1"])
def test_all_whole_segments_of_a_damaged_pipe_are_shown(
    piped: Piped, tmp_path: Path, encoded_bytes: bytes, codec: str
) -> None:
    """Also by encoders that keep frames back."""
    at = encoded_bytes.rfind(b"SEGM")
    words = ["decode", "-", "-o", "-", "--codec", codec]
    shown, said = piped(encoded_bytes[: at + 20], *words, code=3)
    assert "standard input: is truncated" in said
    (tmp_path / "shown.mkv").write_bytes(shown)
    whole, _ = piped(encoded_bytes, *words)
    (tmp_path / "whole.mkv").write_bytes(whole)
    got, expected = read_media(tmp_path / "shown.mkv"), read_media(tmp_path / "whole.mkv")
    assert (len(got.video), len(expected.video)) == (16, 20)
    assert got.video == expected.video[:16]


@pytest.mark.parametrize(
    ("words", "says"),
    [
        ([*ENCODE, "--target-size", "100k"], "--target-size looks at the whole video first"),
        ([*ENCODE, "--max-tokens", "100"], "--max-tokens looks at the whole video first"),
        ([*ENCODE, "--json"], "leave out --json"),
        (["encode", "-"], "name the output with -o"),
        (["decode", "-"], "name the output with -o"),
        (["decode", "-", "-o", "-", "--skip-bad"], "save it to a file first"),
        (["decode", "-", "-o", "-", "--stream-format", "gif"], "choose mkv or y4m"),
    ],
)
def test_what_a_pipe_cannot_do(
    piped: Piped, tmp_path: Path, encoded_bytes: bytes, words: list[str], says: str
) -> None:
    _, said = piped(encoded_bytes, *words, code=2)
    assert says in said
    assert said.count("\n") == 1


def test_terminals_are_refused(encoded: Path) -> None:
    controller, terminal = pty.openpty()
    try:
        for words in (["encode", "-", "-o", "x.itk"], ["decode", str(encoded), "-o", "-"]):
            command = [sys.executable, "-P", "-m", "infotok_cli", *words]
            done = subprocess.run(
                command, stdin=terminal, stdout=terminal, stderr=subprocess.PIPE, check=False, timeout=60
            )
            assert done.returncode == 2
            assert b"terminal" in done.stderr
    finally:
        os.close(controller)
        os.close(terminal)


def test_a_reader_that_leaves(tmp_path: Path, encoded: Path) -> None:
    source = make_media(tmp_path / "film.ts", frames=240)
    for words in (["encode", str(source), "-o", "-"], ["decode", str(encoded), "-o", "-"]):
        command = [sys.executable, "-P", "-m", "infotok_cli", *words]
        process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        assert process.stdout is not None
        assert process.stderr is not None
        process.stdout.close()
        assert process.wait(60) == 141
        assert process.stderr.read() == b""
        process.stderr.close()


@pytest.mark.parametrize("flags", ["faststart", "frag_keyframe+empty_moov"])
def test_mp4_that_can_be_read_from_a_pipe(piped: Piped, tmp_path: Path, flags: str) -> None:
    source = make_media(tmp_path / "film.mp4", container_options={"movflags": flags})
    coded, _ = piped(source.read_bytes(), *ENCODE)
    (tmp_path / "x.itk").write_bytes(coded)
    with ItkReader(tmp_path / "x.itk") as reader:
        assert reader.total_frames == 24
        packets = [packet for number in range(len(reader.index)) for packet in reader.read_audio(number)]
    assert b"".join(packet.data for packet in packets) == read_media(source).sound_bytes


def test_mp4_that_cannot_be_read_from_a_pipe(piped: Piped, tmp_path: Path) -> None:
    source = make_media(tmp_path / "film.mp4", frames=120, size=(120, 160))
    _, said = piped(source.read_bytes(), *ENCODE, code=3)
    assert said.count("\n") == 1
    assert "save it to a file first" in said
