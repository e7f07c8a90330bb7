"""What other tokenizers' authors published, as points to draw beside ours.

The one table of such numbers. They were measured by others on other clips, so they say in which region
the field works and are no comparison.
"""

from __future__ import annotations

from dataclasses import dataclass

INFOTOK_PAPER = "arXiv 2512.16975"
VIDTOK_PAPER = "arXiv 2412.13061"


@dataclass(frozen=True, kw_only=True)
class PublishedPoint:
    """One reported result."""

    tokenizer: str
    bpp16: float
    """Nominal bits per pixel in sixteenths: a token of 16 bits for 4x8x8 pixels counts 1."""
    psnr_db: float
    clips: str
    """What it was measured on."""
    source: str


def _tokenbench(tokenizer: str, bpp16: float, psnr_db: float) -> PublishedPoint:
    return PublishedPoint(
        tokenizer=tokenizer, bpp16=bpp16, psnr_db=psnr_db, clips="TokenBench", source=INFOTOK_PAPER
    )


def _mcl_jcv(bpp16: float, psnr_db: float) -> PublishedPoint:
    return PublishedPoint(
        tokenizer="VidTok", bpp16=bpp16, psnr_db=psnr_db, clips="MCL-JCV, 256 rows", source=VIDTOK_PAPER
    )


PUBLISHED = (
    _tokenbench("Cosmos", 1.00, 30.01),
    _tokenbench("InfoTok", 0.81, 30.08),
    _tokenbench("InfoTok", 0.56, 29.27),
    _tokenbench("ElasticTok", 0.81, 28.26),
    _tokenbench("ElasticTok", 0.56, 27.34),
    _mcl_jcv(1.125, 30.78),
    _mcl_jcv(0.75, 28.36),
    _mcl_jcv(0.47, 27.95),
    _mcl_jcv(0.28, 26.37),
)
