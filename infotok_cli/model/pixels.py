"""Pixels as numbers: whole levels 0..255 outside the network, [-1, 1] inside."""

from __future__ import annotations

from torch import Tensor


def to_signal(pixels: Tensor) -> Tensor:
    """float32 in [-1, 1] of uint8 pixels, any shape; what is float is a signal already."""
    if pixels.is_floating_point():
        return pixels
    # Of uint8, float() is a copy, so nothing of the caller's is overwritten.
    return pixels.float().div_(127.5).sub_(1)


def to_pixels(signal: Tensor) -> Tensor:
    """uint8 of floats, any shape, of which -1 is black and 1 white; `signal` is overwritten."""
    return signal.add_(1).mul_(127.5).round_().clamp_(0, 255).byte()
