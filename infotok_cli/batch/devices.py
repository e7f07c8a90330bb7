"""Where the models of a batch run: on which devices, and how many on each."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

from infotok_cli.errors import UsageError

_VISIBLE = "CUDA_VISIBLE_DEVICES"


@dataclass(frozen=True, kw_only=True)
class Seat:
    """The device of one process."""

    device: str
    """auto, cpu or cuda."""
    gpu: str | None = None
    """The one CUDA device that the process sees, by number or by UUID; None leaves all."""
    share: int = 1
    """Processes that divide the threads of this machine between them."""

    @property
    def environment(self) -> dict[str, str]:
        """What must be set before torch is loaded."""
        return {} if self.gpu is None else {_VISIBLE: self.gpu}


def seats(device: str, workers: int, gpus: str | None, environment: Mapping[str, str]) -> list[Seat]:
    """One for each process: `workers` for each of the devices, or where there is one device `workers` in all.

    gpus: a number of devices, or a list of theirs, such as 0,2; they are counted among those that
    CUDA_VISIBLE_DEVICES leaves. Devices take turns, so that fewer files than seats use all of them.
    Raises UsageError for what is neither, and where `device` is cpu.
    """
    if workers < 1:
        raise UsageError(f"`workers` {workers} is out of range", way_out="choose 1 or more")
    if gpus is None:
        return [Seat(device=device, share=workers)] * workers
    if device == "cpu":
        raise UsageError("`gpus` does not go with `device` cpu", way_out="leave one of them out")
    names = _named(gpus, environment.get(_VISIBLE))
    count = workers * len(names)
    return [Seat(device="cuda", gpu=names[number % len(names)], share=count) for number in range(count)]


def _named(gpus: str, visible: str | None) -> list[str]:
    """The devices that `gpus` means."""
    text = gpus.replace(" ", "")
    if not re.fullmatch(r"\d{1,4}|(\d{1,4},)+(\d{1,4})?", text):
        raise _bad(gpus, "is neither a number of devices nor a list such as 0,2")
    is_list = "," in text
    numbers = [int(word) for word in text.split(",") if word] if is_list else [*range(int(text))]
    if not numbers:
        raise _bad(gpus, "is no device")
    if len(set(numbers)) < len(numbers):
        raise _bad(gpus, "names a device twice")
    if visible is None:
        return [str(number) for number in numbers]
    there = [word.strip() for word in visible.split(",") if word.strip()]
    if max(numbers) >= len(there):
        raise _bad(gpus, f"asks for more devices than {_VISIBLE}={visible} leaves")
    return [there[number] for number in numbers]


def _bad(gpus: str, what: str) -> UsageError:
    return UsageError(
        f"`gpus` {gpus} {what}", way_out="give a number such as 2, a list such as 0,2, or 3, for one device"
    )
