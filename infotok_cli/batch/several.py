"""Files of a batch through one model: one after the other, or several at once where the device has room."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Generator, Iterable
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING

from infotok_cli.batch.ahead_videos import VIDEOS_AHEAD, Begun, begun_ahead
from infotok_cli.batch.encode_item import encode_item
from infotok_cli.batch.items import Item
from infotok_cli.batch.outputs import Row
from infotok_cli.batch.run_file import RunSettings

if TYPE_CHECKING:
    from infotok_cli.codec.forecast import Forecast
    from infotok_cli.model.engine import Engine

FILES_AT_ONCE = 8
"""Files that are encoded at once where their segments go through the network together: as many as a batch has
segments of 60x256x456 pixels, so that clips of one segment fill it."""

FILE_BYTES = 2 << 30
"""Memory of a CUDA device for each of them: at most a batch of its own in the network (not measured)."""

Encoded = tuple[Item, Row, float]
"""An item, what became of it, and the seconds it took."""


def encode_items(
    items: Iterable[Item],
    folder: Path,
    run: RunSettings,
    engine: Engine,
    spelled: Callable[[str], str],
    *,
    ahead: int = VIDEOS_AHEAD,
) -> Generator[Encoded]:
    """Encode items below `folder`; what goes wrong with one is in its row.

    Where the engine takes segments in batches, several files are encoded at once and come as they are done,
    with as many more begun; elsewhere they come in order, with `ahead` of them begun. Leaving stops what is
    being encoded.
    """
    at_once = files_at_once(engine)

    def encode(item: Item, begun: Begun, engine: Engine, progress: _Stop) -> Encoded:
        started = time.perf_counter()
        row = encode_item(item, begun, folder, run, engine=engine, spelled=spelled, progress=progress)
        return item, row, time.perf_counter() - started

    stop = _Stop()
    if at_once == 1:
        with begun_ahead(items, run.options, ahead=ahead) as videos:
            for item, begun in videos:
                yield encode(item, begun, engine, stop)
        return
    shared = engine.shared()
    with (
        begun_ahead(items, run.options, ahead=at_once) as videos,
        ThreadPoolExecutor(at_once, thread_name_prefix="files") as threads,
    ):
        try:
            running: set[Future[Encoded]] = set()
            while True:
                for item, begun in islice(videos, at_once - len(running)):
                    running.add(threads.submit(encode, item, begun, shared, stop))
                if not running:
                    return
                done, running = wait(running, return_when=FIRST_COMPLETED)
                for future in done:
                    yield future.result()
        finally:
            stop.set()


def files_at_once(engine: Engine) -> int:
    """How many files to encode at once: one, unless the engine takes segments in batches and has room."""
    if engine.batch(1) == 1:
        return 1
    memory = engine.memory_bytes
    return FILES_AT_ONCE if memory is None else max(1, min(FILES_AT_ONCE, memory // FILE_BYTES))


class _Stopped(Exception):
    """Ends an encode that nobody waits for any more."""


class _Stop:
    """Progress of several encodes, all of which end at their next step once it is set."""

    def __init__(self) -> None:
        self._event = threading.Event()

    def set(self) -> None:
        self._event.set()

    def expects(self, forecast: Forecast, seconds: Callable[[], float | None]) -> None: ...
    def started(self, total: int | None) -> None: ...
    def done(self, frames: int, tokens: int | None = None) -> None:
        if self._event.is_set():
            raise _Stopped
