"""A process that is killed while it finishes a file leaves the old one or the new one, never half of it."""

from __future__ import annotations

import os
import signal
from pathlib import Path
from typing import Any

import pytest

from infotok_cli.atomic import atomic_output

STEPS = ("open", "fsync", "chmod", "replace", "link", "unlink", "rename", "close")
NEW = b"new" * 5000


def write_and_die(target: Path, overwrite: bool, die_at: int) -> bool:
    """Write `target` in a child that kills itself before system call number `die_at`; True if it did."""
    child = os.fork()
    if child:
        _, status = os.waitpid(child, 0)
        return os.WIFSIGNALED(status) and os.WTERMSIG(status) == signal.SIGKILL
    calls = 0

    def dying(plain: Any) -> Any:
        def call(*arguments: Any, **options: Any) -> Any:
            nonlocal calls
            if calls == die_at:
                os.kill(os.getpid(), signal.SIGKILL)
            calls += 1
            return plain(*arguments, **options)

        return call

    try:
        for name in STEPS:
            setattr(os, name, dying(getattr(os, name)))
        with atomic_output(target, overwrite) as file:
            file.write(NEW[:9000])
            file.flush()
            os.fsync(file.fileno())
            file.write(NEW[9000:])
    finally:
        os._exit(0)


@pytest.mark.parametrize("old", [None, b"old"])
def test_killed_before_each_step(tmp_path: Path, old: bytes | None) -> None:
    seen = set()
    for die_at in range(100):
        target = tmp_path / f"{die_at}.itk"
        if old is not None:
            target.write_bytes(old)
        died = write_and_die(target, old is not None, die_at)
        found = target.read_bytes() if target.exists() else None
        assert found in (old, NEW)
        seen.add(found)
        if not died:
            assert found == NEW
            break
    else:
        pytest.fail("the steps did not end")
    assert die_at >= 5
    assert seen == {old, NEW}
