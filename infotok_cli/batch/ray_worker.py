"""What an actor of `infotok batch --engine ray` does with the rows that it is given."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from infotok_cli.batch.attempts import MOST_ATTEMPTS
from infotok_cli.batch.devices import Seat
from infotok_cli.batch.encode_files import FileEncoder
from infotok_cli.batch.encode_item import failed_row
from infotok_cli.batch.films import Film, encode_part, joined_row
from infotok_cli.batch.items import Item
from infotok_cli.batch.loading import ModelLoader
from infotok_cli.batch.run_file import RunSettings
from infotok_cli.errors import InfotokError, InputError, ModelError, OutputError, UsageError
from infotok_cli.model.engine import Engine


@dataclass(frozen=True, kw_only=True)
class WorkerSettings:
    """What a worker needs to know, wherever it runs."""

    folder: str
    """The output folder, which all machines share."""
    working_folder: str
    """Where relative names start."""
    run: RunSettings
    loader: ModelLoader
    device: str
    spelled: Callable[[str], str]

    def load(self) -> Engine:
        """The model of the run; ModelError where this machine has another one."""
        return self.loader.there(self.run.model_sha256)(Seat(device=self.device))


_REFUSALS: dict[str, type[InfotokError]] = {
    kind.__name__: kind for kind in (InfotokError, UsageError, InputError, ModelError, OutputError)
}


def checked_answer(answer: dict[str, Any]) -> dict[str, Any]:
    """The answer; raises the error of a worker that can do nothing at all."""
    if "refused" in answer:
        kind, what, way_out, where = answer["refused"]
        raise _REFUSALS[kind](what, way_out=way_out, where=where)
    return answer


class RayWorker:
    """Takes tables of tasks and gives tables of answers, one for each, as JSON.

    A task is {"row", "id", "source"}, with {"film", "part"} for a part of a long video. An answer is
    {"row", "seconds"} with "result", the row of statistics, "part", whether the part was encoded, or
    "refused", why this worker can do nothing at all.
    """

    def __init__(self, settings: WorkerSettings, attempts: Any) -> None:
        self._attempts = attempts
        self._refused: InfotokError | None = None
        try:
            os.chdir(settings.working_folder)
            self._encoder = FileEncoder(Path(settings.folder), settings.run, settings.load, settings.spelled)
        except InfotokError as error:
            self._refused = error
        except OSError as error:
            self._refused = UsageError(
                f"is not a folder of a worker ({error.strerror})",
                way_out="run from a folder that all machines share",
                where=settings.working_folder,
            )

    def __call__(self, batch: Any) -> Any:
        """Tables of pyarrow with a column `task`, and with a column `answer`."""
        import pyarrow

        tasks = [json.loads(task) for task in batch.column("task").to_pylist()]
        return pyarrow.table({"answer": [json.dumps(self._answer(task)) for task in tasks]})

    def _answer(self, task: dict[str, Any]) -> dict[str, Any]:
        began = time.perf_counter()
        if self._refused is not None:
            error = self._refused
            answer: dict[str, Any] = {
                "refused": [type(error).__name__, error.what, error.way_out, error.where]
            }
        else:
            item = Item(task["row"], task["id"], task["source"])
            film = Film(**task["film"]) if "film" in task else None
            answer = self._done(item) if film is None else self._part_done(item, film, task["part"])
        return {"row": task["row"], "seconds": time.perf_counter() - began, **answer}

    def _done(self, item: Item) -> dict[str, Any]:
        there = self._encoder.there(item, "encoded")
        if there is None and self._is_hopeless(str(item.row)):
            there = failed_row(item, f"{item.source}: its worker died {MOST_ATTEMPTS} times")
        if there is None:
            ((_, there, _),) = self._encoder.encode([item])
        return {"result": asdict(there)}

    def _part_done(self, item: Item, film: Film, part: int) -> dict[str, Any]:
        """Encode a part; whoever finds that none is missing joins them."""
        encoder = self._encoder
        there = encoder.there(item, "encoded")
        if there is not None:
            return {"result": asdict(there)}
        if self._is_hopeless(f"{item.row} {part}"):
            return {"part": False}
        try:
            encode_part(film, part, encoder.folder, encoder.run.options, encoder.engine)
        except Exception:  # the video is encoded whole then, and fails as it does anywhere
            return {"part": False}
        row = joined_row(item, film, encoder.folder, encoder.run)
        return {"part": True} if row is None else {"result": asdict(row)}

    def _is_hopeless(self, name: str) -> bool:
        import ray

        return bool(ray.get(self._attempts.begin.remote(name)) > MOST_ATTEMPTS)
