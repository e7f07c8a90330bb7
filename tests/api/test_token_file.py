"""An .itk file opened from Python: by path, bytes and stream, read, cut and saved."""

from __future__ import annotations

import io
import os
import subprocess
import sys
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import infotok_cli as infotok
from infotok_cli.container.reader import ItkReader
from infotok_cli.itk.tokens import unpack_tokens
from make_itk import Plan, itk_bytes, itk_header

TRACKS = Path(__file__).parent.parent / "golden" / "v1" / "tracks.itk"


class Pipe(io.RawIOBase):
    """Gives a few bytes at a time and does not seek."""

    def __init__(self, data: bytes) -> None:
        self._data = io.BytesIO(data)

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        found = self._data.read(min(len(buffer), 1000))
        buffer[: len(found)] = found
        return len(found)


def ways(data: bytes, path: Path) -> dict[str, Any]:
    path.write_bytes(data)
    return {
        "str": str(path),
        "path": path,
        "bytes": data,
        "bytearray": bytearray(data),
        "memoryview": memoryview(data),
        "stream": io.BytesIO(data),
        "file": path.open("rb"),
        "unbuffered": path.open("rb", buffering=0),
        "pipe": Pipe(data),
    }


WAYS = ["str", "path", "bytes", "bytearray", "memoryview", "stream", "file", "unbuffered", "pipe"]


@pytest.mark.parametrize("way", WAYS)
def test_a_file_is_the_same_from_a_path_from_bytes_and_from_a_stream(
    way: str, film_bytes: bytes, tmp_path: Path
) -> None:
    source = ways(film_bytes, tmp_path / "film.itk")[way]
    with infotok.open(source) as file:
        assert (file.header.width, file.header.height, file.total_frames) == (24, 16, 29)
        assert file.token_grid == (3, 2, 3)
        assert [segment.frames for segment in file.segments] == [8, 8, 8, 5]
        assert file.segments[3].token_grid == (3, 2, 3)
        assert file.segments[3].positions == 18
        assert (file.segments[1].start_seconds, file.segments[1].end_seconds) == (0.8, 1.6)
        assert file.times.tolist() == [n / 10 for n in range(29)]
        assert file.to_bytes() == film_bytes
        file.verify()
        for number in range(4):
            keep, ids = file.keep_map(number), file.tokens(number)
            assert (keep.dtype, keep.shape, ids.dtype) == (np.bool_, (3, 2, 3), np.uint16)
            assert len(ids) == keep.sum() == file.segments[number].tokens
        assert np.array_equal(file.tokens(-1), file.tokens(3))
        with pytest.raises(IndexError, match=r"there is no segment 4: those of .* are 0 to 3"):
            file.tokens(4)
        part = file[0.5:1.7]
        assert part.total_frames == 12
    if hasattr(source, "read"):
        assert not source.closed  # a stream stays its owner's


def test_tokens_are_those_of_the_reader(film: Path) -> None:
    with infotok.open(film) as file, ItkReader(film) as reader:
        for segment in reader.segments():
            number, expected = segment.number, unpack_tokens(reader, segment, None)
            found = (file.keep_map(number), file.motion_map(number), file.tokens(number))
            for given in (found, file.token_layer(number)):
                for one, other in zip(given, expected, strict=True):
                    assert np.array_equal(one, other)


@pytest.mark.parametrize(
    ("cut", "start", "end"),
    [
        (slice(0.5, 1.7), 0.5, 1.7),
        (slice(None, 1.0), None, 1.0),
        (slice(1, None), 1, None),
        (slice(None), None, None),
    ],
)
def test_a_slice_is_the_file_that_cut_writes(
    film: Path, tmp_path: Path, cut: slice, start: float | None, end: float | None
) -> None:
    infotok.cut(film, tmp_path / "cut.itk", start, end)
    expected = (tmp_path / "cut.itk").read_bytes()
    with infotok.open(film) as file:
        assert file[cut].to_bytes() == expected
        assert file.slice(start, end).to_bytes() == expected
    with infotok.open(io.BytesIO(film.read_bytes())) as file:
        assert file[cut].to_bytes() == expected
    stream = io.BytesIO()
    report = infotok.cut(infotok.open(film.read_bytes()), stream, start, end)
    assert stream.getvalue() == expected
    assert (report.inputs, report.size_bytes) == (("bytes",), len(expected))


def test_a_slice_hides_what_it_cuts_through_and_can_be_sliced_again(film: Path) -> None:
    with infotok.open(film) as file:
        part = file[0.5:1.7]
        assert [(s.trim_start, s.frames, s.trim_end) for s in part.segments] == [
            (5, 3, 0),
            (0, 8, 0),
            (0, 1, 7),
        ]
        assert np.array_equal(part.tokens(0), file.tokens(0))
        assert part[0.1:0.2].to_bytes() == file[0.6:0.7].to_bytes()


def test_slicing_by_anything_but_seconds_is_refused(film: Path) -> None:
    file: Any = infotok.open(film)
    with file:
        with pytest.raises(TypeError, match=r"cut by seconds, as in file\[1.0:2.5\]"):
            file[0]
        with pytest.raises(TypeError, match="without a step"):
            file[0:1:2]
        with pytest.raises(infotok.UsageError, match="no frame lies between"):
            file[5.0:6.0]


def test_frame_times_are_those_of_the_file() -> None:
    """A file with times of its own and with sound."""
    with infotok.open(TRACKS) as file:
        times = file.times
        assert file.header.has_times
        assert len(times) == file.total_frames
        assert times[0] == 0
        assert (np.diff(times) > 0).all()
        starts = np.cumsum([0, *(segment.frames for segment in file.segments)])[:-1]
        assert np.allclose(times[starts], [segment.start_seconds for segment in file.segments])
        assert "sound" in repr(file)
        assert np.allclose(file[0.1:].times + times[times >= 0.0999][0], times[times >= 0.0999])


def test_save_and_repr(film: Path, tmp_path: Path) -> None:
    with infotok.open(film) as file:
        target = tmp_path / "copy.itk"
        file.save(target)
        assert target.read_bytes() == film.read_bytes()
        with pytest.raises(infotok.OutputError, match="exists already"):
            file.save(str(target))
        file.slice(end=1).save(str(target), overwrite=True)
        assert infotok.open(target).total_frames == 10
        stream = io.BytesIO()
        file.save(stream)
        assert stream.getvalue() == film.read_bytes()
        size = len(film.read_bytes())
        tokens = sum(segment.tokens for segment in file.segments)
        assert repr(file) == (
            f"<TokenFile {film}: 24x16, 10 fps, 29 frames (2.900 s), 4 segments, {tokens} tokens "
            f"(rate {file.token_rate:.3f}), {size:,} bytes>"
        )
        assert repr(file[0:0.5]).startswith("<TokenFile: 24x16, 10 fps, 5 frames (0.500 s), 1 segment, ")


def test_a_failing_target_is_an_error_of_ours(film: Path) -> None:
    with (
        infotok.open(film) as file,
        open("/dev/full", "wb", buffering=0) as full,
        pytest.raises(infotok.OutputError, match=r"cannot be written .No space left"),
    ):
        file.save(full)


@pytest.mark.parametrize("way", ["bytes", "stream", "pipe"])
def test_what_is_wrong_with_bytes_says_where_they_come_from(
    way: str, film_bytes: bytes, tmp_path: Path
) -> None:
    broken = film_bytes[:-30]
    where = "bytes" if way == "bytes" else "stream"
    with pytest.raises(infotok.InputError) as caught:
        infotok.open(ways(broken, tmp_path / "a.itk")[way])
    assert caught.value.where == where
    with pytest.raises(infotok.InputError, match=f"{where}: is empty"):
        infotok.open(ways(b"", tmp_path / "a.itk")[way])
    with infotok.open(ways(broken, tmp_path / "a.itk")[way], recover=True) as file:
        assert file.total_frames >= 24


def test_lost_segments_say_so(tmp_path: Path) -> None:
    data = itk_bytes([Plan(8), Plan(8, lost=True), Plan(8)], itk_header())
    with infotok.open(data) as file:
        assert [segment.lost for segment in file.segments] == [False, True, False]
        with pytest.raises(infotok.InputError, match=r"segment 1 .* is lost"):
            file.tokens(1)
        assert len(file.tokens(2)) == file.segments[2].tokens


@pytest.mark.parametrize("given", [None, 3, 2.5, ["a.itk"], os.path, io.StringIO("a"), b"a".hex])
def test_anything_else_is_a_type_error_that_lists_what_is_taken(given: Any, film: Path) -> None:
    taken = "must be a str, an os.PathLike of str, bytes or a binary stream to read, not "
    with pytest.raises(TypeError, match=f"source {taken}"):
        infotok.open(given)
    with pytest.raises(TypeError, match=f"source {taken}"):
        infotok.cut(given, "x.itk")
    with pytest.raises(TypeError, match=rf"sources\[1\] {taken}"):
        infotok.concat([film, given], "x.itk")
    with pytest.raises(TypeError, match="target must be a str, an os"):
        infotok.cut(film, given)


def test_a_stream_of_text_is_named(film: Path) -> None:
    with film.open(encoding="latin-1") as text, pytest.raises(TypeError, match="a stream of text"):
        infotok.open(text)  # type: ignore[arg-type]


def test_parts_are_joined_and_exported(film: Path, tmp_path: Path) -> None:
    with infotok.open(film) as file:
        parts = [file[:1.0], file[1.0:2.0].to_bytes(), io.BytesIO(file[2.0:].to_bytes())]
        stream = io.BytesIO()
        assert infotok.concat(parts, stream).frames == 29
        assert stream.getvalue() == film.read_bytes()
        infotok.concat((file[at : at + 1] for at in range(3)), tmp_path / "seconds.itk")
        assert (tmp_path / "seconds.itk").read_bytes() == film.read_bytes()
        report = infotok.export(file[:1.0], tmp_path / "ids.npz")
        assert (report.segments, report.format) == (2, "npz")
        infotok.import_(tmp_path / "ids.npz", tmp_path / "again.itk")
        assert (tmp_path / "again.itk").read_bytes() == file[:1.0].to_bytes()
    with pytest.raises(infotok.UsageError, match="sources is empty"):
        infotok.concat([], tmp_path / "x.itk")
    with pytest.raises(TypeError, match="sources must be several files"):
        infotok.concat(str(film), tmp_path / "x.itk")


def test_repair_from_bytes(film_bytes: bytes) -> None:
    stream = io.BytesIO()
    report = infotok.repair(film_bytes[:-30], stream)
    assert report.notes
    assert infotok.open(stream).total_frames == report.frames >= 24


NO_TORCH = """
import sys
sys.modules["torch"] = sys.modules["av"] = None  # any import of them now fails
import infotok_cli as infotok
file = infotok.open(sys.argv[1])
print(sum(len(file.tokens(n)) for n in range(len(file.segments))), file[0.5:1.0], file.times[-1])
infotok.concat([file[:1.0], file[1.0:]], sys.argv[1] + ".joined")
"""


def test_token_files_need_no_torch(film: Path) -> None:
    command = [sys.executable, "-P", "-c", NO_TORCH, film]
    result = subprocess.run(command, capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stderr
    assert film.with_name("film.itk.joined").read_bytes() == film.read_bytes()


def test_coded_tokens_are_found_by_the_model_that_is_named(tmp_path: Path) -> None:
    """A file whose ids are coded needs the net in its weights."""
    from tiny_model import write_tiny_model

    weights = tmp_path / "coded.safetensors"
    write_tiny_model(weights, coded=True)
    model = infotok.load(weights, "cpu")
    frames = np.random.default_rng(0).integers(0, 256, (8, 16, 24, 3), np.uint8)
    made = model.encode_frames(frames, fps=Fraction(24))
    assert made.header.token_coding == 1
    ids = made.tokens(0)
    assert len(ids) == made.keep_map(0).sum()
    data = made.to_bytes()
    with pytest.raises(infotok.ModelError, match="which is not here: give its file with model"):
        infotok.open(data).tokens(0)
    assert np.array_equal(infotok.open(data, model=weights).tokens(0), ids)
    assert np.array_equal(infotok.open(data, model=weights)[0:0.2].tokens(0), ids)
