"""Frames to tokens and back in arrays: the same files and pixels as by way of video files."""

from __future__ import annotations

import errno
import io
import math
import os
import threading
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
import torch
from av.video.frame import VideoFrame
from numpy.typing import NDArray

import infotok_cli as infotok
from infotok_cli.codec import groups
from make_media import make_media
from make_video import moving_shapes

Frames = NDArray[np.uint8]

RATE = Fraction(24)


def lossless(path: Path, frames: Frames, rate: Fraction = RATE, **tags: str) -> Path:
    """A file of exactly these frames."""
    _, height, width, _ = frames.shape
    with av.open(str(path), mode="w") as container:
        container.metadata.update(tags)
        kind, pixels = ("ffv1", "bgr0") if path.suffix == ".mkv" else ("rawvideo", "bgr24")
        stream: Any = container.add_stream(kind, rate=rate)
        stream.width, stream.height, stream.pix_fmt = width, height, pixels
        for picture in frames:
            container.mux(
                stream.encode(VideoFrame.from_ndarray(picture, format="rgb24").reformat(format=pixels))
            )
        container.mux(stream.encode(None))
    return path


@pytest.fixture(scope="module")
def frames() -> Frames:
    return moving_shapes(50, 40, 48)


@pytest.fixture(scope="module")
def film(frames: Frames, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return lossless(tmp_path_factory.mktemp("film") / "film.avi", frames)


def by_file(model: infotok.Model, film: Path, **options: Any) -> bytes:
    """The .itk file that encoding the video file gives."""
    stream = io.BytesIO()
    target = film.with_suffix(".itk")
    infotok.encode(film, target, model, infotok.EncodeOptions(**options), overwrite=True)
    stream.write(target.read_bytes())
    return stream.getvalue()


OPTIONS: list[dict[str, Any]] = [
    {},
    {"rate": 0.25},
    {"rate": 1},
    {"short_side": 24},
    {"short_side": 64},
    {"segment_frames": 8, "allocation": "position"},
    {"start_seconds": 0.5, "end_seconds": 1.5},
    {"end_seconds": 1.01},
    {"budget": infotok.Budget("target-size", 2500)},
    {"budget": infotok.Budget("bitrate", 20_000)},
    {"refine": 1, "segment_frames": 16},
]


@pytest.mark.parametrize("options", OPTIONS, ids=str)
def test_an_array_gives_the_file_that_its_lossless_video_gives(
    model: infotok.Model, frames: Frames, film: Path, options: dict[str, Any]
) -> None:
    made = model.encode_frames(frames, fps=RATE, **options)
    assert made.to_bytes() == by_file(model, film, **options)


def test_a_container_with_a_clock_differs_in_the_unit_of_its_clock_only(
    model: infotok.Model, frames: Frames, tmp_path: Path
) -> None:
    """Matroska counts milliseconds, which the header tells."""
    path = lossless(tmp_path / "film.mkv", frames[:20])
    with infotok.open(by_file(model, path)) as file, model.encode_frames(frames[:20], fps=RATE) as made:
        assert (file.header.time_base, made.header.time_base) == (Fraction(1, 1000), 1 / RATE)
        assert made.header.pack() != file.header.pack()
        assert made.segments == file.segments
        assert np.array_equal(made.tokens(0), file.tokens(0))
        assert np.array_equal(made.keep_map(0), file.keep_map(0))


def one_by_one(frames: Frames) -> Iterator[Frames]:
    """The same memory for every frame, as many readers have it."""
    memory = np.empty_like(frames[0])
    for frame in frames:
        memory[:] = frame
        yield memory
    memory[:] = 0


@pytest.mark.parametrize(
    "kind", ["tensor", "iterator", "list", "parts", "tensors", "not contiguous", "generator of tensors"]
)
def test_frames_may_come_in_any_wrapping(model: infotok.Model, frames: Frames, film: Path, kind: str) -> None:
    given: dict[str, Any] = {
        "tensor": torch.from_numpy(frames),
        "iterator": one_by_one(frames),
        "list": list(frames),
        "parts": [frames[:7], frames[7], frames[8:]],
        "tensors": [torch.from_numpy(frame) for frame in frames],
        "not contiguous": frames[:, :, ::-1][:, :, ::-1],
        "generator of tensors": (torch.from_numpy(frames[at : at + 9]) for at in range(0, 50, 9)),
    }
    made = model.encode_frames(given[kind], fps=24)
    assert made.to_bytes() == by_file(model, film)


@pytest.mark.parametrize(
    ("fps", "expected"),
    [
        (30, Fraction(30)),
        (29.97, Fraction(2997, 100)),
        (30000 / 1001, Fraction(30000, 1001)),
        (0.5, Fraction(1, 2)),
    ],
)
def test_fps(model: infotok.Model, frames: Frames, fps: float, expected: Fraction) -> None:
    assert model.encode_frames(frames[:4], fps=fps).header.frame_rate == expected


@pytest.mark.parametrize("fps", [0, -1, 1001, float("nan"), float("inf"), 1e-5])
def test_fps_out_of_range(model: infotok.Model, frames: Frames, fps: float) -> None:
    with pytest.raises(infotok.UsageError, match=r"fps .* is out of range: choose 1/3600 to 1000"):
        model.encode_frames(frames[:4], fps=fps)


def test_an_iterator_is_read_as_it_is_encoded(
    model: infotok.Model, frames: Frames, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Frames are let go of: of many, a few groups are alive at once."""
    monkeypatch.setattr(groups, "GROUP_POSITIONS", 1)
    alive, most = 0, 0
    lock = threading.Lock()

    class Watched(np.ndarray):  # type: ignore[type-arg]
        def __del__(self) -> None:
            nonlocal alive
            with lock:
                alive -= 1

    def many() -> Iterator[Frames]:
        nonlocal alive, most
        for number in range(300):
            watched = frames[number % 50].copy().view(Watched)
            with lock:
                alive += 1
                most = max(most, alive)
            yield watched

    made = model.encode_frames(many(), segment_frames=4)
    assert made.total_frames == 300
    assert most < 10


BAD: list[tuple[Any, type[Exception], str]] = [
    (np.zeros((4, 16, 16, 3), np.float32), infotok.InputError, "holds float32 .*: give uint8, 0 to 255"),
    (np.zeros((4, 3, 16, 16), np.uint8), infotok.InputError, "holds uint8 .*: put the channels last"),
    (np.zeros((16, 16, 3), np.uint8), infotok.InputError, "is one frame .16, 16, 3.: give .T, H, W, 3."),
    (np.zeros((4, 16, 16), np.uint8), infotok.InputError, "holds uint8 .1, 16, 16.: give uint8 .T, H, W, 3."),
    (np.array(5, np.uint8), infotok.InputError, "holds uint8 ..: give uint8 .T, H, W, 3."),
    (np.zeros((4, 0, 16, 3), np.uint8), infotok.InputError, "holds uint8"),
    (np.zeros((0, 16, 16, 3), np.uint8), infotok.InputError, "video is empty: give at least one frame"),
    ([], infotok.InputError, "video is empty"),
    (iter([]), infotok.InputError, "video is empty"),
    (
        [np.zeros((16, 16, 3), np.uint8), np.zeros((8, 16, 3), np.uint8)],
        infotok.InputError,
        "16x8 pixels after 16x16",
    ),
    (torch.zeros((4, 16, 16, 3)), infotok.InputError, "holds float32"),
    (np.zeros((1, 16, 20000, 3), np.uint8), infotok.InputError, "width 20000"),
    ("clip.mp4", TypeError, "video must be a uint8 numpy array or torch tensor .T, H, W, 3., .* not str"),
    (None, TypeError, "not NoneType"),
    ([1, 2], TypeError, "not int"),
]


@pytest.mark.parametrize(("given", "kind", "text"), BAD, ids=[text[:30] for _, _, text in BAD])
def test_what_is_no_run_of_frames(model: infotok.Model, given: Any, kind: type[Exception], text: str) -> None:
    with pytest.raises(kind, match=text):
        model.encode_frames(given)


def test_what_an_iterator_raises_is_raised(model: infotok.Model, frames: Frames) -> None:
    def failing() -> Iterator[Frames]:
        yield from frames[:20]
        raise ZeroDivisionError("mine")

    with pytest.raises(ZeroDivisionError, match="mine"):
        model.encode_frames(failing())


def test_options_out_of_range_and_budgets_that_need_two_passes(model: infotok.Model, frames: Frames) -> None:
    with pytest.raises(infotok.UsageError, match="rate 2 is out of range"):
        model.encode_frames(frames, rate=2)
    budget = infotok.Budget("target-size", 2500)
    with pytest.raises(
        infotok.UsageError, match="an iterator can be read only once: give an array or a list"
    ):
        model.encode_frames(iter(frames), budget=budget)
    with pytest.raises(
        infotok.UsageError, match=r"frames: no frame is shown from 3 s to the end: .* 1.66667 s"
    ):
        model.encode_frames(frames, start_seconds=3)
    with pytest.raises(infotok.UsageError, match="needs weights trained with masking elastic"):
        model.encode_frames(frames, router="elastic")


def pictures(folder: Path) -> Frames:
    found = []
    for path in sorted(folder.iterdir()):
        with av.open(str(path)) as container:
            found.append(next(container.decode(video=0)).to_ndarray(format="rgb24"))
    return np.stack(found)


@pytest.mark.parametrize(("start", "end"), [(None, None), (0.3, 1.2), (1.0, None)])
def test_decoded_frames_are_those_of_a_decode_to_pictures(
    model: infotok.Model, frames: Frames, tmp_path: Path, start: float | None, end: float | None
) -> None:
    made = model.encode_frames(frames, fps=RATE, segment_frames=16)
    infotok.decode(made, tmp_path / "pictures", model, start, end)
    expected = pictures(tmp_path / "pictures")
    whole = model.decode(made, start, end)
    assert (whole.dtype, whole.shape) == (np.uint8, expected.shape)
    assert np.array_equal(whole, expected)
    parts = list(model.decode_frames(made.to_bytes(), start, end))
    assert all(1 <= len(part) <= 16 for part in parts)
    assert np.array_equal(np.concatenate(parts), expected)
    assert np.array_equal(model.decode(made[start:end]), expected)


def test_decode_takes_what_open_takes(model: infotok.Model, frames: Frames, tmp_path: Path) -> None:
    made = model.encode_frames(frames[:20], fps=RATE)
    expected = model.decode(made)
    path = tmp_path / "a.itk"
    made.save(path)
    for given in (path, str(path), made.to_bytes(), io.BytesIO(made.to_bytes())):
        assert np.array_equal(model.decode(given), expected)
    with infotok.open(path) as file:
        pass
    assert np.array_equal(model.decode(file), expected)  # opened again for a while
    with path.open("rb") as stream:
        infotok.decode(stream, tmp_path / "stream", model)
    infotok.decode(made.to_bytes(), tmp_path / "bytes", model)
    infotok.decode(file, tmp_path / "file", model)
    for name in ("stream", "bytes", "file"):
        assert np.array_equal(pictures(tmp_path / name), expected)
    anything: Any = 3
    with pytest.raises(TypeError, match=r"file must be a str, .*, not int"):
        model.decode(anything)
    with pytest.raises(TypeError, match=r"source must be a str, .*, not int"):
        infotok.decode(anything, path, model)


def test_errors_of_a_decode_come_before_the_first_frame(
    model: infotok.Model, frames: Frames, film_bytes: bytes
) -> None:
    with pytest.raises(infotok.ModelError, match="bytes: was made with model made"):
        model.decode_frames(film_bytes)
    made = model.encode_frames(frames[:20], fps=RATE)
    with pytest.raises(infotok.UsageError, match="no frame lies between"):
        model.decode_frames(made, start=7)


def test_a_file_can_be_read_while_it_is_decoded(model: infotok.Model, frames: Frames) -> None:
    made = model.encode_frames(frames, fps=RATE, segment_frames=4)
    keeps = [made.keep_map(number) for number in range(len(made.segments))]
    for _ in model.decode_frames(made):
        for number, keep in enumerate(keeps):
            assert np.array_equal(made.keep_map(number), keep)
            assert made[0:0.1].total_frames == 3


def test_leaving_a_decode_early_closes_the_file(model: infotok.Model, frames: Frames, tmp_path: Path) -> None:
    model.encode_frames(frames, fps=RATE, segment_frames=4).save(tmp_path / "a.itk")
    before = len(os.listdir("/proc/self/fd"))
    parts = model.decode_frames(tmp_path / "a.itk")
    next(parts)
    assert len(os.listdir("/proc/self/fd")) == before + 1
    del parts
    assert len(os.listdir("/proc/self/fd")) == before


def test_a_closed_file_stays_open_until_its_last_decode_ends(
    model: infotok.Model, frames: Frames, tmp_path: Path
) -> None:
    model.encode_frames(frames, fps=RATE, segment_frames=4).save(tmp_path / "a.itk")
    before = len(os.listdir("/proc/self/fd"))
    with infotok.open(tmp_path / "a.itk") as file:
        pass
    first, second = model.decode_frames(file), model.decode_frames(file)
    next(second)
    shown = np.concatenate(list(first))
    assert sum(map(len, second)) == len(shown) - 4
    assert len(os.listdir("/proc/self/fd")) == before


@pytest.mark.parametrize("seconds", [math.inf, math.nan])
def test_times_that_are_no_times(model: infotok.Model, frames: Frames, seconds: float) -> None:
    made = model.encode_frames(frames, fps=RATE)
    with pytest.raises(infotok.UsageError, match=f"time is {seconds}: give a number of seconds"):
        model.decode_frames(made, end=seconds)


def test_warnings_name_the_bytes_and_not_the_file_they_were_in(
    model: infotok.Model, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = lossless(tmp_path / "film.mkv", moving_shapes(8, 16, 24), artist="somebody")
    report = infotok.encode(source.read_bytes(), tmp_path / "a.itk", model)
    assert [warning.where for warning in report.warnings] == ["bytes"]

    def no_room(*_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(Path, "write_bytes", no_room)
    with pytest.raises(infotok.OutputError, match=r"^bytes: cannot be copied to a temporary file"):
        infotok.encode(b"anything", tmp_path / "b.itk", model)


@pytest.mark.parametrize("name", ["film.mkv", "film.mp4"])
def test_bytes_of_a_video_give_the_file_of_its_path(model: infotok.Model, tmp_path: Path, name: str) -> None:
    """Sound is kept, as on the command line; MP4 is read though its index is at its end."""
    source = make_media(tmp_path / name)
    report = infotok.encode(source, str(tmp_path / "a.itk"), model)
    assert report.audio_codec is not None
    report = infotok.encode(source.read_bytes(), tmp_path / "b.itk", model)
    assert report.input == "bytes"
    assert (tmp_path / "a.itk").read_bytes() == (tmp_path / "b.itk").read_bytes()
    anything: Any = 3
    with pytest.raises(TypeError, match=r"source must be a str, .*, not int"):
        infotok.encode(anything, tmp_path / "c.itk", model)
    with pytest.raises(TypeError, match=r"target must be a str, .*, not int"):
        infotok.encode(source, anything, model)
    with pytest.raises(TypeError, match="model must be a Model, as load gives it, not int"):
        infotok.encode(source, tmp_path / "c.itk", anything)
    with pytest.raises(infotok.InputError, match=r"^bytes: is not a video"):
        infotok.encode(b"no video", tmp_path / "c.itk", model)
    with pytest.raises(TypeError, match=r"name_or_path must be a str or an os.PathLike of str, not int"):
        infotok.load(anything)
    with pytest.raises(TypeError, match="fps must be a number of frames per second, not str"):
        model.encode_frames(np.zeros((4, 8, 8, 3), np.uint8), fps="30")  # type: ignore[arg-type]


def test_a_rate_that_cannot_be_had_is_a_warning(model: infotok.Model, tmp_path: Path) -> None:
    """What the report of a file would list."""
    frames = moving_shapes(16, 8, 8)
    film = lossless(tmp_path / "film.avi", frames)
    report = infotok.encode(film, tmp_path / "a.itk", model, infotok.EncodeOptions(rate=0.25))
    (warning,) = report.warnings
    with pytest.warns(UserWarning, match="rate 0.25 was asked for, 0.6 is the least") as caught:
        model.encode_frames(frames, 0.25, RATE)
    assert [str(one.message) for one in caught] == [str(warning)]


def test_frames_to_stop_after(model: infotok.Model, frames: Frames, film: Path, tmp_path: Path) -> None:
    made = model.encode_frames(iter(frames), fps=RATE, frames=13)
    assert made.to_bytes() == by_file(model, film, frames=13)
    whole = model.decode(made)
    assert len(whole) == 13
    assert np.array_equal(model.decode(made, start=0.125, frames=4), whole[3:7])
    assert np.array_equal(np.concatenate([*model.decode_frames(made, frames=99)]), whole)
    assert infotok.decode(made, tmp_path / "short.mkv", model, frames=2, codec="ffv1").frames == 2
    for wrong in (0, -1):
        with pytest.raises(infotok.UsageError, match=r"frames -?[01] is out of range"):
            model.decode(made, frames=wrong)
        with pytest.raises(infotok.UsageError, match=r"frames -?[01] is out of range"):
            model.encode_frames(frames, frames=wrong)
