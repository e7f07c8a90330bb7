"""The priority of this process's threads, which a codec library may take into its own hands."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress


@contextmanager
def kept_scheduling() -> Iterator[None]:
    """Give all threads the scheduling again that the calling one has now, whatever the block makes of it.

    SVT-AV1, opened by root, gives its threads and the one that opens it real-time priority, beside which
    no other program runs on those cores. Does nothing on systems other than Linux.
    """
    if not sys.platform.startswith("linux"):
        yield
        return
    policy, priority = os.sched_getscheduler(0), os.sched_getparam(0)
    try:
        yield
    finally:
        with suppress(OSError):
            for thread in os.listdir("/proc/self/task"):
                with suppress(OSError):  # it has ended
                    if os.sched_getscheduler(int(thread)) != policy:
                        os.sched_setscheduler(int(thread), policy, priority)
