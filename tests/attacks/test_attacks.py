"""Every hostile file is refused with one line, at once and in little memory."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from hostile import ATTACKS, GOOD, everything, head, section
from probe import probe

from infotok_cli.container import layout
from infotok_cli.container.index import row_type
from infotok_cli.container.sections import pack_footer
from infotok_cli.errors import InputError
from infotok_cli.itk.report import report_file, verify_file

SECONDS_EACH = 1
MEGABYTES = 200


def test_what_the_attacks_start_from_is_good(tmp_path: Path) -> None:
    path = tmp_path / "good.itk"
    path.write_bytes(GOOD)
    assert probe(path) == []


@pytest.mark.parametrize("name", ATTACKS)
def test_refused_for_the_right_reason(tmp_path: Path, name: str) -> None:
    make, pattern = ATTACKS[name]
    path = tmp_path / "attack.itk"
    path.write_bytes(make())
    with pytest.raises(InputError) as caught:
        _read(path)
    assert re.search(pattern, str(caught.value)), str(caught.value)
    assert str(caught.value).startswith(f"{path}: ")
    assert str(caught.value).isprintable()
    probe(path)


def _read(path: Path) -> None:
    report_file(path)
    verify_file(path)


SCRIPT = """
import resource, sys, time
from pathlib import Path
from hostile import GOOD
from probe import probe

folder = Path(sys.argv[1])
(folder / "good").mkdir()
(folder / "good" / "good.itk").write_bytes(GOOD)
probe(folder / "good" / "good.itk")
megabyte = 1 << 10
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
for path in sorted(folder.glob("*.itk")):
    began = time.process_time()
    probe(path, max_positions=1 << 24)
    print(path.stem, time.process_time() - began)
print("memory", (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / megabyte)
"""


LONGEST = """
import resource, sys, time
from infotok_cli.container.reader import ItkReader

with ItkReader(sys.argv[1]):
    pass
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
began = time.process_time()
with ItkReader(sys.argv[2]) as reader:
    print(len(reader.index), reader.total_frames)
print(time.process_time() - began, (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / 1024)
"""


def test_as_many_segments_as_there_may_be(tmp_path: Path) -> None:
    """An index of the largest size over segments that are holes in the file."""
    rows = np.zeros(layout.MAX_SEGMENTS, row_type(layout.INDEX_ENTRY_FIELDS))
    start, length = head(), layout.SEGMENT_BYTES
    rows["length"], rows["frames"] = length, 8
    payload = rows.tobytes()
    index_at = len(start) + length * len(rows)
    path, small = tmp_path / "long.itk", tmp_path / "small.itk"
    small.write_bytes(GOOD)
    with path.open("wb") as file:
        file.write(start)
        file.seek(index_at)
        file.write(section(layout.INDX, payload) + pack_footer(index_at))
    result = subprocess.run(
        [sys.executable, "-P", "-c", LONGEST, small, path], capture_output=True, text=True, check=False
    )
    assert result.returncode == 0, result.stderr
    count, frames, seconds, megabytes = map(float, result.stdout.split())
    assert (count, frames) == (len(rows), 8 * len(rows))
    assert seconds < SECONDS_EACH
    assert megabytes < MEGABYTES


def test_time_and_memory(tmp_path: Path) -> None:
    for name, data, _ in everything():
        (tmp_path / f"{name}.itk").write_bytes(data)
    here = Path(__file__).parent
    script = f"import sys; sys.path[:0] = [{str(here)!r}, {str(here.parent / 'support')!r}]\n{SCRIPT}"
    result = subprocess.run(
        [sys.executable, "-P", "-c", script, str(tmp_path)], capture_output=True, text=True, check=False
    )
    assert result.returncode == 0, result.stderr
    *times, memory = result.stdout.splitlines()
    assert len(times) == len(ATTACKS)
    assert {line: None for line in times if float(line.split()[1]) > SECONDS_EACH} == {}
    assert float(memory.split()[1]) < MEGABYTES
