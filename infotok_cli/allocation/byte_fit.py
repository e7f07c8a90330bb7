"""Tokens for a number of bytes: how many fit is only known by coding them."""

from __future__ import annotations

import math

from infotok_cli.allocation.allocate import Allocation
from infotok_cli.allocation.planner import SEGMENT_OVERHEAD, Group, Measure, Written, allocate_tokens
from infotok_cli.container import layout
from infotok_cli.container.header import Header
from infotok_cli.entropy.token_ids import packed_bytes
from infotok_cli.token_codings import TOKEN_CODINGS

_FIT_TRIES = 8
_FLOOR_AFTER = 4
"""Tries that were all too large after which the floor is tried."""

_FIT_TOLERANCE = 0.004
"""Share of the bytes that a group may leave unused."""

_BYTES_POWER = 0.75


FILE_OVERHEAD = layout.SECTION_STRUCT.size + layout.FOOTER_STRUCT.size
"""Bytes of index and footer besides the index entries."""


def fixed_bytes(header: Header) -> int:
    """Bytes of a file besides its segments and their index entries."""
    head = len(layout.MAGIC) + layout.SECTION_STRUCT.size + len(header.pack())
    return head + FILE_OVERHEAD


class ByteFit:
    """Tokens for a number of bytes, from what maps and tokens have been taking."""

    def __init__(self, header: Header) -> None:
        self.kind = header.allocation
        self.bytes_per_token = packed_bytes(1 << 16, header.levels) / (1 << 16)
        self.bytes_per_token *= TOKEN_CODINGS[header.token_coding].expected_share
        self.maps_bytes_per_position = 0.0
        self.learned = False
        self._memory: tuple[float, ...] = (0.0,) * 4

    def tokens_for(self, size_bytes: int, positions: int) -> int:
        """Tokens that fit into `size_bytes` with the maps of that many positions, segment overhead aside."""
        return int((size_bytes - positions * self.maps_bytes_per_position) / self.bytes_per_token)

    def bytes_for(self, tokens: int, positions: int) -> int:
        """Bytes of `tokens` tokens with the maps of `positions` positions, segment overhead aside."""
        return math.ceil(positions * self.maps_bytes_per_position + tokens * self.bytes_per_token)

    def allocate(self, group: Group, size_bytes: int, measure: Measure) -> tuple[list[Allocation], int]:
        """The most tokens, to within a tolerance, with which the group's segments fit into `size_bytes`.

        Returns them and the bytes they take, which are more than `size_bytes` only at the floor.

        Bytes grow more slowly than tokens, as c n^p with p about 0.75: that sets the first step, and a
        straight line in logarithms between the nearest tries on both sides the next ones. Where several tries
        were too large the floor is tried, and given even if it does not fit.
        """
        room = max(1, size_bytes - len(group.errors) * SEGMENT_OVERHEAD)
        tokens = min(group.positions, max(1, self.tokens_for(room, group.positions)))
        below: tuple[int, int, list[Allocation]] | None = None
        above: tuple[int, int] | None = None
        for tries in range(1, _FIT_TRIES + 1):
            allocations = allocate_tokens(group, self.kind, tokens)
            got = sum(chosen.tokens for chosen in allocations)
            tried = measure(allocations)
            taken = tried.size_bytes
            self.learn(tried)
            if taken <= size_bytes:
                below = (got, taken, allocations)
                if got == group.positions or size_bytes - taken <= _FIT_TOLERANCE * size_bytes:
                    return allocations, taken
            else:
                above = (got, taken)
                if got > tokens:  # the floor
                    return allocations, taken
            tokens = self._next(below, above, room, len(group.errors) * SEGMENT_OVERHEAD)
            tokens = min(group.positions, max(1, tokens))
            if below is not None and tokens <= below[0]:
                break
            if below is None and tries >= _FLOOR_AFTER:
                tokens = 1
        return (below[2], below[1]) if below is not None else (allocations, taken)

    @staticmethod
    def _next(
        below: tuple[int, int, list[Allocation]] | None,
        above: tuple[int, int] | None,
        room: int,
        overhead: int,
    ) -> int:
        """Tokens to try next, aiming a little below the room."""
        aim = math.log(room * (1 - _FIT_TOLERANCE / 2))
        points = [
            (math.log(point[0]), math.log(max(1, point[1] - overhead))) for point in (below, above) if point
        ]
        (x, y), power = points[0], _BYTES_POWER
        if len(points) == 2 and points[1][1] > y:
            power = (points[1][1] - y) / max(points[1][0] - x, 1e-9)
        return int(math.exp(x + (aim - y) / max(power, 0.3)))

    def learn(self, written: Written) -> None:
        """Take note of what a group took, and of nothing before."""
        self._memory = (0.0,) * 4
        self.remember(written)

    def remember(self, written: Written) -> None:
        """Take note of what a group took, for all that follow; what was before counts half as much each time.

        A token is taken to cost what it did on average or in this group, whichever is more: bytes that are
        left over can still be spent on later groups, bytes that are missing cannot be had back.
        """
        maps = written.map_bytes + written.motion_bytes
        news = (written.token_bytes, written.tokens, maps, written.positions)
        self._memory = tuple(new + old / 2 for new, old in zip(news, self._memory, strict=True))
        token_bytes, tokens, map_bytes, positions = self._memory
        self.bytes_per_token = max(1e-3, token_bytes / tokens, written.token_bytes / written.tokens)
        self.maps_bytes_per_position = map_bytes / positions
        self.learned = True
