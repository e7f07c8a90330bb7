"""Clusters that cannot be joined are one line, soon, and nothing is written."""

from __future__ import annotations

import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest

from infotok_cli.batch import cluster, ray_engine
from infotok_cli.batch.cluster import HTTP2_PREFACE, joined_cluster
from infotok_cli.errors import InfotokError, UsageError

pytest.importorskip("pyarrow")

Run = Callable[..., subprocess.CompletedProcess[str]]
needs_ray = pytest.mark.skipif(find_spec("ray") is None, reason="Ray is not installed")


@pytest.fixture
def answering() -> Iterator[Callable[[bytes], int]]:
    """A port where whoever calls is given some bytes."""
    servers: list[socket.socket] = []

    def listen(answer: bytes) -> int:
        server = socket.create_server(("127.0.0.1", 0))
        servers.append(server)

        def serve() -> None:
            caller, _ = server.accept()
            with caller:
                caller.recv(64)
                caller.sendall(answer)

        threading.Thread(target=serve, daemon=True).start()
        port: int = server.getsockname()[1]
        return port

    yield listen
    for server in servers:
        server.close()


@needs_ray
@pytest.mark.parametrize(
    ("address", "words"),
    [
        ("127.0.0.1:1", "--address 127.0.0.1:1: does not answer (Connection refused): give --address the"),
        ("head", "--address head: is not host:port"),
        ("ray://127.0.0.1:10001", "--address ray://127.0.0.1:10001: is not host:port"),
        ("127.0.0.1:99999", "--address 127.0.0.1:99999: does not answer"),
        ("nosuch.invalid:6379", "--address nosuch.invalid:6379: does not answer"),
        ("http", "answers, but is not a Ray cluster"),
        ("silent", "does not answer (timed out)"),
    ],
)
def test_addresses_without_a_cluster(
    run: Run,
    clips: Path,
    answering: Callable[[bytes], int],
    address: str,
    words: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(cluster, "REACH_SECONDS", 1.0)
    began = time.monotonic()
    if address == "http":
        address = f"127.0.0.1:{answering(b'HTTP/1.1 400 Bad Request')}"
    elif address == "silent":
        with socket.create_server(("127.0.0.1", 0)) as server:
            refused = run("clips", "-o", "out", "--engine", "ray", "--address",
                          f"127.0.0.1:{server.getsockname()[1]}", code=2)  # fmt: skip
    if address != "silent":
        refused = run("clips", "-o", "out", "--engine", "ray", "--address", address, code=2)
    assert words in refused.stderr
    assert refused.stderr.count("\n") == 1
    assert time.monotonic() - began < 30
    assert not Path("out").exists()


def test_what_speaks_as_ray_does_is_joined(answering: Callable[[bytes], int]) -> None:
    cluster._check_reach(f"127.0.0.1:{answering(HTTP2_PREFACE[-9:])}")


def test_without_ray(run: Run, clips: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "ray", None)
    refused = run("clips", "-o", "out", "--engine", "ray", code=2).stderr
    assert refused == "infotok: error: --engine ray needs Ray: install it with: pip install 'infotok[ray]'\n"
    assert not Path("out").exists()


def test_an_address_is_for_ray(run: Run, clips: Path) -> None:
    refused = run("clips", "-o", "out", "--address", "head:6379", code=2).stderr
    assert "--address goes with --engine ray" in refused
    assert "choose local or ray" in run("clips", "-o", "out", "--engine", "spark", code=2).stderr


def test_ray_is_not_started_for_nothing(run: Run, clips: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def no_cluster(address: str | None) -> Any:
        raise AssertionError("joined a cluster")

    run("clips", "-o", "out")
    monkeypatch.setattr(ray_engine, "joined_cluster", no_cluster)
    again = run("clips", "-o", "out", "--engine", "ray").stderr
    assert "0 encoded, 4 there already, 0 failed" in again
    assert run("clips", "-o", "out", "--engine", "ray", "--missing").stdout == ""
    run("clips", "-o", "other", "--engine", "ray", "--dry-run")
    Path("bad.csv").write_text("id,file\n1,clips/a/0.mp4\n")
    stopped = run("bad.csv", "clips", "-o", "more", "--engine", "ray", "--max-failures", 0, code=6).stderr
    assert "1 failed, 4 not tried" in stopped


class FakeRay:
    """What `joined_cluster` uses of Ray."""

    class exceptions:
        class RayError(Exception):
            pass

    @staticmethod
    def is_initialized() -> bool:
        return True


def test_a_cluster_that_fails_is_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cluster, "import_ray", lambda: FakeRay)
    with (
        pytest.raises(
            InfotokError, match=r"^the Ray cluster failed \(RayError: the end\): run it again"
        ) as caught,
        joined_cluster(None),
    ):
        raise FakeRay.exceptions.RayError("a long story\n\nthe end\n")
    assert not isinstance(caught.value, UsageError)
