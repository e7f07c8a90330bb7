"""Numpy arrays out of somebody else's pickle, by an unpickler that admits arrays and nothing else.

A pickle calls whatever it names. This one may name the three things that a pickled array consists of, and
gets stand-ins for them, which check what they are handed; numpy itself reads no more than plain bytes.
"""

from __future__ import annotations

import io
import math
import pickle
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from infotok_cli.errors import InputError

MAX_DEPTH = 8
"""Dictionaries in dictionaries."""

Arrays = dict[str, NDArray[np.float32]]


def read_pickled_arrays(content: bytes, where: str) -> Arrays:
    """Arrays of float32 of a pickle of nested dictionaries, by their keys joined with dots.

    Raises InputError, naming `where`, for a pickle with anything else in it.
    """
    try:
        return _flat(_ArrayUnpickler(io.BytesIO(content)).load(), MAX_DEPTH)
    except Exception as error:  # what a hostile pickle raises is up to it
        raise InputError(f"is not a pickle of arrays alone ({error})", where=where) from error


class _Name:
    """What a name in the pickle stands for; it can be called, and nothing can be set on it."""

    __slots__ = ("_call",)

    def __init__(self, call: Callable[..., Any]) -> None:
        self._call = call

    def __call__(self, *arguments: Any) -> Any:
        return self._call(*arguments)

    def __setstate__(self, state: object) -> None:
        raise pickle.UnpicklingError("a name is given a state")


class _Float32:
    """Stands for a numpy data type, which has to be little-endian float32."""

    __slots__ = ()

    def __init__(self, code: object, *_: object) -> None:
        if code != "f4":
            raise pickle.UnpicklingError(f"data type {code!r}")

    def __setstate__(self, state: tuple[object, ...]) -> None:
        if state[1] != "<":
            raise pickle.UnpicklingError(f"byte order {state[1]!r}")


class _Array:
    """Stands for a numpy array."""

    __slots__ = ("_values",)

    def __init__(self, *_: object) -> None:
        self._values: NDArray[np.float32] | None = None

    def __setstate__(self, state: tuple[int, tuple[int, ...], object, object, bytes]) -> None:
        _, shape, kind, by_columns, samples = state
        plain = isinstance(kind, _Float32) and type(samples) is bytes and not by_columns
        if not plain or any(type(side) is not int or side < 0 for side in shape):
            raise pickle.UnpicklingError("an array of another kind")
        if len(samples) != 4 * math.prod(shape):
            raise pickle.UnpicklingError(f"an array of {shape} in {len(samples)} bytes")
        self._values = np.frombuffer(samples, "<f4").reshape(shape)

    @property
    def values(self) -> NDArray[np.float32]:
        if self._values is None:
            raise pickle.UnpicklingError("an array without values")
        return self._values


_NAMES: dict[tuple[str, str], _Name] = {
    ("numpy", "ndarray"): _Name(_Array),
    ("numpy", "dtype"): _Name(_Float32),
    **{(f"numpy.{core}.multiarray", "_reconstruct"): _Name(_Array) for core in ("core", "_core")},
}


class _ArrayUnpickler(pickle.Unpickler):
    def find_class(self, module: str, name: str) -> _Name:
        if (module, name) not in _NAMES:
            raise pickle.UnpicklingError(f"it names {module}.{name}"[:200])
        return _NAMES[module, name]


def _flat(loaded: object, depth: int) -> Arrays:
    if not isinstance(loaded, dict) or not depth:
        raise pickle.UnpicklingError("it has no dictionary of arrays")
    found: Arrays = {}
    for key, value in loaded.items():
        if type(key) is not str:
            raise pickle.UnpicklingError(f"a key is {type(key).__name__}")
        inner = {"": value.values} if isinstance(value, _Array) else _flat(value, depth - 1)
        found |= {f"{key}.{name}" if name else key: array for name, array in inner.items()}
    return found
