"""The journal: rows survive what interrupts a run, and nothing else is taken for one."""

from __future__ import annotations

import json
from hashlib import sha256
from pathlib import Path

import pytest

from infotok_cli.errors import InputError, OutputError
from infotok_cli.evaluate import journal as journal_module
from infotok_cli.evaluate.journal import MEASURING_CODE, Journal, code_sha256, key_of
from made_rows import anchor_row, our_row

ROW = our_row("a.mp4", 0.5, 0.02, 24)


def test_rows_are_on_disk_at_once_and_come_back(tmp_path: Path) -> None:
    path = tmp_path / "eval.jsonl"
    journal = Journal.open(path, resume=False)
    journal.add("1", ROW)
    assert json.loads(path.read_text())["key"] == "1"
    journal.add("2", anchor_row("a.mp4", 30, 0.03, 30))
    again = Journal.open(path, resume=True)
    assert again.find("1", "a.mp4") == ROW
    assert again.find("3", "a.mp4") is None
    renamed = again.find("2", "b.mp4")
    assert renamed is not None
    assert (renamed.clip, renamed.crf) == ("b.mp4", 30)


def test_starting_anew_forgets(tmp_path: Path) -> None:
    path = tmp_path / "eval.jsonl"
    Journal.open(path, resume=False).add("1", ROW)
    assert Journal.open(path, resume=False).find("1", "a") is None
    assert path.read_bytes() == b""


@pytest.mark.parametrize("cut", [1, 20, 300])
def test_a_line_cut_short_is_dropped(tmp_path: Path, cut: int) -> None:
    path = tmp_path / "eval.jsonl"
    journal = Journal.open(path, resume=False)
    journal.add("1", ROW)
    whole = path.read_bytes()
    journal.add("2", ROW)
    path.write_bytes(path.read_bytes()[:-cut])
    again = Journal.open(path, resume=True)
    assert again.find("1", "a.mp4") == ROW
    assert again.find("2", "a.mp4") is None
    assert path.read_bytes() == whole
    again.add("3", ROW)
    assert Journal.open(path, resume=True).find("3", "a.mp4") == ROW


@pytest.mark.parametrize("line", ["{}", "no json", '{"key": "1", "row": {"clip": "a"}}', "[1]", ""])
def test_a_damaged_line_is_named(tmp_path: Path, line: str) -> None:
    path = tmp_path / "eval.jsonl"
    Journal.open(path, resume=False).add("1", ROW)
    path.write_text(path.read_text() + line + "\n" + path.read_text())
    with pytest.raises(InputError, match=r"eval\.jsonl: line 2: is not a measurement"):
        Journal.open(path, resume=True)


def test_a_folder_that_is_not_there_is_told(tmp_path: Path) -> None:
    with pytest.raises(OutputError, match="cannot be written"):
        Journal.open(tmp_path / "none" / "eval.jsonl", resume=False)


def test_the_code_is_part_of_what_decides() -> None:
    whole, measuring = code_sha256(), code_sha256(*MEASURING_CODE)
    assert len({whole, measuring, code_sha256("metrics.py")}) == 3
    metrics = Path(journal_module.__file__).parent.parent / "metrics.py"
    assert code_sha256("metrics.py") == sha256(sha256(metrics.read_bytes()).digest()).hexdigest()


def test_a_key_is_that_of_all_facts() -> None:
    assert key_of({"a": 1, "b": None}) == key_of({"b": None, "a": 1})
    assert len({key_of({"a": 1}), key_of({"a": 2}), key_of({"a": 1, "b": 1})}) == 3
