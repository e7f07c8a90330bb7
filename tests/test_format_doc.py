"""docs/FORMAT.md is the normative text; its tables, limits and examples must agree with the code."""

from __future__ import annotations

import math
import re
from fractions import Fraction
from io import BytesIO
from itertools import pairwise
from pathlib import Path

import google_crc32c
import numpy as np
import pytest

from infotok_cli import colour
from infotok_cli.blocks import BLOCK, LEAD_STEPS, SPREAD_ORDER, keep_from_levels, token_grid
from infotok_cli.config import PATCH
from infotok_cli.container import layout
from infotok_cli.container.header import Header
from infotok_cli.container.reader import ItkReader
from infotok_cli.container.sections import Frame
from infotok_cli.container.writer import ItkWriter
from infotok_cli.entropy import flat_ids, keep_map, motion_map, range_coder, token_net
from infotok_cli.entropy.keep_map import encode_levels, encode_positions
from infotok_cli.entropy.motion_map import pack_motion, unpack_motion
from infotok_cli.entropy.token_ids import pack_raw, unpack_raw
from infotok_cli.motion import DISPLACEMENTS, MOTION_SIDE, STILL, VECTORS, motion_grid, no_motion
from infotok_cli.routers import ROUTERS
from infotok_cli.segment_tokens import Tokens
from infotok_cli.token_codings import TOKEN_CODINGS

TEXT = (Path(__file__).parents[1] / "docs" / "FORMAT.md").read_text(encoding="utf-8")
SIZES = {"u8": 1, "u16": 2, "u32": 4, "u64": 8}
CODES = {"u8": "B", "u16": "H", "u32": "I", "u64": "Q"}


def tables(*columns: str) -> list[list[list[str]]]:
    """Rows of cells of every table with these column names, in the order of the text."""
    head = "| " + " | ".join(columns) + " |\n"
    found = []
    for part in TEXT.split(head)[1:]:
        rows = []
        for line in part.splitlines()[1:]:
            if not line.startswith("|"):
                break
            rows.append([cell.strip() for cell in line.strip("|").split("|")])
        found.append(rows)
    assert found, f"no table with columns {columns}"
    return found


TABLES = {
    "section": layout.SECTION_FIELDS,
    "head": layout.HEAD_FIELDS,
    "track": layout.TRACK_FIELDS,
    "segment": layout.SEGMENT_FIELDS,
    "time": layout.TIME_FIELDS,
    "audio": layout.AUDIO_FIELDS,
    "index entry": layout.INDEX_ENTRY_FIELDS,
    "index entry with times": layout.INDEX_TIME_FIELDS,
    "index entry with sound": layout.INDEX_AUDIO_FIELDS,
    "footer": layout.FOOTER_FIELDS,
}
"""Fields of the tables of the text, in its order."""


@pytest.mark.parametrize(("number", "fields"), list(enumerate(TABLES.values())), ids=TABLES)
def test_field_tables(number: int, fields: layout.Fields) -> None:
    every = tables("offset", "size", "type", "name", "meaning")
    assert len(every) == len(TABLES)
    at, stated = 0, []
    for offset, size, kind, name, _ in every[number]:
        assert int(offset) == at
        plain = re.fullmatch(r"bytes\[(\d+)\]", kind)
        assert int(size) == (int(plain[1]) if plain else SIZES[kind])
        stated.append((name, f"{plain[1]}s" if plain else CODES[kind]))
        at += int(size)
    assert tuple(stated) == fields
    assert layout.layout_of(fields).size == at


def test_sizes_named_in_the_text() -> None:
    assert f"frame of {layout.SECTION_STRUCT.size} bytes" in TEXT
    assert f"| footer | {layout.FOOTER_STRUCT.size} bytes |" in TEXT
    assert f"At byte {layout.HEAD_STRUCT.size} of the payload" in TEXT
    assert f"{layout.SEGMENT_BYTES} + map_bytes + motion_bytes + token_bytes" in TEXT
    sizes = sorted(
        layout.layout_of(layout.index_fields(times, sound)).size
        for times in (False, True)
        for sound in (False, True)
    )
    assert "an entry has {}, {}, {} or {} bytes".format(*sizes) in TEXT
    assert f"| magic | `{layout.MAGIC.hex(' ')}` |" in TEXT
    assert f"`{layout.END_MAGIC.hex(' ')}`" in TEXT
    assert TEXT.splitlines()[0].endswith(f"format version {layout.FORMAT_VERSION}")
    assert "`2 * positions + 16`" in TEXT
    assert layout.max_coded_bytes(1000) == 2 * 1000 + 16


def test_limits() -> None:
    (rows,) = tables("name", "value", "of")
    stated = {name: int(value) for name, value, _ in rows}
    in_code = {name: value for name, value in vars(layout).items() if name.startswith("MAX_")}
    in_code.pop("MAX_SEGMENT_FRAMES")  # the one of config, under another name
    in_code.pop("MAX_PAYLOAD_BYTES")
    assert stated == in_code
    assert {
        layout.HEAD: stated["MAX_HEAD_BYTES"],
        layout.SEGM: stated["MAX_SEGMENT_BYTES"],
        layout.TIME: stated["MAX_TIME_BYTES"],
        layout.AUDI: stated["MAX_AUDIO_BYTES"],
        layout.INDX: stated["MAX_INDEX_BYTES"],
        layout.TAGS: stated["MAX_TAGS_BYTES"],
    } == layout.MAX_PAYLOAD_BYTES


def test_values_named_in_the_header_table() -> None:
    meaning = {row[3]: row[4] for row in tables("offset", "size", "type", "name", "meaning")[1]}
    routers = {name: router.code for name, router in ROUTERS.items()}
    for name, codes in (("router", routers), ("allocation", layout.ALLOCATION_CODES)):
        assert meaning[name] == ", ".join(f"{code} = {word}" for word, code in codes.items())
    assert meaning["colour_range"] == "0 = unspecified, 1 = limited, 2 = full"
    assert (colour.RANGE_UNSPECIFIED, colour.RANGE_LIMITED, colour.RANGE_FULL) == (0, 1, 2)
    lengths = [f"ceil({side} / {patch})" for side, patch in zip(("F", "height", "width"), PATCH, strict=True)]
    assert f"[{LEAD_STEPS} + {', '.join(lengths)}]" in TEXT
    assert f"A *block* is {' x '.join(map(str, BLOCK))} neighbouring positions" in TEXT


def test_room_for_growth() -> None:
    (rows,) = tables("what", "may be passed over", "must be understood")
    bits, types = rows
    passed, understood = (
        sum(1 << bit for bit in range(first, last + 1))
        for first, last in (map(int, cell.split(" to ")) for cell in bits[1:])
    )
    assert understood == layout.REQUIRED_FLAGS
    assert passed == 0xFFFF & ~layout.REQUIRED_FLAGS
    assert types[1:] == ["first letter small", "first letter capital"]
    assert Frame(b"noth", 0, 0).is_ignorable
    assert not Frame(b"PICT", 0, 0).is_ignorable
    assert [kind for kind in layout.MAX_PAYLOAD_BYTES if Frame(kind, 0, 0).is_ignorable] == [layout.TAGS]


def test_checksum() -> None:
    assert google_crc32c.value(b"123456789") == 0xE3069283
    assert '"123456789" gives 0xE3069283' in TEXT


def test_nested_order_of_positions() -> None:
    (rows,) = tables("rank", "t", "y", "x")
    assert [tuple(map(int, row)) for row in rows] == [(rank, *at) for rank, at in enumerate(SPREAD_ORDER)]


def test_token_coding() -> None:
    (rows,) = tables("place", "t", "y", "x")
    assert [tuple(map(int, row)) for row in rows] == [(n, *at) for n, at in enumerate(token_net.OFFSETS)]
    assert f"the last one is {token_net.PRESENT}" in TEXT
    assert f"min({token_net.HIDDEN_MAX}, max(0, a) >> {token_net.HIDDEN_SHIFT})" in TEXT
    assert f"* g[h]) >> {token_net.LOGIT_SHIFT}`" in TEXT
    assert f"a sum of {token_net.TOTAL} is" in TEXT
    first = ", ".join(str(weight) for weight in token_net.DECAY[:5])
    assert f"{first}, ... down to DECAY[{int(token_net.DECAY.argmin())}] = 0 and 0 from there on" in TEXT
    exact = [65536 * math.exp(-n / token_net.LOGITS_PER_NAT) for n in range(256)]
    assert np.abs(token_net.DECAY - exact).max() <= 0.5
    assert token_net.LOGITS_PER_NAT == 16
    assert tuple(TOKEN_CODINGS) == (0, 1)


def test_initial_probabilities_of_levels() -> None:
    (rows,) = tables("before", "up", "left 0", "left 1", "left 2", "left 3")
    stated = tuple(tuple(tuple(map(int, cell.split())) for cell in row[2:]) for row in rows)
    assert stated == keep_map.LEVEL_START
    befores = ["none", "0", "1", "2", "3"]
    assert [row[:2] for row in rows] == [[before, str(up)] for before in befores for up in range(4)]


def test_initial_probabilities_of_positions() -> None:
    (rows,) = tables("n", "nothing before", "dropped before", "kept before")
    assert [int(row[0]) for row in rows] == list(range(16))
    columns = zip(*(map(int, row[1:]) for row in rows), strict=True)
    assert tuple(columns) == keep_map.POSITION_START


def test_displacements_and_vectors() -> None:
    numbers = [str(number) for number in range(len(DISPLACEMENTS))]
    (((name, *pixels),),) = tables("number", *numbers)
    assert name == "pixels"
    assert tuple(map(int, pixels)) == DISPLACEMENTS
    assert f"*displacement* is one of {len(DISPLACEMENTS)} numbers of pixels" in TEXT
    assert f"a number from 0 to {VECTORS - 1}: vector `{len(DISPLACEMENTS)} * d + r`" in TEXT
    assert f"Vector {STILL} is *still*" in TEXT
    assert [DISPLACEMENTS[number] for number in divmod(STILL, len(DISPLACEMENTS))] == [0, 0]
    sides = f"{MOTION_SIDE * PATCH[1]} x {MOTION_SIDE * PATCH[2]} pixels"
    block = f"{MOTION_SIDE} x {MOTION_SIDE} neighbouring positions of one latent step"
    assert f"A *motion block* is {block}, cut at odd edges: {sides}" in TEXT
    assert "`[t, ceil(h / 2), ceil(w / 2)]`" in TEXT
    assert motion_grid((5, 7, 6)) == (5, 4, 3)


def test_initial_probabilities_of_vectors() -> None:
    for head, start in (
        (("expected vector", *(f"n = {n}" for n in range(1, 5))), motion_map.EXPECTED_START),
        (("tried vector", "first", "second"), motion_map.OTHER_START),
    ):
        (rows,) = tables(*head)
        assert [row[0] for row in rows] == ["moves", "still"]
        assert tuple(tuple(map(int, row[1:])) for row in rows) == start
    (rows,) = tables("axis", "expected", *map(str, range(1, 16)))
    signs = ["negative", "0", "positive"]
    assert [row[:2] for row in rows] == [[axis, sign] for axis in ("down", "right") for sign in signs]
    assert tuple(tuple(map(int, row[2:])) for row in rows) == motion_map.TREE_START


def test_adaptation() -> None:
    assert "rate = 65536 / min(12 + n, 60)" in TEXT
    expected = [65536 // min(12 + seen, 60) for seen in range(len(range_coder.RATES))]
    assert list(range_coder.RATES) == expected
    assert len(range_coder.RATES) == 60 - 12 + 1


def test_coding_examples() -> None:
    """The short examples of sections 5, 6 and 7."""
    coder = re.search(r"initial probabilities 32768 and 6400, contexts 0 1 0 1 0 0 1 1, "
                      r"bits 1 0 0 1 1 1 0 1 give `([0-9a-f ]+)`", TEXT)  # fmt: skip
    assert coder is not None
    bits, contexts = [1, 0, 0, 1, 1, 1, 0, 1], [0, 1, 0, 1, 0, 0, 1, 1]
    assert range_coder.encode_bits(bits, contexts, [32768, 6400]).hex(" ") == coder[1]
    levels = re.search(r"grid \[2, 4, 4\], levels 1 2 / 4 8 give `([0-9a-f ]+)`", TEXT)
    assert levels is not None
    assert encode_levels(np.array([[[1, 2], [4, 8]]], np.uint8), (2, 4, 4)).hex(" ") == levels[1]
    keep = re.search(r"grid \[1, 2, 3\], map 1 0 0 / 1 1 0 gives `([0-9a-f ]+)`", TEXT)
    assert keep is not None
    assert encode_positions(np.array([[[1, 0, 0], [1, 1, 0]]], np.bool_)).hex(" ") == keep[1]
    motion = re.search(r"grid \[3, 4, 3\], vectors ([0-9 /]+) of the lead, then ([0-9 /]+), "
                       r"then ([0-9 /]+) give `([0-9a-f ]+)`", TEXT)  # fmt: skip
    assert motion is not None
    steps = [[row.split() for row in motion[step].split("/")] for step in (1, 2, 3)]
    vectors = np.array(steps, np.uint8)
    assert vectors.shape == motion_grid((3, 4, 3))
    assert pack_motion(vectors).hex(" ") == motion[4]
    assert np.array_equal(unpack_motion(bytes.fromhex(motion[4]), (3, 4, 3)), vectors)


def dumped() -> bytes:
    """Bytes of the hex dump of section 10."""
    data = bytearray()
    for offset, line in re.findall(r"^([0-9a-f]{8})  ([0-9a-f ]+)$", TEXT, re.MULTILINE):
        assert int(offset, 16) == len(data)
        data += bytes.fromhex(line)
    assert f"A file of {len(data)} bytes." in TEXT
    return bytes(data)


MOVING = no_motion((2, 2, 2))
"""Motion map of the first segment of section 10: its one motion block moves."""
MOVING[1, 0, 0] = 129


def test_the_example_file_is_what_the_writer_writes() -> None:
    header = Header(
        width=16,
        height=12,
        frame_rate=Fraction(24000, 1001),
        time_base=Fraction(1, 24000),
        segment_frames=4,
        levels=(8, 8, 8, 5, 5, 5),
        router="fast",
        allocation="block",
        target_rate_ppm=500_000,
        model_name="small",
        model_sha256=bytes(range(32)),
        encoder="infotok 1",
    )
    stream = BytesIO()
    writer = ItkWriter(stream, header)
    for frames, level, motion, ids in (
        (4, 4, MOVING, [0, 1, 256, 63_999]),
        (1, 1, no_motion((2, 2, 2)), [4660]),
    ):
        grid = token_grid(frames, header.height, header.width)
        assert header.grid(frames) == grid
        writer.write_segment(
            frames=frames,
            tokens=len(ids),
            map_payload=encode_levels(np.array([[[level]]], np.uint8), grid),
            motion_payload=pack_motion(motion),
            token_payload=pack_raw(np.array(ids), header.levels),
        )
    writer.finish()
    assert stream.getvalue() == dumped()


def test_the_example_file_reads_as_described(tmp_path: Path) -> None:
    path = tmp_path / "example.itk"
    path.write_bytes(dumped())
    with ItkReader(path) as reader:
        reader.verify()
        first, second = reader.segments()
        assert unpack_raw(first.token_payload, first.tokens, reader.header.levels).tolist() == [
            0,
            1,
            256,
            63_999,
        ]
        assert unpack_raw(second.token_payload, second.tokens, reader.header.levels).tolist() == [4660]
        assert np.array_equal(unpack_motion(first.motion_payload, (2, 2, 2)), MOVING)
        assert second.motion_payload == b""


def test_flat_ids() -> None:
    """Section 9: the table of ids, and the examples."""
    (rows,) = tables("id", "name", "meaning")
    stated = {name: tuple(map(int, ids.split(".."))) for ids, name, _ in rows}
    assert stated == {
        "token": (0, flat_ids.MAX_TOKEN_IDS - 1),
        **{name: (getattr(flat_ids, name),) for name in ("SEGMENT", "STEP", "LOST", "FILE")},
        "FRAMES": (flat_ids.FRAMES, flat_ids.FRAMES + flat_ids.LONGEST_SEGMENT - 1),
        "TRIM_START": (flat_ids.TRIM_START + 1, flat_ids.TRIM_START + flat_ids.LONGEST_SEGMENT - 1),
        "TRIM_END": (flat_ids.TRIM_END + 1, flat_ids.TRIM_END + flat_ids.LONGEST_SEGMENT - 1),
        "BYTE": (flat_ids.BYTE, flat_ids.BYTE + 255),
        "SKIP": (flat_ids.SKIP, flat_ids.SKIP + flat_ids.LONGEST_SKIP - 1),
        "VECTOR": (flat_ids.VECTOR, flat_ids.VECTOR + VECTORS - 1),
        "STILL_RUN": (flat_ids.STILL_RUN, flat_ids.STILL_RUN + flat_ids.LONGEST_STILL_RUN - 1),
    }
    assert max(last for *_, last in stated.values()) == 65_535
    ends = sorted((span[0], span[-1]) for span in stated.values())
    assert all(end < start for (_, end), (start, _) in pairwise(ends))
    longest = f"{flat_ids.LONGEST_SKIP} positions, {flat_ids.LONGEST_STILL_RUN} motion blocks"
    assert f"as long as it can be: {longest}" in TEXT
    examples = re.search(r"segment of the file in section 10 is `([0-9 ]+)`, the second `([0-9 ]+)`", TEXT)
    assert examples is not None
    grid = token_grid(1, 12, 16)
    assert grid == token_grid(4, 12, 16) == (2, 2, 2)
    four = keep_from_levels(np.array([[[4]]], np.uint8), grid)
    one = keep_from_levels(np.array([[[1]]], np.uint8), grid)
    for example, frames, tokens in (
        (examples[1], 4, Tokens(four, MOVING, np.array([0, 1, 256, 63_999], np.uint16))),
        (examples[2], 1, Tokens(one, no_motion(grid), np.array([4660], np.uint16))),
    ):
        flat = flat_ids.flatten(flat_ids.FlatSegment(frames, 0, 0, tokens))
        assert flat.tolist() == [int(word) for word in example.split()]
