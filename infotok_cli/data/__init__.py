"""Tokens as training data for torch."""

from __future__ import annotations

from infotok_cli.data.token_dataset import TokenDataset

__all__ = ["TokenDataset"]
