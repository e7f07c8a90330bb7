"""A Ray cluster to work on: reached soon or not at all, quiet, and let go of at the end."""

from __future__ import annotations

import os
import signal
import socket
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stdout
from typing import Any

from infotok_cli.errors import InfotokError, UsageError

ADDRESS_VARIABLE = "RAY_ADDRESS"
REACH_SECONDS = 5.0
OBJECT_STORE_BYTES = 128 << 20
"""Of a cluster that is started here; rows are names and numbers."""

PASSED_ON = ("PYTHONPATH", "PYTHONSAFEPATH")
"""Variables that decide where workers import from."""

HTTP2_PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + bytes((0, 0, 0, 4, 0, 0, 0, 0, 0))
"""What a client of gRPC says first: RFC 9113, section 3.4, with empty settings."""


def import_ray() -> Any:
    """Ray with Ray Data, quiet and without usage reports; UsageError where it is not installed."""
    os.environ["RAY_USAGE_STATS_ENABLED"] = "0"
    os.environ.setdefault("RAY_BACKEND_LOG_LEVEL", "fatal")
    os.environ.setdefault("RAY_DATA_LOG_LEVEL", "ERROR")
    try:
        import ray
        import ray.data
    except ImportError as error:
        raise UsageError(
            "`engine` ray needs Ray", way_out="install it with: pip install 'infotok[ray]'"
        ) from error
    return ray


@contextmanager
def joined_cluster(address: str | None) -> Iterator[Any]:
    """Ray, joined to the cluster at `address` (host:port or auto) or to one of this machine's own.

    Without an address `RAY_ADDRESS` is taken; a cluster started here ends with the block. Where this
    process has joined one before, that is taken and stays joined.
    Raises UsageError for an address where no cluster answers, and InfotokError when it fails meanwhile.
    """
    ray = import_ray()
    was_joined = ray.is_initialized()
    if not was_joined:
        _join(ray, address or os.environ.get(ADDRESS_VARIABLE) or "local")
    try:
        with open(os.devnull, "w") as nowhere, redirect_stdout(nowhere):  # Ray prints what workers died of
            yield ray
    except ray.exceptions.RayError as error:
        reason = next((line for line in reversed(str(error).splitlines()) if line.strip()), "")
        raise InfotokError(
            f"the Ray cluster failed ({type(error).__name__}: {reason.strip()})",
            way_out="run it again to resume",
        ) from error
    finally:
        if not was_joined:
            ray.shutdown()


def _join(ray: Any, address: str) -> None:
    wanted: dict[str, Any] = {"object_store_memory": OBJECT_STORE_BYTES, "include_dashboard": False}
    if address != "local":
        passed = {name: os.environ[name] for name in PASSED_ON if os.environ.get(name)}
        wanted = {"runtime_env": {"env_vars": passed}} if passed else {}
        _check_reach(address)
    try:
        with _silent_stderr(), _same_signals():
            ray.init(address=address, log_to_driver=False, logging_level="ERROR", **wanted)
    except Exception as error:  # each way to fail has its own kind
        reason = " ".join(str(error).split()) or type(error).__name__
        raise UsageError(f"cannot be joined ({reason})", way_out=_WAY_OUT, where=_shown(address)) from error


@contextmanager
def _silent_stderr() -> Iterator[None]:
    """Keep what libraries write to the descriptor itself from being seen."""
    sys.stderr.flush()
    kept = os.dup(2)
    try:
        with open(os.devnull, "wb") as nowhere:
            os.dup2(nowhere.fileno(), 2)
        yield
    finally:
        os.dup2(kept, 2)
        os.close(kept)


@contextmanager
def _same_signals() -> Iterator[None]:
    """Keep SIGTERM meaning what it did."""
    is_main = threading.current_thread() is threading.main_thread()
    handler = signal.getsignal(signal.SIGTERM)
    try:
        yield
    finally:
        if is_main:
            signal.signal(signal.SIGTERM, handler)


_WAY_OUT = "give `address` the host:port of a running Ray cluster, or leave it out to start one here"


def _shown(address: str) -> str:
    return f"`address` {address}"


def _check_reach(address: str) -> None:
    """Raise UsageError unless something that speaks as Ray does answers soon; Ray tries for minutes."""
    if address == "auto":
        return
    host, colon, port = address.rpartition(":")
    if not colon or not port.isdecimal() or not host or "/" in host:
        raise UsageError("is not host:port", way_out=_WAY_OUT, where=_shown(address))
    try:
        with socket.create_connection((host.strip("[]"), int(port)), REACH_SECONDS) as connection:
            connection.settimeout(REACH_SECONDS)
            connection.sendall(HTTP2_PREFACE)
            answer = connection.recv(9)
    except (OSError, OverflowError) as error:
        reason = getattr(error, "strerror", None) or error
        raise UsageError(f"does not answer ({reason})", way_out=_WAY_OUT, where=_shown(address)) from error
    if answer[3:4] != HTTP2_PREFACE[-6:-5]:
        raise UsageError("answers, but is not a Ray cluster", way_out=_WAY_OUT, where=_shown(address))
