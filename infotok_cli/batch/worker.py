"""What each process of a batch does: it asks for files, encodes them, and says what came of it."""

from __future__ import annotations

import os
import signal
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing, suppress
from dataclasses import dataclass
from multiprocessing import parent_process
from multiprocessing.connection import Connection
from pathlib import Path
from types import FrameType

from infotok_cli.batch.devices import Seat
from infotok_cli.batch.encode import checked_engine
from infotok_cli.batch.items import Item
from infotok_cli.batch.loading import Load
from infotok_cli.batch.outputs import Row
from infotok_cli.batch.run_file import RunSettings
from infotok_cli.batch.several import encode_items
from infotok_cli.errors import InfotokError

UNWINDING_SECONDS = 60
"""What a worker without a parent is given to leave in good order."""

AHEAD = 1
"""Videos that are begun while one is encoded: those that a process has in hand wait for it alone."""


@dataclass(frozen=True, kw_only=True)
class Job:
    """What all the workers of a batch are to do."""

    folder: Path
    run: RunSettings
    load: Load
    spelled: Callable[[str], str]


@dataclass(frozen=True)
class Ready:
    """The model is loaded."""


@dataclass(frozen=True)
class Wanted:
    """One more file can be taken; the answer is an `Item`, or None when there are no more."""


@dataclass(frozen=True)
class Done:
    """One of the files that were taken is done."""

    item: Item
    row: Row
    seconds: float


Report = Ready | Wanted | Done | InfotokError
"""An error is why there will be no model."""


def run_worker(channel: Connection, seat: Seat, job: Job) -> None:
    """Encode what the other end of the channel gives, until it gives None or goes away."""
    try:
        with suppress(EOFError, BrokenPipeError, ConnectionResetError):
            _work(channel, seat, job)
    finally:
        # Nothing is left to unwind, and `_leave` must not interrupt what the interpreter does at its end.
        signal.signal(signal.SIGTERM, signal.SIG_DFL)


def _work(channel: Connection, seat: Seat, job: Job) -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # it goes to every process of a terminal; one passes it on
    signal.signal(signal.SIGTERM, _leave)
    threading.Thread(target=_leave_with_parent, daemon=True).start()
    os.environ.update(seat.environment)
    try:
        engine = checked_engine(lambda: job.load(seat), job.run)
    except InfotokError as error:
        channel.send(error)
        return
    except Exception as error:
        what = f"a worker cannot load the model ({type(error).__name__}: {error})"
        channel.send(InfotokError(" ".join(what.split()), way_out="please report it"))
        return
    channel.send(Ready())
    items = _asked_for(channel)
    with closing(encode_items(items, job.folder, job.run, engine, job.spelled, ahead=AHEAD)) as encoded:
        for item, row, seconds in encoded:
            channel.send(Done(item, row, seconds))


def _asked_for(channel: Connection) -> Iterator[Item]:
    while True:
        channel.send(Wanted())
        item: Item | None = channel.recv()
        if item is None:
            return
        yield item


def _leave(number: int, _: FrameType | None) -> None:
    """Unwind once, so that temporary files go."""
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    raise SystemExit(128 + number)


def _leave_with_parent() -> None:
    """A worker outlives nobody, not even a parent that is killed."""
    parent = parent_process()
    if parent is not None:
        parent.join()
        os.kill(os.getpid(), signal.SIGTERM)
        time.sleep(UNWINDING_SECONDS)
        os._exit(128 + signal.SIGTERM)
