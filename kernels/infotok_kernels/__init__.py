"""Hot paths of the model as plain functions: window attention, FSQ and the error map.

Callers use these names only; which implementation runs is this package's business. Each operation
has a folder of its own holding its torch reference, which is also the CPU path.
"""

from infotok_kernels.error_map.reference import error_map
from infotok_kernels.fsq.reference import codes_to_ids, fsq_decode, fsq_encode, ids_to_codes
from infotok_kernels.window_attention.reference import window_attention, window_runs

__all__ = [
    "codes_to_ids",
    "error_map",
    "fsq_decode",
    "fsq_encode",
    "ids_to_codes",
    "window_attention",
    "window_runs",
]
