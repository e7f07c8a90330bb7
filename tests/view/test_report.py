"""The page of a report: its numbers, that it is whole and safe, and what is refused."""

from __future__ import annotations

import base64
import dataclasses
import hashlib
import json
import re
import subprocess
import sys
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest

from infotok_cli.cli.app import main
from infotok_cli.codec.encode import encode_file
from infotok_cli.codec.options import EncodeOptions
from infotok_cli.container.reader import ItkReader
from infotok_cli.evaluate.clips import clip_sha256
from infotok_cli.evaluate.results import SCHEMA, SCHEMA_VERSION, ClipResult
from infotok_cli.itk.edit import repair_file
from infotok_cli.itk.report import report_stats
from infotok_cli.metrics import psnr
from infotok_cli.video.reader import open_video
from infotok_cli.view import report_page
from infotok_cli.view.report_data import clip_values, file_values, read_facts
from infotok_cli.view.report_page import Page, publish
from infotok_cli.view.scene import where_tokens_are
from made_clip import MadeClip, broken, made_clip, tiny_itk
from made_rows import anchor_row, our_row
from make_itk import Plan
from make_video import make_video, moving_shapes

Run = Callable[..., tuple[int, str, str]]


@pytest.fixture(scope="module")
def clip(tmp_path_factory: pytest.TempPathFactory) -> MadeClip:
    return made_clip(tmp_path_factory.mktemp("report"))


@pytest.fixture
def run(clip: MadeClip, capsys: pytest.CaptureFixture[str]) -> Run:
    def call(*arguments: object) -> tuple[int, str, str]:
        words = [*arguments, *([] if "--model" in arguments else ["--model", clip.model])]
        code = main(["report", *map(str, words)])
        return code, *capsys.readouterr()

    return call


def elements(page: Path) -> dict[str, str]:
    """What the script elements with an id hold."""
    text = page.read_text("utf-8")
    return dict(re.findall(r'<script type="[\w/]+" id="([\w-]+)"[^>]*>([^<]*)</script>', text))


def data_of(page: Path) -> dict[str, Any]:
    values: dict[str, Any] = json.loads(elements(page)["data"])
    return values


def eval_file(path: Path, rows: list[ClipResult]) -> Path:
    clips = [dataclasses.asdict(row) for row in rows]
    path.write_text(json.dumps({"schema": SCHEMA, "version": SCHEMA_VERSION, "clips": clips}))
    return path


def test_the_page_tells_what_stats_and_inspect_tell(clip: MadeClip, tmp_path: Path, run: Run) -> None:
    page = tmp_path / "page.html"
    code, out, said = run(clip.low, clip.high, "--source", clip.source, "-o", page, "--json")
    assert code == 0, said
    facts = json.loads(out)
    assert "\n" not in out.strip()
    assert facts["size_bytes"] == page.stat().st_size
    assert facts["page_bytes"] < facts["size_bytes"]
    assert facts["videos_folder"] is None
    values = data_of(page)
    assert (values["width"], values["height"], values["frames"], values["seconds"]) == (96, 64, 40, 2.0)
    for path, told, mean in zip((clip.low, clip.high), values["files"], facts["psnr_db"], strict=True):
        stats = report_stats(path)
        assert sum(count for _, count in told["bytes"]) == path.stat().st_size
        assert dict(told["bytes"])["tokens"] == stats.file.bytes.tokens
        assert [row[4] for row in told["segments"]] == [row.tokens for row in stats.segments]
        assert [row[8] for row in told["segments"]] == [row.token_bytes for row in stats.segments]
        assert told["bpp"] == stats.file.bpp
        assert f"{stats.file.tokens:,} tokens" in told["headline"]
        assert told["psnr"] == mean == pytest.approx(np.mean(told["psnrs"]), abs=0.06)


def test_psnr_is_that_of_a_decode(clip: MadeClip, tmp_path: Path, run: Run) -> None:
    page = tmp_path / "page.html"
    assert run(clip.low, "--source", clip.source, "-o", page)[0] == 0
    decoded = tmp_path / "a.mkv"
    words = ["decode", clip.low, "-o", decoded, "--codec", "ffv1", "--model", clip.model]
    assert main([str(word) for word in words]) == 0
    pictures = []
    for path in (clip.source, decoded):
        with open_video(path) as video:
            pictures.append(np.stack(list(video.frames())))
    assert data_of(page)["files"][0]["psnrs"] == pytest.approx(psnr(*pictures).tolist(), abs=0.1)


def test_heat_comes_back_as_it_is_in_the_file(clip: MadeClip, tmp_path: Path, run: Run) -> None:
    page = tmp_path / "page.html"
    assert run(clip.high, "-o", page)[0] == 0
    planes = data_of(page)["files"][0]["planes"]
    packed = np.frombuffer(zlib.decompress(base64.b64decode(planes["shares"])), np.uint8)
    pairs = np.stack([packed >> 4, packed & 15], axis=-1).ravel()
    count = len(planes["frames"])
    got = pairs[: count * planes["rows"] * planes["columns"]].reshape(
        count, planes["rows"], planes["columns"]
    )
    with ItkReader(clip.high) as reader:
        where = where_tokens_are(reader)
    assert sum(planes["frames"]) == 40
    assert planes["lost"] == []
    plane_of_frame = np.repeat(np.arange(count), planes["frames"])
    for frame in range(40):
        expected = where.shares[where.step_of_frame[frame]]
        assert (got[plane_of_frame[frame]] / 8 == expected).all()


def test_videos_are_what_browsers_play(tmp_path: Path, run: Run, clip: MadeClip) -> None:
    odd = made_clip(tmp_path, width=45, height=33)
    page = tmp_path / "page.html"
    code, _, said = run(odd.low, "--source", odd.source, "-o", page, "--model", odd.model)
    assert code == 0, said
    held = elements(page)
    for name in ("video-1", "video-source"):
        (tmp_path / "a.mp4").write_bytes(base64.b64decode(held[name]))
        with av.open(str(tmp_path / "a.mp4")) as video:
            stream = video.streams.video[0]
            assert stream.codec_context.name == "h264"
            assert stream.codec_context.pix_fmt == "yuv420p"
            assert (stream.width, stream.height) == (46, 34)
            assert [float(frame.time or 0) for frame in video.decode(video=0)] == pytest.approx(
                np.arange(40) / 20, abs=1e-3
            )


def test_frames_keep_their_own_times(clip: MadeClip, tmp_path: Path, run: Run) -> None:
    ticks = [0, 1, 2, 5, 6, 12, 13, 14, 15, 20, 30, 31]
    make_video(tmp_path / "vfr.mp4", moving_shapes(12, 32, 48), rate=20, ticks=ticks)
    encode_file(
        tmp_path / "vfr.mp4", tmp_path / "vfr.itk", clip.engine(), EncodeOptions(rate=0.5, segment_frames=8)
    )
    page = tmp_path / "page.html"
    assert run(tmp_path / "vfr.itk", "--source", tmp_path / "vfr.mp4", "-o", page)[0] == 0
    assert data_of(page)["starts"] == pytest.approx([tick / 20 for tick in ticks])
    (tmp_path / "a.mp4").write_bytes(base64.b64decode(elements(page)["video-1"]))
    with av.open(str(tmp_path / "a.mp4")) as video:
        times = [float(frame.time or 0) for frame in video.decode(video=0)]
    assert times == pytest.approx([tick / 20 for tick in ticks], abs=1e-3)


def test_lost_segments_are_named_and_marked(clip: MadeClip, tmp_path: Path, run: Run) -> None:
    path, bent = tmp_path / "mended.itk", tmp_path / "bent.itk"
    bent.write_bytes(broken(clip.high.read_bytes(), 2))
    repair_file(bent, path)
    code, _, said = run(path, "-o", tmp_path / "page.html")
    assert code == 0, said
    assert "segment 2 (0.800 s to 1.200 s) is lost" in said
    told = data_of(tmp_path / "page.html")["files"][0]
    assert told["lost"] == [[0.8, 1.2]]
    frames, (lost,) = np.cumsum([0, *told["planes"]["frames"]]), told["planes"]["lost"]
    assert frames[lost : lost + 2].tolist() == [16, 24]


def test_the_page_without_videos_is_small(clip: MadeClip, tmp_path: Path) -> None:
    """Ten seconds of 456x256 whose keep maps are noise, which no deflate makes smaller."""
    path = tmp_path / "long.itk"
    path.write_bytes(tiny_itk(clip.model, [Plan(8, rate=rate) for rate in (0.3, 0.5, 0.7) * 12], 456, 256))
    with ItkReader(path) as reader:
        frames = reader.total_frames
        assert frames == 288
        facts = read_facts(path, reader)
        values = file_values(facts, [27.125] * frames)
        data = clip_values(reader, 0) | {"files": [values], "source": None, "curves": None}
    page = Page(title="a", headline="b", note="c", data=data, videos={}, posters={})
    published = publish(page, tmp_path / "page.html", overwrite=False)
    assert published.page_bytes == published.size_bytes == (tmp_path / "page.html").stat().st_size
    assert 20_000 < published.page_bytes < 70_000


@pytest.mark.parametrize(
    "name", ["<img src=x onerror=alert(1)>.itk", "a\"'&amp;<!--<script>.itk", "{{script}}\n.itk"]
)
def test_names_are_harmless(clip: MadeClip, tmp_path: Path, run: Run, name: str) -> None:
    path = tmp_path / name
    path.write_bytes(clip.low.read_bytes())
    source = tmp_path / f"{name}.mkv"
    source.write_bytes(clip.source.read_bytes())
    results = eval_file(tmp_path / "<script>.json", [our_row("<script>alert(1)</script>", 0.5, 0.1, 30.0)])
    page = tmp_path / "page.html"
    code, _, said = run(path, "--source", source, "--results", results, "-o", page)
    assert code == 0, said
    text = page.read_text("utf-8")
    # The page's own elements and no other: data, two posters, two videos and the script.
    assert len(re.findall(r"<script", text)) == 6
    assert len(re.findall(r"<img", text)) == 0
    shown = name if name.isprintable() else repr(name)
    assert data_of(page)["files"][0]["name"] == shown
    assert text.count("<!--") == 0


def test_the_policy_names_the_script_and_forbids_the_network(
    clip: MadeClip, tmp_path: Path, run: Run
) -> None:
    page = tmp_path / "page.html"
    assert run(clip.low, "-o", page)[0] == 0
    text = page.read_text("utf-8")
    found = re.search(r'Content-Security-Policy" content="([^"]*)"', text)
    assert found is not None
    rules = dict(rule.split(" ", 1) for rule in found[1].replace("&#x27;", "'").split("; "))
    assert rules["default-src"] == "'none'"
    assert not any("http" in rule or "*" in rule or "unsafe" in rule for rule in rules.values())
    for kind, mark in (("script", "<script>"), ("style", "<style>")):
        inner = text.split(mark)[1].split(f"</{kind}>")[0]
        digest = base64.b64encode(hashlib.sha256(inner.encode()).digest()).decode()
        assert rules[f"{kind}-src"] == f"'sha256-{digest}'"
    # The name of SVG's elements is the only address in it.
    assert set(re.findall(r"https?://[^\"'` ]+", text)) == {"http://www.w3.org/2000/svg"}


def test_curves_of_the_clip_come_before_means_over_clips(clip: MadeClip, tmp_path: Path, run: Run) -> None:
    others = [our_row(name, rate, rate / 4, 25 + 10 * rate) for name in "ab" for rate in (0.25, 0.5)]
    others += [anchor_row(name, crf, 3 / crf, 50 - crf / 2) for name in "ab" for crf in (20, 30)]
    page = tmp_path / "page.html"
    mean = eval_file(tmp_path / "mean.json", others)
    assert run(clip.low, "--source", clip.source, "--results", mean, "-o", page)[0] == 0
    curves = data_of(page)["curves"]
    assert "means over 2 clips of mean.json" in curves["about"]
    assert {line["name"]: line["ours"] for line in curves["lines"]} == {"small fast": True, "x264": False}
    assert len(curves["lines"][0]["points"]) == 2
    same = [dataclasses.replace(others[0], clip_sha256=clip_sha256(clip.source), psnr_db=20.0)]
    own = eval_file(tmp_path / "own.json", others + same)
    assert run(clip.low, "--source", clip.source, "--results", own, "-o", page, "-y")[0] == 0
    curves = data_of(page)["curves"]
    assert curves["about"] == "Curves of this very clip."
    assert [line["points"] for line in curves["lines"]] == [[[0.25 / 4, 20.0]]]


def test_large_videos_lie_beside_the_page(
    clip: MadeClip, tmp_path: Path, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    page, folder = tmp_path / "a page.html", tmp_path / "a page_files"
    monkeypatch.setattr(report_page, "EMBED_LIMIT_BYTES", 1000)
    code, _, said = run(clip.low, "--source", clip.source, "-o", page)
    assert code == 0, said
    assert str(folder) in said
    places = re.findall(r'data-src="([^"]*)"', page.read_text("utf-8"))
    names = sorted(path.name for path in folder.iterdir())
    assert sorted(places) == [f"a%20page_files/{name}" for name in names]
    assert len(names) == 2
    assert page.stat().st_size < 200_000
    # Another report takes its place: its own videos go, those of others stay.
    (folder / "holiday.mp4").write_bytes(b"mine")
    assert run(clip.high, "-o", page)[0] == 5
    assert run(clip.high, "-o", page, "-y")[0] == 0
    left = {path.name for path in folder.iterdir()}
    assert "holiday.mp4" in left
    assert len(left) == 2
    assert not left & set(names)
    monkeypatch.undo()
    assert run(clip.high, "-o", page, "-y")[0] == 0
    assert [path.name for path in folder.iterdir()] == ["holiday.mp4"]


def test_nothing_is_left_where_the_page_cannot_be_finished(
    clip: MadeClip, tmp_path: Path, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(report_page, "EMBED_LIMIT_BYTES", 1000)

    def fails(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(report_page, "_video", fails)
    assert run(clip.low, "-o", tmp_path / "page.html")[0] == 130
    assert not list(tmp_path.iterdir())


def test_the_default_name_is_beside_the_file_and_never_overwritten(
    clip: MadeClip, tmp_path: Path, run: Run
) -> None:
    (tmp_path / "clip.itk").write_bytes(clip.low.read_bytes())
    assert run(tmp_path / "clip.itk")[0] == 0
    before = (tmp_path / "clip.report.html").read_bytes()
    code, _, said = run(tmp_path / "clip.itk")
    assert code == 5
    assert "clip.report.html" in said
    assert (tmp_path / "clip.report.html").read_bytes() == before
    (tmp_path / "b_files").mkdir()
    code, _, said = run(tmp_path / "clip.itk", "-o", tmp_path / "b.html")
    assert code == 5
    assert "b_files: exists already" in said


def test_what_cannot_be_shown_is_refused(clip: MadeClip, tmp_path: Path, run: Run) -> None:
    make_video(tmp_path / "short.mkv", moving_shapes(5, 64, 96))
    make_video(tmp_path / "wide.mkv", moving_shapes(40, 64, 128))
    (tmp_path / "other.itk").write_bytes(tiny_itk(clip.model, [Plan(8)]))
    (tmp_path / "damaged.itk").write_bytes(clip.low.read_bytes()[:-50])
    (tmp_path / "bent.itk").write_bytes(broken(clip.high.read_bytes(), 2))
    (tmp_path / "no.json").write_text("{}")
    html = tmp_path / "tokens.html"
    html.write_bytes(clip.low.read_bytes())
    before = sorted(tmp_path.iterdir())
    page = tmp_path / "page.html"
    other = "other.itk: is 96x64, 8 frames in 0.400 s, but low.itk is 96x64, 40 frames"
    cases: list[tuple[int, str, list[object]]] = [
        (3, "short.mkv: has no frame 5, which the file has", [clip.low, "--source", tmp_path / "short.mkv"]),
        (3, "wide.mkv: is 128x64, the file 96x64: give", [clip.low, "--source", tmp_path / "wide.mkv"]),
        (3, other, [clip.low, tmp_path / "other.itk"]),
        (3, "damaged.itk", [tmp_path / "damaged.itk"]),
        (3, "bent.itk: segment 2", [tmp_path / "bent.itk"]),
        (3, "nowhere.itk: does not exist", [clip.low, tmp_path / "nowhere.itk"]),
        (3, "no.json: does not contain results", [clip.low, "--results", tmp_path / "no.json"]),
        (2, "10 files are more than a page has keys for: give at most 9", [clip.low] * 10),
        (5, "nowhere", [clip.low, "-o", tmp_path / "nowhere" / "page.html"]),
        (2, "page.mp4: cannot write a .mp4 file: choose .html", [clip.low, "-o", tmp_path / "page.mp4"]),
        (2, "is the input itself", [html, "-o", html, "-y"]),
    ]  # fmt: skip
    for expected, message, arguments in cases:
        code, _, said = run(*(arguments if "-o" in arguments else [*arguments, "-o", page]))
        assert (code, said.count("\n")) == (expected, 1), said
        assert message in said
    assert sorted(tmp_path.iterdir()) == before


def test_other_weights_are_refused(clip: MadeClip, tmp_path: Path) -> None:
    assert main(["report", str(clip.low), "-o", str(tmp_path / "page.html")]) == 4
    assert not list(tmp_path.iterdir())


def test_help_loads_nothing_heavy() -> None:
    code = (
        "import sys\nfrom infotok_cli.cli.app import main\nmain(['report', '--help'])\n"
        "assert not {'PIL', 'torch', 'av', 'numpy'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-P", "-c", code], check=True, capture_output=True)
