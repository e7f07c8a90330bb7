"""Headless Chromium through Playwright."""

from __future__ import annotations

import os
import shutil

ARGUMENTS = [
    "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
    "--disable-component-update", "--disable-sync",
]  # fmt: skip


def find_chromium() -> str | None:
    """The browser of the system, or the one that INFOTOK_CHROMIUM names."""
    named = os.environ.get("INFOTOK_CHROMIUM")
    return named or shutil.which("chromium") or shutil.which("chromium-browser")
