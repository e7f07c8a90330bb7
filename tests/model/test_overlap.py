"""Patches that reach over their neighbours."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F

from infotok_cli.config import ModelConfig
from infotok_cli.errors import ModelError
from infotok_cli.model.grid import patch_values, unpatchify, widened
from infotok_cli.model.tokenizer import Tokenizer
from infotok_cli.train.initial_weights import with_overlap
from made_motion import motion_for


@pytest.mark.parametrize("overlap", [1, 2, 4])
@pytest.mark.parametrize("grid", [(1, 1, 1), (2, 1, 3), (1, 4, 2)], ids=str)
def test_overlapping_patches_are_added_up(overlap: int, grid: tuple[int, int, int]) -> None:
    t, h, w = grid
    side = 8 + 2 * overlap
    patches = torch.randn(2, t, h, w, patch_values(overlap), dtype=torch.float64, requires_grad=True)
    shown = unpatchify(patches, overlap)
    # [B, t, h, w, 4, side, side, 3] -> [B t, 4 3 side side, h w], as fold wants them
    cells = (
        patches.view(2, t, h, w, 4, side, side, 3).permute(0, 1, 4, 7, 5, 6, 2, 3).reshape(2 * t, -1, h * w)
    )
    whole = (8 * h + 2 * overlap, 8 * w + 2 * overlap)
    folded = F.fold(cells, whole, side, stride=8)[..., overlap:-overlap, overlap:-overlap]
    folded = folded.view(2, t, 4, 3, 8 * h, 8 * w).permute(0, 1, 2, 4, 5, 3).reshape(shown.shape)
    torch.testing.assert_close(shown, folded)
    weights = torch.randn_like(shown)
    ours, theirs = (
        torch.autograd.grad((x * weights).sum(), patches, retain_graph=True) for x in (shown, folded)
    )
    torch.testing.assert_close(ours, theirs)


def test_margins_of_zero_change_nothing() -> None:
    patches = torch.randn(1, 2, 3, 2, patch_values())
    wide = widened(patches.permute(4, 0, 1, 2, 3), 3).permute(1, 2, 3, 4, 0)
    assert torch.equal(unpatchify(wide, 3), unpatchify(patches))


def test_a_model_grows_margins_without_changing() -> None:
    torch.manual_seed(0)
    config = ModelConfig(
        name="tiny", width=64, head_width=32, compressor_blocks=1, decoder_blocks=1, mlp_width=64
    )
    model = Tokenizer(config).eval()
    ids, keep = torch.randint(0, 64000, (1, 2, 3, 4)), torch.ones(1, 2, 3, 4, dtype=torch.bool)
    motion = motion_for(keep)
    with torch.no_grad():
        before = model.decode(ids, keep, motion)
        grown = with_overlap(model, 2)
        torch.testing.assert_close(grown.decode(ids, keep, motion), before)
    assert grown.config.overlap == 2
    assert ModelConfig.from_json(grown.config.to_json()) == grown.config
    assert "overlap" not in config.to_json()
    with pytest.raises(ModelError, match="overlap 5 is out of range"):
        ModelConfig(name="x", overlap=5)
