"""`infotok doctor`: what is installed, what it runs on, and whether it works."""

from __future__ import annotations

from typing import TYPE_CHECKING

import typer

from infotok_cli.cli import options
from infotok_cli.cli.model_options import Device, Kernels, Model
from infotok_cli.cli.output import print_out
from infotok_cli.cli.tables import named_lines
from infotok_cli.wording import size_in_words

if TYPE_CHECKING:
    from infotok_cli.codec.doctor import DoctorReport


def register(app: typer.Typer) -> None:
    """Add the command to `app`."""
    app.command()(doctor)


def doctor(
    as_json: options.Json = False,
    model: Model = None,
    device: Device = "auto",
    kernels: Kernels = None,
) -> None:
    """Show what is installed and what it runs on, and try it.

    Lists versions, devices, kernels, weights and codecs; the trial, an encode and a decode, takes a few
    seconds. The exit code is 0 when everything works, else that of the first problem.

    \b
    Examples:
      infotok doctor
      infotok doctor --json > report.json
      infotok doctor --kernels reference
    """
    from infotok_cli.cli.json_values import json_line
    from infotok_cli.cli.progress import progress
    from infotok_cli.codec.doctor import examine

    with progress() as bar:
        report = examine(model, device, kernels, bar.describe)
    print_out(json_line(report) if as_json else text_of(report))
    if report.exit_code:
        raise typer.Exit(report.exit_code)


def text_of(report: DoctorReport) -> str:
    """The report for people: names on the left, values on the right, problems last."""
    rows = [(name, version or "not installed") for name, version in report.versions.items() if name != "cuda"]
    rows.append(("cuda", report.versions["cuda"] or "none, this torch is a CPU build"))
    for device in report.devices:
        memory = f", {size_in_words(device.memory_bytes)}" if device.memory_bytes else ""
        rows.append((device.kind, f"{device.name}, {device.detail}{memory}"))
    if report.device:
        rows.append(("runs on", f"{report.device} in {report.precision}"))
        obstacle = f" (triton cannot run: {report.triton_obstacle})" if report.triton_obstacle else ""
        rows.append(("kernels", f"{report.backend}{obstacle}"))
    for entry in report.weights:
        rows.append(
            (
                "weights",
                f"{entry.name}, {size_in_words(entry.size_bytes)}{'' if entry.whole else ', DAMAGED'}",
            )
        )
    missing = [name for name, there in report.codecs.items() if not there]
    there = ", ".join(name for name, there in report.codecs.items() if there)
    rows.append(("codecs", there + (f"; not in this FFmpeg: {', '.join(missing)}" if missing else "")))
    if test := report.self_test:
        rows.append(
            (
                "self test",
                f"{test.frames} frames with {test.model}: {test.tokens:,} tokens, {test.psnr:.1f} dB; load "
                f"{test.load_seconds:.2f} s, encode {test.encode_seconds:.2f} s, "
                f"decode {test.decode_seconds:.2f} s",
            )
        )
    rows += [("problem", problem) for problem in report.problems] or [("result", "everything works")]
    return named_lines(rows)
