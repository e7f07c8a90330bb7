"""The wheel holds what the checkout holds, and works from another folder."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

import infotok_weights

ROOT = Path(__file__).parent.parent

SHORT_DEMO = """
import sys
from infotok_cli.codec import demo_clip
demo_clip.PHASE_FRAMES, demo_clip.FRAMES = 4, 12
from infotok_cli.cli.app import main
sys.exit(main(sys.argv[1:]))
"""
"""The command line with a demo of 12 frames, as the packaged network is slow."""


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel, built from the files that git tracks or would track."""
    folder = tmp_path_factory.mktemp("wheel")
    source = folder / "source"
    listed = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard"],
        cwd=ROOT, check=True, capture_output=True, text=True,
    ).stdout.split("\n")  # fmt: skip
    for name in filter(None, listed):
        if (ROOT / name).is_file() and not name.startswith("tests/"):
            (source / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(ROOT / name, source / name)
    build = [sys.executable, "-m", "build", "--wheel", "--no-isolation"]
    subprocess.run([*build, "--outdir", str(folder), str(source)], check=True, capture_output=True)
    (path,) = folder.glob("*.whl")
    return path


def test_wheel_holds_every_package_file(wheel: Path) -> None:
    inside = {name for name in zipfile.ZipFile(wheel).namelist() if name.startswith("infotok_")}
    inside = {name for name in inside if ".dist-info/" not in name}
    wanted = set()
    for base in (ROOT, ROOT / "kernels", ROOT / "weights"):
        for package in base.glob("infotok_*"):
            for path in package.rglob("*"):
                if path.is_file() and "__pycache__" not in path.parts and path.suffix != ".pyc":
                    wanted.add(path.relative_to(base).as_posix())
    wanted = {name for name in wanted if not (name.startswith("infotok_kernels/") and name.endswith(".md"))}
    assert inside == wanted


def test_wheel_decodes_elsewhere(wheel: Path, tmp_path: Path) -> None:
    site = tmp_path / "site"
    zipfile.ZipFile(wheel).extractall(site)
    golden = ROOT / "tests" / "golden" / "v1" / "odd.itk"
    environment = {**os.environ, "PYTHONPATH": str(site), "PYTHONSAFEPATH": "1"}

    def run(*words: str) -> str:
        result = subprocess.run(
            [sys.executable, *words],
            cwd=tmp_path, env=environment, capture_output=True, text=True, check=False,
        )  # fmt: skip
        assert result.returncode == 0, result.stderr
        return result.stdout

    assert run("-c", "import infotok_cli; print(infotok_cli.__file__)").startswith(str(site))
    assert json.loads(run("-m", "infotok_cli", "inspect", str(golden), "--json"))["frames"] == 30
    run("-c", SHORT_DEMO, "demo", "trial", "--rate", "0.25")
    assert (tmp_path / "trial" / "decoded.mp4").stat().st_size > 1000


def test_packaged_weights_are_those_of_the_manifest() -> None:
    assert infotok_weights.DEFAULT in infotok_weights.names()
    for name in infotok_weights.names():
        facts = infotok_weights.manifest()[name]
        path = infotok_weights.path(name)
        assert 1_000_000 < path.stat().st_size < 20_000_000, "too small for weights, or too large for git"
        assert hashlib.sha256(path.read_bytes()).hexdigest() == facts["sha256"]


def test_manifest_config_is_that_of_the_file() -> None:
    from infotok_cli.model.weights import load_model

    for name in infotok_weights.names():
        loaded = load_model(infotok_weights.path(name))
        assert json.loads(loaded.config.to_json()) == infotok_weights.manifest()[name]["config"]
        assert loaded.config.name == name
        assert sum(p.numel() for p in loaded.tokenizer.parameters()) <= 10_000_000
        # Every budget works with it.
        assert set(loaded.fits.distortions) == set(loaded.fits.rate_scales) == {"fast", "exact"}
        assert loaded.token_net is not None


def test_top_level_names_are_only_ours(wheel: Path) -> None:
    top = {name.split("/")[0] for name in zipfile.ZipFile(wheel).namelist()}
    assert {name for name in top if ".dist-info" not in name} == {
        "infotok_cli", "infotok_kernels", "infotok_weights",
    }  # fmt: skip
