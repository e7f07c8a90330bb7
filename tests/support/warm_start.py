"""`infotok` as a process of its own that need not load torch first, which takes longer than most commands.

A server that has loaded everything forks for each command line. What is started in its place is a small
process that hands over its descriptors, folder, environment and limits, passes signals on, and ends with the
code of the fork. Tests of readers that leave, of terminals that stop and of start-up start the real thing.
"""

from __future__ import annotations

import os
import resource
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager

CLIENT = """
import array, json, os, resource, signal, socket, sys
limits = {number: resource.getrlimit(number) for number in (resource.RLIMIT_FSIZE, resource.RLIMIT_NOFILE)}
with socket.socket(socket.AF_UNIX) as server:
    server.connect(sys.argv[1])
    request = json.dumps([sys.argv[2:], os.getcwd(), dict(os.environ), list(limits.items())]).encode()
    rights = (socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", [0, 1, 2]))
    server.sendmsg([len(request).to_bytes(4, "big")], [rights])
    server.sendall(request)
    for descriptor in (0, 1, 2):
        os.close(descriptor)
    worker = int.from_bytes(server.recv(4), "big")
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, lambda number, frame: os.kill(worker, number))
    status = server.recv(4)
os._exit(int.from_bytes(status, "big") if status else 70)
"""


@contextmanager
def warm_server() -> Iterator[list[str]]:
    """Run the server; yields the start of a command line that stands for `infotok`."""
    folder = tempfile.mkdtemp(prefix="warm-")  # short: names of sockets are
    address = os.path.join(folder, "socket")
    server = subprocess.Popen([sys.executable, "-P", __file__, address], stdin=subprocess.DEVNULL)
    try:
        ends = time.monotonic() + 120
        while not os.path.exists(address):
            assert server.poll() is None, "the server of warm starts did not come up"
            assert time.monotonic() < ends
            time.sleep(0.02)
        yield [sys.executable, "-I", "-S", "-c", CLIENT, address]
    finally:
        server.kill()
        server.wait()
        shutil.rmtree(folder, ignore_errors=True)


def serve(address: str) -> list[str]:
    """Fork for each request; returns its words, in the fork. The server itself is killed in the end."""
    import json

    listening = socket.socket(socket.AF_UNIX)
    hidden = address + ".new"
    listening.bind(hidden)
    listening.listen()
    os.rename(hidden, address)
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)
    while True:
        caller, _ = listening.accept()
        length, descriptors, _, _ = socket.recv_fds(caller, 4, 3)
        request = b""
        while len(request) < int.from_bytes(length, "big"):
            request += caller.recv(1 << 16)
        if os.fork() == 0:
            listening.close()
            signal.signal(signal.SIGCHLD, signal.SIG_DFL)
            worker = os.fork()
            if worker == 0:
                caller.close()
                words, folder, environment, limits = json.loads(request)
                take_over(descriptors, folder, environment, limits)
                return list(words)
            for descriptor in descriptors:
                os.close(descriptor)
            caller.sendall(worker.to_bytes(4, "big"))
            code = os.waitstatus_to_exitcode(os.waitpid(worker, 0)[1])
            caller.sendall((code if code >= 0 else 128 - code).to_bytes(4, "big"))
            os._exit(0)
        caller.close()
        for descriptor in descriptors:
            os.close(descriptor)


def take_over(
    descriptors: list[int], folder: str, environment: dict[str, str], limits: list[tuple[int, list[int]]]
) -> None:
    """Be in the place of the caller."""
    signal.signal(signal.SIGINT, signal.default_int_handler)
    for number, (soft, hard) in limits:
        resource.setrlimit(number, (soft, hard))
    for place, descriptor in enumerate(descriptors):
        os.dup2(descriptor, place)
        os.close(descriptor)
    sys.stdin, sys.stdout = os.fdopen(0, closefd=False), os.fdopen(1, "w", closefd=False)
    sys.stderr = os.fdopen(2, "w", errors="backslashreplace", buffering=1, closefd=False)
    os.chdir(folder)
    os.environ.clear()
    os.environ.update(environment)


def load_everything() -> None:
    """What commands import, but nothing of it with a state that a fork would share."""
    import infotok_cli.cli.app
    import infotok_cli.codec.decode
    import infotok_cli.codec.encode
    import infotok_cli.codec.load_engine  # noqa: F401


def main() -> None:
    """Serve; in a fork, run `infotok` and end without the half second that torch takes to be unloaded."""
    load_everything()
    words = serve(sys.argv[1])
    from infotok_cli.cli import app

    sys.argv = ["infotok", *words]
    code = app.main(words)
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)


if __name__ == "__main__":
    main()
