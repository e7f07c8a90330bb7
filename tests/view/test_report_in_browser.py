"""A report in a real browser: headless Chromium, driven through Playwright, the page opened from disk.

Fails, and says what to install, where one of them is missing.
"""

from __future__ import annotations

import base64
import dataclasses
import io
import json
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from browser import ARGUMENTS, find_chromium
from infotok_cli.evaluate.results import SCHEMA, SCHEMA_VERSION
from infotok_cli.itk.edit import repair_file
from infotok_cli.itk.report import report_stats
from infotok_cli.view import report_page
from infotok_cli.view.drawing import HATCH, heat_colours
from infotok_cli.view.report import Report, make_report
from made_clip import RATES, MadeClip, broken, made_clip
from made_rows import anchor_row, our_row

if TYPE_CHECKING:
    from playwright.sync_api import BrowserContext, Page

WIDE, NARROW = {"width": 1400, "height": 900}, {"width": 400, "height": 800}

Open = Callable[..., "Page"]


def chromium() -> str:
    """The browser of the system; fails where there is none."""
    found = find_chromium()
    if found is None:
        pytest.fail("no Chromium: apt-get install chromium, or set INFOTOK_CHROMIUM to its path")
    return found


@pytest.fixture(scope="module")
def clip(tmp_path_factory: pytest.TempPathFactory) -> MadeClip:
    return made_clip(tmp_path_factory.mktemp("clip"))


@pytest.fixture(scope="module")
def whole(clip: MadeClip, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A page of two files with source and curves."""
    folder = tmp_path_factory.mktemp("whole")
    rows = [our_row("a", rate, rate / 4, 12 + 8 * rate) for rate in (0.25, 0.5, 1.0)]
    rows += [anchor_row("a", crf, 3 / crf, 30 - crf / 2) for crf in (20, 30)]
    clips = [dataclasses.asdict(row) for row in rows]
    results = folder / "eval.json"
    results.write_text(json.dumps({"schema": SCHEMA, "version": SCHEMA_VERSION, "clips": clips}))
    wish = Report(files=[clip.low, clip.high], source=clip.source, results=results)
    make_report(wish, folder / "whole.html", clip.engine())
    return folder / "whole.html"


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[BrowserContext]:
    try:
        from playwright.sync_api import sync_playwright
    except ImportError:
        pytest.fail("no Playwright: pip install playwright (it is among the extras 'dev')")
    with sync_playwright() as playwright:
        context = playwright.chromium.launch_persistent_context(
            tmp_path_factory.mktemp("profile"),
            executable_path=chromium(),
            args=ARGUMENTS,
            headless=True,
            viewport=WIDE,  # type: ignore[arg-type]
        )
        context.set_default_timeout(20_000)
        yield context
        context.close()


@pytest.fixture
def open_page(browser: BrowserContext) -> Iterator[Open]:
    """Opens a page and waits for its picture; no page may complain, or ask for anything outside of itself."""
    pages: list[Page] = []
    complaints: list[str] = []

    def opened(path: Path, fragment: str = "", script: str = "") -> Page:
        page = browser.new_page()
        pages.append(page)
        page.on("console", lambda message: complaints.append(f"{message.type}: {message.text}"))
        page.on("pageerror", lambda error: complaints.append(str(error)))
        page.on("request", lambda request: None if is_local(request.url) else complaints.append(request.url))
        if script:
            page.add_init_script(script)
        page.goto(path.as_uri() + fragment)
        page.wait_for_selector("#picture[data-frame]")
        return page

    yield opened
    for page in pages:
        page.close()
    assert complaints == []


def is_local(address: str) -> bool:
    return address.startswith(("file:", "blob:", "data:"))


def pixels(page: Page) -> NDArray[np.int64]:
    """`[H, W, 3]` of the picture."""
    address: str = page.evaluate("document.getElementById('picture').toDataURL('image/png')")
    picture = Image.open(io.BytesIO(base64.b64decode(address.split(",")[1])))
    return np.asarray(picture.convert("RGB")).astype(np.int64)


def wait_until(page: Page, condition: str) -> None:
    """As `Page.wait_for_function`, which the policy of the page forbids."""
    deadline = time.monotonic() + 20
    while not page.evaluate(condition):
        assert time.monotonic() < deadline, condition
        page.wait_for_timeout(20)


def wait_for_frame(page: Page, frame: int) -> None:
    page.wait_for_selector(f'#picture[data-frame="{frame}"]')


def data_of(page: Page) -> dict[str, Any]:
    values: dict[str, Any] = json.loads(page.locator("#data").text_content() or "")
    return values


def head_share(page: Page) -> float:
    """Where the play head stands on the plot, 0..1."""
    share: float = page.evaluate(
        """() => {
            const end = document.querySelector("#timeline .rest").getBBox();
            return (document.getElementById("head").x1.baseVal.value - end.x) / end.width;
        }"""
    )
    return share


def click_plot(page: Page, share: float) -> None:
    page.locator("#timeline").scroll_into_view_if_needed()
    box = page.locator("#timeline .rest").bounding_box()
    assert box is not None
    page.mouse.click(box["x"] + share * box["width"], box["y"] + box["height"] / 2)


def hold(page: Page, view: str) -> NDArray[np.int64]:
    """The picture with the divider far left, in this view at the present time."""
    page.focus("#divider")
    page.keyboard.press("Home")
    pressed = page.locator("button[aria-pressed=true]:is(#difference, #heat)")
    if pressed.count():
        pressed.click()
    if view != "picture":
        page.click(f"#{view}")
    return pixels(page)


def test_the_divider_parts_source_and_decoded(whole: Path, open_page: Open) -> None:
    page = open_page(whole, "#t=1.02")
    wait_for_frame(page, 20)
    divider, stage = page.locator("#divider"), page.locator("#stage").bounding_box()
    assert stage is not None
    decoded = hold(page, "picture")
    page.keyboard.press("End")
    source = pixels(page)
    assert np.abs(source - decoded).mean() > 10
    y = stage["y"] + stage["height"] / 2
    page.mouse.move(stage["x"] + stage["width"] - 1, y)
    page.mouse.down()
    page.mouse.move(stage["x"] + 0.25 * stage["width"], y, steps=4)
    page.mouse.up()
    assert divider.get_attribute("aria-valuenow") == "25"
    shown = pixels(page)
    assert (shown[:, :23] == source[:, :23]).all()
    assert (shown[:, 25:] == decoded[:, 25:]).all()
    page.keyboard.press("ArrowRight")
    assert divider.get_attribute("aria-valuenow") == "26"
    page.keyboard.press("Shift+ArrowLeft")
    assert divider.get_attribute("aria-valuenow") == "16"
    assert page.locator("#left").text_content() == "source"
    assert (page.locator("#right").text_content() or "").startswith("decoded · ")
    assert (page.locator("#right").text_content() or "").endswith(" dB")


def test_the_difference_is_four_times_as_strong(whole: Path, open_page: Open) -> None:
    page = open_page(whole, "#t=1.02")
    wait_for_frame(page, 20)
    decoded = hold(page, "picture")
    page.keyboard.press("End")
    source = pixels(page)
    shown = hold(page, "difference")
    assert page.locator("#difference").get_attribute("aria-pressed") == "true"
    expected = np.minimum(4 * np.abs(source - decoded), 255)
    assert np.abs(shown - expected).max() <= 4
    page.keyboard.press("d")
    assert page.locator("#difference").get_attribute("aria-pressed") == "false"
    assert (pixels(page) == decoded).all()


def test_heat_has_the_colours_of_its_shares(whole: Path, clip: MadeClip, open_page: Open) -> None:
    page = open_page(whole, "#t=1.02&file=2")
    wait_for_frame(page, 20)
    decoded = hold(page, "picture")
    shown = hold(page, "heat")
    assert page.locator("#heat").get_attribute("aria-pressed") == "true"
    assert page.locator("#scale").is_visible()
    from infotok_cli.container.reader import ItkReader
    from infotok_cli.view.scene import where_tokens_are

    with ItkReader(clip.high) as reader:
        where = where_tokens_are(reader)
    shares = where.shares[where.step_of_frame[20]]
    grey = decoded @ np.array([0.3, 0.59, 0.11])
    colours = heat_colours(shares).astype(float)
    for row, column in np.ndindex(*shares.shape):
        place = (slice(16 * row + 2, 16 * row + 14), slice(16 * column + 2, 16 * column + 14))
        expected = 0.62 * colours[row, column] + 0.38 * grey[place][..., None]
        assert np.abs(shown[place] - expected).max() < 8
    page.keyboard.press("h")
    assert (pixels(page) == decoded).all()


def test_a_click_on_the_plot_seeks_and_the_head_follows(whole: Path, open_page: Open) -> None:
    page = open_page(whole)
    wait_for_frame(page, 0)
    assert head_share(page) == pytest.approx(0, abs=0.01)
    before = pixels(page)
    click_plot(page, 0.76)
    wait_for_frame(page, 30)
    assert head_share(page) == pytest.approx(0.76, abs=0.01)
    assert np.abs(pixels(page) - before).mean() > 5
    row = page.locator("#segments tr[aria-current=true]")
    assert row.locator("button").text_content() == "3"
    timeline = page.locator("#timeline")
    timeline.focus()
    page.keyboard.press("Home")
    wait_for_frame(page, 0)
    page.keyboard.press("ArrowRight")
    wait_for_frame(page, 20)
    page.keyboard.press(".")
    wait_for_frame(page, 21)
    assert "of 2.00 s" in (timeline.get_attribute("aria-valuetext") or "")
    # The page's plot has the shape of the tokens: a step of the busiest segment reaches to the top.
    heights: list[float] = page.evaluate(
        """() => [...document.querySelector("#timeline .rest").getAttribute("d")
            .matchAll(/L[\\d.]+ ([\\d.]+)/g)].map((found) => Number(found[1]))"""
    )
    rates = data_of(page)["files"][0]["rates"]
    floor = max(heights)
    drawn = (floor - np.array(heights[:-1:2])) / (floor - min(heights))
    assert drawn.tolist() == pytest.approx([rate / max(rates) for rate in rates], abs=0.01)


def test_it_plays_in_step(whole: Path, open_page: Open) -> None:
    page = open_page(whole)
    wait_for_frame(page, 0)
    page.keyboard.press(" ")
    assert page.locator("#play").text_content() == "Pause"
    wait_until(page, "document.getElementById('picture').dataset.frame > 8")
    times: list[list[float]] = page.evaluate(
        """async () => {
            const seen = [];
            for (let count = 0; count < 5; count++) {
                await new Promise((done) => setTimeout(done, 60));
                seen.push([...document.querySelectorAll("video")].map((video) => video.currentTime));
            }
            return seen;
        }"""
    )
    # The first file and the source move together; the second file waits.
    moving = [sorted(now)[1:] for now in times]
    assert moving[-1][0] > moving[0][0]
    assert np.mean([abs(one - other) for one, other in moving]) < 0.1
    page.click("#play")
    share = head_share(page)
    assert share > 0.2
    frame = int(page.locator("#picture").get_attribute("data-frame") or 0)
    assert share * 40 == pytest.approx(frame + 0.5, abs=1)
    page.click("#play")
    wait_until(page, "document.getElementById('play').textContent === 'Play'")
    wait_for_frame(page, 39)
    assert head_share(page) == pytest.approx(1, abs=0.01)


def test_the_address_keeps_and_restores_a_view(whole: Path, open_page: Open) -> None:
    page = open_page(whole, "#t=1.32&x=0.4&view=heat&file=2")
    wait_for_frame(page, 26)
    assert page.locator("#divider").get_attribute("aria-valuenow") == "40"
    assert page.locator("#heat").get_attribute("aria-pressed") == "true"
    assert page.locator("#files button").nth(1).get_attribute("aria-pressed") == "true"
    assert page.locator("#name").text_content() == "high.itk"
    page.keyboard.press("1")
    page.keyboard.press("d")
    click_plot(page, 0.51)
    wait_for_frame(page, 20)
    wait_until(page, "/t=1[.]0.*view=difference&file=1/.test(location.hash)")
    parts = dict(part.split("=") for part in page.evaluate("location.hash.slice(1)").split("&"))
    assert float(parts["t"]) == pytest.approx(1.02, abs=0.02)
    assert parts["x"] == "0.4"
    seen = pixels(page)
    again = open_page(whole, page.evaluate("location.hash"))
    wait_for_frame(again, int(page.locator("#picture").get_attribute("data-frame") or 0))
    assert np.abs(pixels(again) - seen).max() <= 2
    for wrong in ("#t=nan&x=7&view=<b>&file=99", "#t=-3&x=&view=__proto__&file=0", "#%%%"):
        odd = open_page(whole, wrong)
        assert odd.locator("#picture").get_attribute("data-frame") == "0"


def test_keys_switch_files(whole: Path, clip: MadeClip, open_page: Open) -> None:
    page = open_page(whole, "#t=1.02")
    wait_for_frame(page, 20)
    low = hold(page, "picture")
    page.keyboard.press("2")
    wait_until(page, "document.getElementById('name').textContent === 'high.itk'")
    wait_until(page, "[...document.querySelectorAll('video')].every((video) => !video.seeking)")
    assert np.abs(pixels(page) - low).mean() > 0.5
    stats = report_stats(clip.high)
    assert f"{stats.file.tokens:,} tokens" in (page.locator("#headline").text_content() or "")
    totals = page.locator("#bytes tfoot td").all_text_contents()
    assert totals == ["all", f"{clip.high.stat().st_size:,}", "100.0 %"]
    page.keyboard.press("9")
    page.locator("#files button").nth(0).click()
    assert page.locator("#name").text_content() == "low.itk"
    shown = page.locator("#plot .own.shown")
    assert shown.count() == 1
    assert page.locator("#plot .own").count() == 2
    assert page.locator("#legend li").all_text_contents() == ["small fast", "x264"]


def test_the_table_sorts_by_any_column(whole: Path, clip: MadeClip, open_page: Open) -> None:
    page = open_page(whole)
    rows = report_stats(clip.low).segments
    heads = page.locator("#segments th button")
    assert heads.all_text_contents() == [
        "segment", "start s", "end s", "positions", "tokens", "rate", "map B", "motion B", "token B",
    ]  # fmt: skip
    cells = page.locator("#segments tbody tr td:nth-child(1)")
    heads.nth(4).focus()
    page.keyboard.press("Enter")
    by_tokens = [str(row.number) for row in sorted(rows, key=lambda row: (row.tokens, row.number))]
    assert cells.all_text_contents() == by_tokens
    assert page.locator("#segments th").nth(4).get_attribute("aria-sort") == "ascending"
    page.keyboard.press("Enter")
    assert cells.all_text_contents() == by_tokens[::-1]
    assert page.locator("#segments th").nth(4).get_attribute("aria-sort") == "descending"
    assert page.locator("#segments th").nth(0).get_attribute("aria-sort") == "none"
    page.get_by_role("button", name=f"Go to segment {by_tokens[-1]} ").click()
    wait_for_frame(page, 8 * int(by_tokens[-1]))


@pytest.mark.parametrize("size", [WIDE, NARROW])
@pytest.mark.parametrize("scheme", ["dark", "light"])
def test_it_fits_windows_and_colour_schemes(
    whole: Path, open_page: Open, size: dict[str, int], scheme: str
) -> None:
    page = open_page(whole)
    page.set_viewport_size(size)  # type: ignore[arg-type]
    page.emulate_media(color_scheme=scheme)  # type: ignore[arg-type]
    wait_until(
        page,
        "document.querySelector('#timeline svg').viewBox.baseVal.width"
        " === document.getElementById('timeline').clientWidth",
    )
    assert page.evaluate("document.documentElement.scrollWidth") <= size["width"]
    for name in ("#stage", "#tools", "#timeline", "#bytes", "#plot", "#scroller"):
        box = page.locator(name).bounding_box()
        assert box is not None
        assert box["x"] >= 0
        assert box["x"] + box["width"] <= size["width"]
        assert box["height"] > 30
    ground = page.evaluate("getComputedStyle(document.body).backgroundColor.match(/\\d+/g).map(Number)")
    assert (sum(ground) < 200) == (scheme == "dark")
    click_plot(page, 0.51)
    wait_for_frame(page, 20)


def test_all_that_can_be_used_has_a_name_and_takes_the_focus(whole: Path, open_page: Open) -> None:
    page = open_page(whole)
    reached = []
    for _ in range(14):
        page.keyboard.press("Tab")
        reached.append(page.evaluate("document.activeElement.id || document.activeElement.textContent"))
    wanted = ["divider", "play", "difference", "heat", "save", "timeline"]
    assert [name for name in reached if name in wanted] == wanted
    nameless = page.evaluate(
        """() => [...document.querySelectorAll("button, [role=slider], [role=img], [role=region]")]
            .filter((one) => !one.hidden && !one.textContent.trim() && !one.getAttribute("aria-label")
                && !one.getAttribute("aria-labelledby")).map((one) => one.outerHTML)"""
    )
    assert nameless == []


def test_the_picture_is_saved_as_it_is_seen(whole: Path, open_page: Open, tmp_path: Path) -> None:
    page = open_page(whole, "#t=1.02&x=0.5&view=difference")
    wait_for_frame(page, 20)
    with page.expect_download() as waiting:
        page.click("#save")
    assert waiting.value.suggested_filename == "low-1.02s-difference.png"
    waiting.value.save_as(tmp_path / "saved.png")
    saved = np.asarray(Image.open(tmp_path / "saved.png").convert("RGB")).astype(int)
    seen = pixels(page)
    assert saved.shape == seen.shape
    # Above the labels, beside the line of the divider.
    for columns in (slice(0, 46), slice(50, 96)):
        assert np.abs(saved[:40, columns] - seen[:40, columns]).max() <= 1
    assert (saved[:40, 47:49] == 255).all()


def test_without_source_there_are_decoded_and_heat(clip: MadeClip, tmp_path: Path, open_page: Open) -> None:
    """Also: odd sizes, a lost segment, and a name full of markup."""
    made = made_clip(tmp_path, width=45, height=33)
    path = tmp_path / "<img src=x onerror=alert(1)>.itk"
    (tmp_path / "bent.itk").write_bytes(broken(made.high.read_bytes(), 2))
    repair_file(tmp_path / "bent.itk", path)
    make_report(Report(files=[path]), tmp_path / "plain.html", made.engine())
    page = open_page(tmp_path / "plain.html", "#t=0.01&view=difference")
    assert page.title() == path.name == page.locator("#name").text_content()
    assert page.locator("img").count() == 0
    for name in ("#difference", "#divider", "#files", "#curves"):
        assert page.locator(name).is_hidden()
    plain = pixels(page)
    assert plain.shape == (33, 45, 3)
    page.keyboard.press("h")
    assert page.locator("#divider").is_visible()
    heat = pixels(page)
    assert (heat[:, :21] == plain[:, :21]).all()
    assert np.abs(heat[:, 24:] - plain[:, 24:]).mean() > 5
    assert page.locator('#timeline rect[fill="url(#hatching)"]').count() == 1
    click_plot(page, 0.5)
    wait_for_frame(page, 20)
    assert "lost" in (page.locator("#right").text_content() or "")
    assert page.locator("#segments tr.lost td").nth(4).text_content() == "lost"
    assert "1 of 5 segments lost" in (page.locator("#headline").text_content() or "")
    # Stripes lie over both sides, decoded and heat, and nowhere else in time.
    assert striped(plain) < 0.02
    for side in (slice(0, 21), slice(24, 45)):
        assert striped(pixels(page)[:, side]) > 0.05
    page.keyboard.press("h")
    assert striped(pixels(page)) > 0.05


def striped(picture: NDArray[np.int64]) -> float:
    """Share of the pixels that have about the colour of stripes."""
    return float((np.abs(picture - HATCH).max(axis=-1) < 30).mean())


def test_videos_beside_the_page_play_too(
    clip: MadeClip, tmp_path: Path, open_page: Open, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(report_page, "EMBED_LIMIT_BYTES", 1000)
    wish = Report(files=[clip.low], source=clip.source)
    made = make_report(wish, tmp_path / "a large page.html", clip.engine())
    assert made.published.folder is not None
    page = open_page(tmp_path / "a large page.html", "#t=1.02")
    wait_for_frame(page, 20)
    page.click("#play")
    wait_until(page, "document.getElementById('picture').dataset.frame > 25")
    page.click("#play")
    page.click("#save")
    wait_until(page, "document.getElementById('status').textContent.includes('take a screenshot')")


def test_without_h264_pictures_stand_for_the_videos(whole: Path, open_page: Open) -> None:
    page = open_page(whole, "#t=1.0", "HTMLMediaElement.prototype.canPlayType = () => ''")
    assert "cannot play H.264" in (page.locator("#trouble").text_content() or "")
    assert page.locator("#play").is_disabled()
    assert page.locator("video").count() == 0
    poster = data_of(page)["poster"]
    assert page.locator("#picture").get_attribute("data-frame") == str(poster)
    decoded = hold(page, "picture")
    assert np.abs(hold(page, "heat") - decoded).mean() > 5
    page.focus("#divider")
    page.keyboard.press("End")
    assert np.abs(pixels(page) - decoded).mean() > 5
    assert page.locator("#segments tbody tr").count() == len(RATES)
