"""LPIPS and DISTS: nothing between equal pictures, more the worse they get, and what others computed."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from infotok_cli.perceptual.dists import Dists
from infotok_cli.perceptual.lpips import NETWORKS, Lpips
from infotok_cli.perceptual.networks import ALEXNET, VGG16
from make_video import moving_shapes

pytestmark = pytest.mark.usefixtures("weights")

Picture = NDArray[np.uint8]

MAKERS: dict[str, Callable[[], Callable[[Picture, Picture], float]]] = {
    "lpips-vgg": lambda: Lpips("lpips-vgg"),
    "lpips-alex": lambda: Lpips("lpips-alex"),
    "dists": Dists,
}


@pytest.fixture(scope="module", params=list(MAKERS))
def distance(request: pytest.FixtureRequest) -> Callable[[Picture, Picture], float]:
    return MAKERS[request.param]()


@pytest.fixture(scope="module")
def source() -> Picture:
    return moving_shapes(1, 64, 80)[0]


def blurred(picture: Picture, times: int) -> Picture:
    soft = picture.astype(np.float32)
    for _ in range(times):
        sides = [np.roll(soft, by, axis) for axis in (0, 1) for by in (-1, 1)]
        soft = (np.sum(sides, axis=0) + 4 * soft) / 8
    return np.rint(soft).astype(np.uint8)


def noisy(picture: Picture, spread: int) -> Picture:
    noise = np.random.default_rng(0).normal(0, 1, picture.shape)
    return np.clip(picture + spread * noise, 0, 255).round().astype(np.uint8)


def test_an_equal_picture_is_at_no_distance(
    distance: Callable[[Picture, Picture], float], source: Picture
) -> None:
    assert distance(source, source.copy()) == pytest.approx(0, abs=1e-9)


@pytest.mark.parametrize("worse", [blurred, noisy])
def test_distance_grows_with_blur_and_noise(
    distance: Callable[[Picture, Picture], float], source: Picture, worse: Callable[[Picture, int], Picture]
) -> None:
    distances = [distance(source, worse(source, amount)) for amount in (1, 4, 16, 48)]
    assert distances == sorted(distances)
    assert distances[0] > 0
    assert distances[-1] > 2 * distances[0]
    assert distances[-1] > 0.05


def reference_pair(height: int, width: int) -> tuple[Picture, Picture]:
    y, x = np.mgrid[:height, :width]
    squares = 255 * ((x // 16 + y // 16) % 2)
    one = np.stack([127 + (x * 7 + y * 3) % 101, (x * y) % 256, squares], -1)
    other = np.stack([one[..., 1], one[..., 0], (one[..., 2] + 40 * ((x + y) % 3)) % 256], -1)
    return one.astype(np.uint8), other.astype(np.uint8)


@pytest.mark.parametrize(
    ("name", "size", "expected"),
    [
        # The package lpips 0.1.4 over the same networks, and the package dists-pytorch 0.1.
        ("lpips-vgg", (64, 96), 0.6660222),
        ("lpips-vgg", (47, 61), 0.7363645),
        ("lpips-alex", (64, 96), 0.3221270),
        ("lpips-alex", (47, 61), 0.3104270),
        ("dists", (64, 96), 0.4082474),
        ("dists", (47, 61), 0.3915087),
    ],
)
def test_values_are_those_of_the_authors_programs(name: str, size: tuple[int, int], expected: float) -> None:
    assert MAKERS[name]()(*reference_pair(*size)) == pytest.approx(expected, abs=2e-6)


def test_dists_of_noise_is_what_torchmetrics_documents() -> None:
    """The example in its documentation, with samples rounded to 8 bits; its VGG16 is torchvision's."""
    torch.manual_seed(42)
    pictures = [torch.rand(5, 3, 256, 256)[0] for _ in range(2)]
    one, other = ((255 * picture).round().byte().permute(1, 2, 0).numpy() for picture in pictures)
    assert Dists()(one, other) == pytest.approx(0.1285, abs=4e-4)


def test_smallest_pictures_get_through() -> None:
    for name, network in NETWORKS.items():
        side = network.smallest_side
        picture = moving_shapes(1, side, side + 3)[0]
        assert Lpips(name)(picture, 255 - picture) > 0
    assert Dists()(picture[:16, :16], 255 - picture[:16, :16]) > 0
    with pytest.raises(RuntimeError, match="size"):
        Lpips("lpips-alex")(*[np.zeros((ALEXNET.smallest_side - 1, 40, 3), np.uint8)] * 2)
    with pytest.raises(RuntimeError, match="size"):
        Lpips("lpips-vgg")(*[np.zeros((VGG16.smallest_side - 1, 40, 3), np.uint8)] * 2)
