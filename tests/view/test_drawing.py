"""What a view looks like, measured in its pixels."""

from __future__ import annotations

import numpy as np
import pytest

from infotok_cli.view.drawing import (
    BAR,
    HEAD,
    Pane,
    Sheet,
    Timeline,
    heat_colours,
    heat_over,
    legend,
)


def luma(colours: np.ndarray) -> np.ndarray:
    return colours.astype(float) @ np.array([0.2126, 0.7152, 0.0722])


def test_heat_rises_in_brightness_from_one_in_eight_to_all() -> None:
    colours = heat_colours(np.geomspace(1 / 8, 1, 64))
    assert (np.diff(luma(colours)) >= 0).all()
    assert luma(colours[-1]) > luma(colours[0]) + 120
    assert (heat_colours(np.array([0.0, 1 / 8]))[0] == heat_colours(np.array([1 / 8]))[0]).all()


def test_heat_lies_where_its_blocks_are() -> None:
    grey = np.full((32, 48, 3), 128, np.uint8)
    shares = np.array([[1 / 8, 1.0, 1 / 8], [1 / 8, 1 / 8, 1 / 8]])
    shown = luma(heat_over(grey, shares))
    bright = np.zeros((32, 48), bool)
    bright[:16, 16:32] = True
    assert shown[bright].min() > shown[~bright].max()


def test_the_picture_is_seen_through_the_heat() -> None:
    picture = np.zeros((16, 32, 3), np.uint8)
    picture[:, 16:] = 255
    shown = luma(heat_over(picture, np.full((1, 2), 0.5)))
    assert shown[:, 16:].min() > shown[:, :16].max() + 50


@pytest.mark.parametrize(("height", "width"), [(256, 456), (720, 1280), (456, 256), (64, 64)])
@pytest.mark.parametrize("panes", [1, 2, 4])
def test_panes_stand_side_by_side_above_the_chart(height: int, width: int, panes: int) -> None:
    colours = [(200, 20, 20), (20, 200, 20), (20, 20, 200), (200, 200, 20)][:panes]
    pictures = [np.broadcast_to(np.uint8(colour), (height, width, 3)).copy() for colour in colours]
    timeline = Timeline(np.array([0.25, 1.0]), np.array([0.5, 1.0]), np.zeros(2, bool), 2.0)
    rows = min(max(height, 256), 540)
    sheet = Sheet([(width, height)] * panes, "a · b", timeline, height=rows)
    view = sheet.draw([Pane("a label", picture) for picture in pictures], 0.75)
    assert view.shape[0] % 2 == view.shape[1] % 2 == 0
    places = []
    for colour in colours:
        found = np.argwhere((view == colour).all(axis=-1))
        tall, wide = np.ptp(found, axis=0) + 1
        assert tall == rows
        assert abs(wide - width * rows / height) <= 1
        places.append(found[:, 1].min())
    assert places == sorted(places)
    # The later half has four times the tokens; the head stands in it.
    bars = (view == BAR).all(axis=-1)
    half = view.shape[1] // 2
    assert bars[:, half:].any(axis=1).sum() > 2.5 * bars[:, : half - 8].any(axis=1).sum()
    head = np.argwhere((view == HEAD).all(axis=-1))[:, 1].mean()
    assert head == pytest.approx(0.75 * view.shape[1], abs=0.02 * view.shape[1])


def test_labels_lose_their_last_parts_where_there_is_no_room() -> None:
    picture = np.zeros((256, 60, 3), np.uint8)
    timeline = Timeline(np.array([1.0]), np.array([1.0]), np.zeros(1, bool), 1.0)
    words = " · ".join(["infotok", "a part that is far too long for this", "27.1 dB"])
    view = Sheet([(60, 256)] * 2, words, timeline, height=256).draw([Pane(words, picture)] * 2, 0.5)
    assert view.shape[1] < 200


def test_the_legend_shows_both_ends_of_the_scale() -> None:
    grey = np.full((256, 456, 3), 60, np.uint8)
    with_scale = legend(grey)
    changed = (with_scale != grey).any(axis=-1)
    assert changed[-60:, :120].any()
    assert not changed[:128].any()
    for share in (1 / 8, 1.0):
        assert (with_scale == heat_colours(np.array([share]))[0]).all(axis=-1).any()
