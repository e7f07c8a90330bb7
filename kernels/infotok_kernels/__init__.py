"""Hot paths of the model as plain functions: window attention, FSQ and the error map.

Callers use these names only; which implementation runs is chosen once (backend.py). Each operation
has a folder of its own: its torch reference, which is also the CPU path, its Triton kernels, and a
README with the maths. Triton is imported when it is first chosen.
"""

from infotok_kernels.backend import BackendError, select_backend, selected_backend, why_not_triton
from infotok_kernels.error_map import error_map
from infotok_kernels.fsq import fsq_encode
from infotok_kernels.fsq.reference import codes_to_ids, ids_to_codes, nearest_codes
from infotok_kernels.window_attention import window_attention

__all__ = [
    "BackendError",
    "codes_to_ids",
    "error_map",
    "fsq_encode",
    "ids_to_codes",
    "nearest_codes",
    "select_backend",
    "selected_backend",
    "why_not_triton",
    "window_attention",
]
