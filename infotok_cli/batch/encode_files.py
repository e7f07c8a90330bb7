"""A callable that encodes the videos of a table, for Ray Data and whatever else maps batches of tables."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING, Any

from infotok_cli.batch.devices import Seat
from infotok_cli.batch.encode import checked_engine
from infotok_cli.batch.encode_item import failed_row
from infotok_cli.batch.items import Item, Refused, checked, refused
from infotok_cli.batch.loading import ModelLoader
from infotok_cli.batch.manifest import id_of
from infotok_cli.batch.outputs import Row, row_of
from infotok_cli.batch.results import check_pyarrow, table_of
from infotok_cli.batch.run_file import RunSettings, check_run, fix_run, model_sha256
from infotok_cli.batch.several import encode_items
from infotok_cli.codec.options import EncodeOptions
from infotok_cli.itk.find_weights import find_model
from infotok_cli.model.engine import Engine
from infotok_cli.places import PathName

if TYPE_CHECKING:
    import pyarrow


class EncodeFiles:
    """Encodes the videos that the rows of a table name; loads its model once.

    Made for `map_batches` of Ray Data, see docs/DATASETS.md: `EncodeFiles` is the class of an actor, and the
    other arguments are those of its constructor. Outputs go to a folder that all workers share. An output
    that is whole and of this model and these settings is skipped; others appear whole or not at all.
    """

    def __init__(
        self,
        output: PathName,
        options: EncodeOptions | None = None,
        *,
        model: PathName | None = None,
        device: str = "auto",
        kernels: str | None = None,
        precision: str = "auto",
        deterministic: bool = False,
        compiled: bool = False,
    ) -> None:
        """output: folder for .itk files, of a batch with the same settings if it is there already.

        The rest is as in `load` and `infotok batch`; options: None takes the defaults. `deterministic` on the
        CPU leaves torch one thread in this process. Raises UsageError, ModelError and OutputError.
        """
        check_pyarrow()
        weights = find_model(model)
        run = RunSettings(
            shards=1, model_sha256=model_sha256(weights), options=options or EncodeOptions(),
            precision=precision, deterministic=deterministic,
        )  # fmt: skip
        load = ModelLoader(
            weights=weights, kernels=kernels, precision=precision, deterministic=deterministic,
            compiled=compiled,
        )  # fmt: skip
        self._encoder = FileEncoder(Path(output), run, lambda: load(Seat(device=device)))

    def __call__(self, batch: pyarrow.Table) -> pyarrow.Table:
        """Encode the videos of a table with a column `path` and, perhaps, one of ids named `id`.

        Without an id the path is one, without its leading slash. A path is a URL or that of a file as the
        worker sees it. The output of id a/b is a/b.itk below the output folder.

        Gives a row for each row: the columns of `stats.parquet`, and columns of the batch that are not among
        them. `status` is encoded, skipped or failed, and `error` says why; nothing is raised for a video.
        TypeError for what is no table with that column.
        """
        paths, ids = _columns(batch)
        found = [_item(row, path, known) for row, (path, known) in enumerate(zip(paths, ids, strict=True))]
        rows: dict[int, Row] = {
            item.row: failed_row(item, str(item.error)) for item in found if isinstance(item, Refused)
        }
        items = [item for item in found if isinstance(item, Item)]
        for item, row, _ in self._encoder.encode(items):
            rows[item.row] = row
        table = table_of([rows[number] for number in range(len(found))])
        for name in batch.column_names:
            if name not in (*table.column_names, "path"):
                table = table.append_column(name, batch.column(name))
        return table


def _item(row: int, path: str, known: str) -> Item | Refused:
    if not path:
        return refused(Item(row, known, ""), f"{known or 'a row'} has no path", "fill it in")
    return checked(Item(row, known or id_of(path), path))


def _columns(batch: Any) -> tuple[list[str], list[str]]:
    """Paths and ids, empty where there are none."""
    names = getattr(batch, "column_names", None)
    if names is None or "path" not in names:
        raise TypeError(
            "a batch must be a pyarrow.Table with a column path (give map_batches "
            f'batch_format="pyarrow"), not {type(batch).__name__} {names or ""}'.rstrip()
        )
    paths = [str(path or "") for path in batch.column("path").to_pylist()]
    ids = batch.column("id").to_pylist() if "id" in names else [None] * len(paths)
    return paths, [str("" if one is None else one) for one in ids]


class FileEncoder:
    """A loaded model that encodes files of one run."""

    def __init__(
        self,
        folder: Path,
        run: RunSettings,
        load: Callable[[], Engine],
        spelled: Callable[[str], str] = str,
    ) -> None:
        """Load the model, and fix the run of `folder`; raises as `encode_batch` does."""
        check_run(folder, run, ())
        self.engine = checked_engine(load, run)
        fix_run(folder, run)
        self.folder, self.run, self.spelled = folder, run, spelled

    def there(self, item: Item, status: str = "skipped") -> Row | None:
        """What there is of an item's output; None unless it is whole and of this run."""
        return row_of(
            self.folder / item.target, self.run,
            id=item.id, source=item.source, output=item.target, status=status,
        )  # fmt: skip

    def encode(self, items: Sequence[Item]) -> Iterator[tuple[Item, Row, float]]:
        """Each item with its row and the seconds it took; what is there already is skipped."""
        todo = []
        for item in items:
            row = self.there(item)
            if row is None:
                todo.append(item)
            else:
                yield item, row, 0.0
        with closing(encode_items(todo, self.folder, self.run, self.engine, self.spelled)) as encoded:
            yield from encoded
