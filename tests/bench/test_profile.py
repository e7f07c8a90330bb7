"""The profile names every part of an encode and a decode, and its shares add up."""

from __future__ import annotations

import sys
import time
from pathlib import Path

import pytest

from infotok_cli.bench import profile
from infotok_cli.bench.regions import REST, marked, profiled, region
from infotok_cli.codec import groups
from infotok_cli.codec.options import EncodeOptions
from infotok_cli.model import layers
from infotok_cli.model.engine import Engine
from make_video import make_video, moving_shapes
from tiny_model import write_tiny_model

NETWORK = {"attention", "linear", "norm, activation", "patch, un-patch", "FSQ", "keep map", "copies"}
AROUND = {"token coding", profile.VIDEO, "pixel conversion", REST}


def test_the_inner_region_counts() -> None:
    def run() -> None:
        with region("outer"):
            time.sleep(0.02)
            with region("inner"):
                time.sleep(0.06)

    found = profiled(run)
    took = {share.region: share.host_seconds for share in found.shares}
    assert took["inner"] >= 0.06
    assert 0.02 <= took["outer"] < took["inner"]
    assert sum(took.values()) == pytest.approx(found.host_seconds)
    assert found.device_seconds == 0


def test_functions_are_what_they_were_afterwards() -> None:
    plain = layers.window_attention
    with marked(((layers, "window_attention", "attention"),)):
        assert layers.window_attention is not plain
    assert layers.window_attention is plain
    with pytest.raises(AttributeError), marked(((layers, "no_such_function", "nothing"),)):
        pass


def test_all_parts_are_seen(engine: Engine, tmp_path: Path) -> None:
    clip = make_video(tmp_path / "clip.mp4", moving_shapes(12, 40, 48))
    options = EncodeOptions(rate=0.5, router="exact", segment_frames=4)
    before = groups.ahead
    found = dict(profile.profiles(clip, tmp_path, engine, options))
    assert groups.ahead is before
    assert {share.region for share in found["encode"].shares} >= NETWORK | AROUND | {"error map"}
    assert {share.region for share in found["decode"].shares} >= NETWORK | AROUND
    for each in found.values():
        assert all(share.host_seconds >= 0 for share in each.shares)
        assert sum(share.host_seconds for share in each.shares) == pytest.approx(each.host_seconds)
        assert "aten::" in each.longest
    text = profile.table("encode", found["encode"])
    shares = [float(line.split()[-1].rstrip("%")) for line in text.splitlines()[1:]]
    assert sum(shares) == pytest.approx(100, abs=1)


def test_without_a_gpu_it_says_what_it_measures(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    model = tmp_path / "tiny.safetensors"
    write_tiny_model(model)
    monkeypatch.setattr(
        sys, "argv", ["profile", "--seconds", "0.2", "--device", "cpu", "--model", str(model)]
    )
    profile.main()
    out = capsys.readouterr().out
    assert "this measures the CPU" in out
    assert "kernels reference" in out
    assert out.count("attention") == 2
    monkeypatch.setattr(sys, "argv", ["profile", "--kernels", "fast"])
    with pytest.raises(SystemExit, match="'fast' is unknown"):
        profile.main()
