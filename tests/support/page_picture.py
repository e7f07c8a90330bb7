"""A picture of a report as a browser shows it: python tests/support/page_picture.py PAGE.html OUT.png"""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

from PIL import Image
from playwright.sync_api import sync_playwright

from browser import ARGUMENTS, find_chromium

SIZE = {"width": 1000, "height": 950}
SEEN = "#t=2.82&x=0.5&view=heat"


def main() -> None:
    page_path, target = Path(sys.argv[1]), Path(sys.argv[2])
    browser = find_chromium()
    if browser is None:
        sys.exit("no Chromium: apt-get install chromium, or set INFOTOK_CHROMIUM to its path")
    with sync_playwright() as playwright, tempfile.TemporaryDirectory() as profile:
        context = playwright.chromium.launch_persistent_context(
            profile,
            executable_path=browser,
            args=ARGUMENTS,
            headless=True,
            viewport=SIZE,  # type: ignore[arg-type]
            color_scheme="dark",
        )
        page = context.new_page()
        page.goto(page_path.resolve().as_uri() + SEEN)
        page.wait_for_selector("#picture[data-frame='84']")
        page.wait_for_timeout(500)
        page.screenshot(path=target)
        context.close()
    Image.open(target).convert("RGB").save(target, optimize=True)


if __name__ == "__main__":
    main()
