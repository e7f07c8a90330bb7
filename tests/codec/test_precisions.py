"""Files made in one precision and shown in another: rounding must not add up over the steps of the loop."""

from __future__ import annotations

from itertools import islice

import numpy as np
import pytest

from infotok_cli.blocks import token_grid
from infotok_cli.codec.demo_clip import PHASE_FRAMES, sample_frames
from infotok_cli.codec.load_engine import load_engine
from infotok_cli.config import SEGMENT_FRAMES
from infotok_cli.metrics import average_psnr, psnr


@pytest.mark.parametrize("encoded", ["bf16", "fp32"])
def test_what_the_other_precision_shows_is_as_good(encoded: str) -> None:
    """With the packaged weights, a whole segment, all tokens."""
    frames = np.stack(list(islice(sample_frames(), PHASE_FRAMES, PHASE_FRAMES + SEGMENT_FRAMES)))
    frames = np.ascontiguousarray(frames[:, :64, :64])
    engines = {kind: load_engine("small", "cpu", precision=kind) for kind in ("bf16", "fp32")}
    keep = np.ones(token_grid(*frames.shape[:3]), np.bool_)
    tokens = engines[encoded].encode(engines[encoded].footage(frames), keep).tokens
    own, other = (
        engines[kind].decode(tokens, *frames.shape[:3])
        for kind in (encoded, "fp32" if encoded == "bf16" else "bf16")
    )
    assert average_psnr(psnr(frames, own)) > 20
    assert average_psnr(psnr(frames, other)) > average_psnr(psnr(frames, own)) - 0.2
    # And about as near to each other at the end as at the start.
    apart = psnr(own, other)
    assert apart[-4:].mean() > apart[:4].mean() - 10
