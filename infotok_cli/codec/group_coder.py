"""A group of routed segments, coded: for trial, to see what that takes, and for good."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator

from infotok_cli.allocation.allocate import Allocation
from infotok_cli.allocation.planner import NOTHING, Group, Written
from infotok_cli.codec.batches import batches, started_early
from infotok_cli.codec.groups import Pending, batch_size, group_view
from infotok_cli.codec.job import EncodeJob
from infotok_cli.codec.progress import Tally
from infotok_cli.container.writer import ItkWriter
from infotok_cli.itk.tokens import Payloads, pack_tokens
from infotok_cli.segment_tokens import Tokens


class GroupCoder:
    """The payloads that a group's segments get with given allocations.

    They follow from the keep maps alone: what was coded for trial is not coded again for good.
    """

    def __init__(self, job: EncodeJob, group: list[Pending]) -> None:
        """`group` is emptied when it is written."""
        self.group = group
        self._job = job
        self._tried: dict[tuple[bytes, ...], list[Payloads]] = {}
        """By the keep maps of the segments."""

    def view(self) -> Group:
        """What a planner needs to know of the group."""
        return group_view(self.group, self._job.header)

    def clear(self) -> None:
        """Let go of segments and payloads."""
        self.group.clear()
        self._tried.clear()

    def measure(self, allocations: list[Allocation]) -> Written:
        """What the group would take in the file."""
        key = _key(allocations)
        if key not in self._tried:
            pairs = zip(self.group, allocations, strict=True)
            self._tried[key] = [payloads for _, _, payloads in self._coded(pairs)]
        total = NOTHING
        for chosen, payloads in zip(allocations, self._tried[key], strict=True):
            total += _counted(chosen, payloads)
        return total

    def write(self, allocations: list[Allocation], writer: ItkWriter, tally: Tally) -> Written:
        """Write the segments and empty the group; returns what they took."""
        total = NOTHING
        for pending, chosen, payloads in self._for_good(allocations):
            writer.write_segment(
                frames=pending.frames,
                tokens=chosen.tokens,
                map_payload=payloads.keep,
                motion_payload=payloads.motion,
                token_payload=payloads.ids,
                durations=pending.durations,
                packets=pending.packets,
            )
            segment = _counted(chosen, payloads)
            total += segment
            tally.wrote(pending.frames, segment)
        return total

    def _for_good(self, allocations: list[Allocation]) -> Iterable[tuple[Pending, Allocation, Payloads]]:
        """Segments with their payloads, taken out, so that a group is gone before the next one is whole."""
        tried = self._tried.get(_key(allocations)) if self._tried else None
        self._tried.clear()
        self.group.reverse()
        pairs = ((self.group.pop(), chosen) for chosen in allocations)
        if tried is None:
            return self._coded(pairs)
        return ((*pair, payloads) for pair, payloads in zip(pairs, tried, strict=True))

    def _coded(
        self, pairs: Iterable[tuple[Pending, Allocation]]
    ) -> Iterator[tuple[Pending, Allocation, Payloads]]:
        """Segments with their payloads; a CUDA device codes a batch while the one before is packed."""
        engine, header = self._job.engine, self._job.header
        together = batches(pairs, batch_size(self._job), lambda pair: (pair[0].frames, pair[1].keep.shape))
        early = engine.runtime.device.type == "cuda"
        for (pending, chosen), tokens in started_early(together, self._start, early=early):
            yield pending, chosen, pack_tokens(tokens, header, engine.loaded.token_net)

    def _start(self, pairs: list[tuple[Pending, Allocation]]) -> Callable[[], list[Tokens]]:
        segments = [(pending.footage, chosen.keep) for pending, chosen in pairs]
        return self._job.engine.start_tokens(segments, self._job.options.refine)


def _key(allocations: list[Allocation]) -> tuple[bytes, ...]:
    return tuple(chosen.keep.tobytes() for chosen in allocations)


def _counted(chosen: Allocation, payloads: Payloads) -> Written:
    return Written(
        segments=1,
        positions=chosen.keep.size,
        tokens=chosen.tokens,
        map_bytes=len(payloads.keep),
        motion_bytes=len(payloads.motion),
        token_bytes=len(payloads.ids),
    )
