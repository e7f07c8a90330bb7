"""How many segments go through the network at once."""

from __future__ import annotations

import time
from typing import Any

import pytest

from infotok_cli.model.tokenizer import Tokenizer


def counted_calls(monkeypatch: pytest.MonkeyPatch, *, seconds: float = 0.0) -> dict[str, list[int]]:
    """Segments in each later call of the network, by what it does.

    seconds: what each call takes longer, as on a device that is busy.
    """
    calls: dict[str, list[int]] = {"predict": [], "encode_steps": [], "decode_steps": []}
    for name, sizes in calls.items():
        plain = getattr(Tokenizer, name)

        def counted(
            self: Tokenizer, *given: Any, plain: Any = plain, sizes: list[int] = sizes, **named: Any
        ) -> Any:
            sizes.append(len(given[0]))
            time.sleep(seconds)
            return plain(self, *given, **named)

        monkeypatch.setattr(Tokenizer, name, counted)
    return {name.removesuffix("_steps"): sizes for name, sizes in calls.items()}
