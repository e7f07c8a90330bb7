"""Import direction: a module imports only lower ranks, and heavy libraries stay where they belong."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent

RANKS = {
    "infotok_kernels": 0,
    "infotok_weights": 0,
    "infotok_cli": 0,  # the package's own __init__
    "infotok_cli.errors": 0,
    "infotok_cli.routers": 0,
    "infotok_cli.token_codings": 0,
    "infotok_cli.config": 0,
    "infotok_cli.blocks": 0,
    "infotok_cli.motion": 0,
    "infotok_cli.segment_tokens": 0,
    "infotok_cli.files": 0,
    "infotok_cli.kinds": 0,
    "infotok_cli.atomic": 0,
    "infotok_cli.places": 0,
    "infotok_cli.sound": 0,
    "infotok_cli.tags": 0,
    "infotok_cli.colour": 0,
    "infotok_cli.metrics": 0,
    "infotok_cli.wording": 0,
    "infotok_cli.container": 1,
    "infotok_cli.entropy": 1,
    "infotok_cli.video": 1,
    "infotok_cli.allocation": 2,
    "infotok_cli.itk": 2,
    "infotok_cli.model": 3,
    "infotok_cli.data": 3,
    "infotok_cli.perceptual": 3,
    "infotok_cli.codec": 4,
    "infotok_cli.train": 5,
    "infotok_cli.evaluate": 5,
    "infotok_cli.bench": 5,
    "infotok_cli.batch": 5,
    "infotok_cli.view": 6,
    "infotok_cli.cli": 7,
    "infotok_cli.__main__": 8,
}

# Rank-0 modules of the package may use each other in this order.
WITHIN_RANK_0 = [
    "infotok_cli.errors",
    "infotok_cli.routers",
    "infotok_cli.config",
    "infotok_cli.blocks",
    "infotok_cli.motion",
    "infotok_cli.segment_tokens",
    "infotok_cli.files",
    "infotok_cli.atomic",
    "infotok_cli.places",
    "infotok_cli.metrics",
]

# What needs no torch, neither itself nor by what it imports.
WITHOUT_TORCH = ["container", "entropy", "video", "allocation", "itk"]

LIBRARIES = {
    "typer": {"infotok_cli.cli"},
    "rich": {"infotok_cli.cli"},
    "triton": {"infotok_kernels"},
    "av": {"infotok_cli.video"},
    "matplotlib": {"infotok_cli.evaluate", "infotok_cli.view"},
    "PIL": {"infotok_cli.view"},
    "imageio_ffmpeg": {"infotok_cli.evaluate"},
    "ssimulacra2": {"infotok_cli.evaluate"},
    "pyarrow": {"infotok_cli.itk", "infotok_cli.batch"},
    "fsspec": {"infotok_cli.batch"},
    "ray": {"infotok_cli.batch"},
    "constriction": {"infotok_cli.entropy"},
    "safetensors": {"infotok_cli.model", "infotok_cli.train", "infotok_cli.itk", "infotok_cli.perceptual"},
    "google_crc32c": {"infotok_cli.container"},
    "torch": {
        "infotok_kernels",
        "infotok_cli.model",
        "infotok_cli.data",
        "infotok_cli.perceptual",
        "infotok_cli.train",
        "infotok_cli.bench",
    },
}


def sources() -> list[tuple[str, Path]]:
    found = []
    for base in (ROOT, ROOT / "kernels", ROOT / "weights"):
        for package in base.glob("infotok_*"):
            for path in package.rglob("*.py"):
                parts = path.relative_to(base).with_suffix("").parts
                found.append((".".join(part for part in parts if part != "__init__"), path))
    return sorted(found)


DOOR = ROOT / "infotok_cli" / "__init__.py"


def imports(path: Path) -> Iterator[str]:
    """Names that a file imports; those that the package's door names for type checkers alone are left out."""
    tree = ast.parse(path.read_text("utf-8"))
    if path == DOOR:
        tree.body = [node for node in tree.body if not is_for_types(node)]
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: relative import"
            assert node.module is not None
            yield node.module
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def is_for_types(node: ast.stmt) -> bool:
    return isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING"


def unit(module: str) -> str | None:
    """The ranked part that a module belongs to, or None for modules that are not ours."""
    for length in (2, 1):
        name = ".".join(module.split(".")[:length])
        if name in RANKS and (length == 2 or module == name or not name.startswith("infotok_cli")):
            return name
    return None


@pytest.mark.parametrize(
    ("module", "path"), sources(), ids=lambda value: value if isinstance(value, str) else ""
)
def test_imports_point_downwards(module: str, path: Path) -> None:
    here = unit(module)
    assert here is not None, f"{module} has no rank: add it to RANKS"
    for name in imports(path):
        there = unit(name)
        if there is None or there in (here, "infotok_cli"):
            continue
        if there in WITHIN_RANK_0 and here in WITHIN_RANK_0:
            assert WITHIN_RANK_0.index(there) < WITHIN_RANK_0.index(here), f"{module} imports {name}"
        elif here == "infotok_cli.cli" or RANKS[there] < RANKS[here]:
            continue
        else:
            pytest.fail(f"{module} (rank {RANKS[here]}) imports {name} (rank {RANKS[there]})")


@pytest.mark.parametrize(
    ("module", "path"), sources(), ids=lambda value: value if isinstance(value, str) else ""
)
def test_libraries_stay_in_their_rooms(module: str, path: Path) -> None:
    for name in imports(path):
        rooms = LIBRARIES.get(name.split(".")[0])
        assert rooms is None or unit(module) in rooms, f"{module} imports {name}"


def test_packages_without_torch_reach_none() -> None:
    modules = dict(sources())
    reached: dict[str, list[str]] = {
        name: [name] for name in modules if name.split(".")[1:2] and name.split(".")[1] in WITHOUT_TORCH
    }
    waiting = list(reached)
    while waiting:
        here = waiting.pop()
        for name in imports(modules[here]):
            assert name.split(".")[0] not in ("torch", "triton", "infotok_kernels"), [*reached[here], name]
            if name in modules and name not in reached:
                reached[name] = [*reached[here], name]
                waiting.append(name)


def test_checkout_roots_are_not_packages() -> None:
    for folder in ("kernels", "weights", "tests"):
        assert not (ROOT / folder / "__init__.py").exists()
