"""Coverage-guided fuzzing of everything that reads an .itk file without a model.

    make fuzz FUZZ_SECONDS=60

Needs the extra `fuzz` (atheris, Linux). Arguments are those of libFuzzer; the first is a folder that keeps
the corpus. It starts from good files, golden ones and the attacks. The first byte of an input says how the
rest is used: odd, checksums and the footer are made right first, so that changes reach past them.

A crash is any exception but InputError, a file that comes back changed, a run of more than a second
(-timeout=1), or one that takes 200 MB more than any before it. The memory of the whole process says little:
what instrumentation records grows by some 4 kB a run, without it memory stays where it is.
"""

from __future__ import annotations

import atexit
import os
import resource
import shutil
import sys
import tempfile
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))
sys.path.insert(0, str(Path(__file__).parents[1] / "support"))

import atheris

with atheris.instrument_imports(include=["infotok_cli"]):
    from hostile import GOOD, everything
    from probe import probe

    from infotok_cli.container import layout
    from infotok_cli.container.sections import pack_footer, section_crc
    from make_golden import GOLDEN
    from make_itk import Plan, itk_bytes, itk_header

MAX_POSITIONS = 1 << 13
"""A small limit keeps a run far below a second under instrumentation."""


MAX_KILOBYTES = 200_000


def resealed(data: bytes) -> bytes:
    """The same bytes with right checksums, as far as sections can be followed, and a right footer."""
    out = bytearray(data)
    out[: len(layout.MAGIC)] = layout.MAGIC
    at, index_at = len(layout.MAGIC), 0
    while at + layout.SECTION_STRUCT.size <= len(out):
        kind, length, _ = layout.SECTION_STRUCT.unpack_from(out, at)
        body = at + layout.SECTION_STRUCT.size
        if body + length > len(out) or kind not in layout.MAX_PAYLOAD_BYTES:
            break
        check = section_crc(kind, length, bytes(out[body : body + length]))
        layout.SECTION_STRUCT.pack_into(out, at, kind, length, check)
        index_at, at = at, body + length
    if len(out) - at == layout.FOOTER_STRUCT.size:
        out[at:] = pack_footer(index_at)
    return bytes(out)


def seeds() -> list[bytes]:
    header = itk_header(allocation="position")
    files = [GOOD, itk_bytes([Plan(8, 1), Plan(3), Plan(7, lost=True), Plan(8, 0, 2)], header)]
    files += [path.read_bytes() for path in sorted(GOLDEN.rglob("*.itk"))]
    files += [data for _, data, _ in everything()]
    return [first + data for data in files if len(data) < 8000 for first in (b"\0", b"\1")]


def _peak_kilobytes() -> int:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss


def main() -> None:
    corpus = Path(sys.argv[1])
    corpus.mkdir(parents=True, exist_ok=True)
    for number, data in enumerate(seeds()):
        (corpus / f"seed-{number:03d}").write_bytes(data)
    memory = "/dev/shm" if os.path.isdir("/dev/shm") else None
    path = Path(tempfile.mkdtemp(prefix="infotok-fuzz-", dir=memory)) / "input.itk"
    atexit.register(shutil.rmtree, path.parent, ignore_errors=True)
    os.fsync = lambda _: None  # only speed; nothing here has to outlive a power cut

    def one_input(data: bytes) -> None:
        if not data:
            return
        path.write_bytes(resealed(data[1:]) if data[0] & 1 else data[1:])
        before = _peak_kilobytes()
        probe(path, MAX_POSITIONS)
        if _peak_kilobytes() - before > MAX_KILOBYTES:
            raise MemoryError(f"{_peak_kilobytes() - before} kB for {len(data)} bytes")

    atheris.Setup(sys.argv, one_input)
    atheris.Fuzz()


if __name__ == "__main__":
    main()
