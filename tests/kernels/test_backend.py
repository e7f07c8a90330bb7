"""The choice of backend: argument, environment, device; and what happens when it cannot be met."""

from __future__ import annotations

from types import SimpleNamespace

import pytest
import torch

from infotok_kernels import (
    BackendError,
    backend,
    error_map,
    fsq_encode,
    select_backend,
    selected_backend,
    window_attention,
)
from infotok_kernels.backend import VARIABLE, why_not_triton


@pytest.fixture(autouse=True)
def _fresh_choice(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(backend, "_selected", {})
    monkeypatch.setattr(backend, "_reasons", {})
    monkeypatch.delenv(VARIABLE, raising=False)


@pytest.fixture
def compiled_only(monkeypatch: pytest.MonkeyPatch) -> None:
    """As in a process of a user: no interpreter."""
    monkeypatch.setenv("TRITON_INTERPRET", "0")


def test_a_cpu_takes_the_reference_unasked() -> None:
    assert select_backend() == "reference"
    assert selected_backend() == "reference"


def test_the_argument_goes_before_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(VARIABLE, "nonsense")
    assert select_backend("reference") == "reference"
    with pytest.raises(BackendError, match=f"{VARIABLE} 'nonsense' is unknown: choose reference or triton"):
        select_backend()


def test_an_empty_variable_is_none(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(VARIABLE, "")
    assert select_backend() == "reference"


@pytest.mark.usefixtures("compiled_only")
def test_triton_on_a_cpu_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("triton")
    monkeypatch.setenv(VARIABLE, "triton")
    with pytest.raises(
        BackendError, match=rf"{VARIABLE} triton cannot run \(it needs a CUDA device, and this one is cpu"
    ):
        select_backend()
    ones, frame = torch.ones(32), torch.zeros(1, 1, 1, 1, 3)
    for call in (
        lambda: window_attention(torch.zeros(1, 1, 1, 1, 3, 1, 32), ones, ones, backend="triton"),
        lambda: fsq_encode(ones[None], ones[None], ones[:1], (8,), backend="triton"),
        lambda: error_map(frame, frame, backend="triton"),
    ):
        with pytest.raises(ValueError, match=r"triton cannot run \(it needs a CUDA device"):
            call()


def test_without_triton_the_reason_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "triton", None)
    monkeypatch.setitem(__import__("sys").modules, "triton.language", None)
    assert "pip install 'infotok[gpu]'" in str(why_not_triton("cuda"))
    assert select_backend(None, "cuda") == "reference"
    with pytest.raises(BackendError, match="triton cannot be imported"):
        select_backend("triton", "cuda")


@pytest.mark.usefixtures("compiled_only")
@pytest.mark.parametrize(("capability", "chosen"), [((9, 0), "triton"), ((7, 5), "reference")])
def test_a_gpu_takes_triton_if_it_is_new_enough(
    monkeypatch: pytest.MonkeyPatch, capability: tuple[int, int], chosen: str
) -> None:
    pytest.importorskip("triton")
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda: capability)
    monkeypatch.setattr("triton.runtime.driver", SimpleNamespace(active=SimpleNamespace(utils=None)))
    assert select_backend(None, "cuda") == chosen
    if chosen == "reference":
        with pytest.raises(BackendError, match=r"compute capability 8\.0 and this device has 7\.5"):
            select_backend("triton", "cuda")


def test_the_choice_holds_until_another_is_made(monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("triton")
    assert select_backend("triton") == "triton"  # the interpreter runs it
    monkeypatch.setenv(VARIABLE, "reference")
    assert selected_backend() == "triton"
    assert select_backend() == "reference"
    assert selected_backend() == "reference"


def test_a_block_compiles_into_one_graph_with_the_choice_still_open() -> None:
    ones = torch.ones(16)

    def run(x: torch.Tensor) -> torch.Tensor:
        return window_attention(x, ones, ones, shift=4) + 1

    qkv = torch.randn(1, 2, 9, 10, 3, 2, 16)
    compiled = torch.compile(run, backend="aot_eager", fullgraph=True, dynamic=False)
    torch.testing.assert_close(compiled(qkv), run(qkv))


def test_compiled_code_does_not_make_the_rotary_tables_anew() -> None:
    ones = torch.ones(16)
    called: list[str] = []

    def listing(graph: torch.fx.GraphModule, _: object) -> object:
        called.extend(str(node.target) for node in graph.graph.nodes if node.op.startswith("call"))
        return graph.forward

    def run(x: torch.Tensor) -> torch.Tensor:
        return window_attention(x, ones, ones, shift=4, backend="reference")

    qkv = torch.randn(1, 2, 9, 10, 3, 2, 16)
    compiled = torch.compile(run, backend=listing, fullgraph=True, dynamic=False)
    torch.testing.assert_close(compiled(qkv), run(qkv))
    assert any("cat" in name for name in called)
    assert not [name for name in called if "arange" in name or "cos" in name]


@pytest.mark.usefixtures("compiled_only")
def test_a_gpu_without_a_compiler_takes_the_reference(monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("triton")

    class Driver:
        @property
        def utils(self) -> object:
            raise RuntimeError("Failed to find C compiler.\nPlease specify via CC.")

    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda: (9, 0))
    monkeypatch.setattr("triton.runtime.driver", SimpleNamespace(active=Driver()))
    assert select_backend(None, "cuda") == "reference"
    with pytest.raises(BackendError, match=r"cannot build its launcher \(Failed to find C compiler\.\)"):
        select_backend("triton", "cuda")
