"""Another tokenizer's reconstruction of a clip beside ours, by all metrics and frame by frame.

Run: python -m infotok_cli.evaluate.beside SOURCE DECODED -o OUT.json --plot OUT.png   (docs/COSMOS.md)

SOURCE is a video and DECODED what the other tokenizer made of it, as a video of the same size and as many
frames. Ours goes through an .itk file at every rate asked for.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np

from infotok_cli.atomic import atomic_output, atomic_path
from infotok_cli.codec.decode_segments import decoded_segments
from infotok_cli.codec.encode import encode_file
from infotok_cli.codec.load_engine import load_engine
from infotok_cli.codec.options import EncodeOptions
from infotok_cli.container.reader import ItkReader
from infotok_cli.errors import InfotokError, InputError
from infotok_cli.evaluate.clips import end_after
from infotok_cli.evaluate.metric_table import METRIC_NAMES, in_order
from infotok_cli.evaluate.plots import check_plot
from infotok_cli.evaluate.quality import Quality, QualityMeter, check_metrics
from infotok_cli.model.engine import Engine
from infotok_cli.video.reader import open_video
from infotok_cli.video.segments import joined, read_segments
from infotok_cli.video.video_info import Frame

CHUNK_FRAMES = 32
"""Frames of the other's file that are compared at a time."""


@dataclass(frozen=True, kw_only=True)
class Reconstruction:
    """One reconstruction of the clip."""

    name: str
    bpp16_nominal: float | None
    bpp: float | None
    """Real bits of the file per pixel; None for another tokenizer's, which writes no file of tokens."""
    quality: Quality
    psnr_by_frame: list[float]

    def mean_psnr(self, window: int, first: int, *, inside: bool) -> float:
        """Mean over the first `first` frames of every `window`, or over the others."""
        values = np.array(self.psnr_by_frame)
        chosen = (np.arange(len(values)) % window < first) == inside
        return float(values[chosen].mean()) if chosen.any() else float("nan")


def reconstruction_of_file(
    source: Path,
    decoded: Path,
    *,
    name: str,
    nominal: float | None,
    end: float | None,
    metrics: Sequence[str],
) -> Reconstruction:
    """What another tokenizer made of `source`; InputError when size or frames differ."""
    with open_video(decoded) as video:
        shown = read_segments(video.frames(), CHUNK_FRAMES)
        quality, by_frame = _compare(source, shown, CHUNK_FRAMES, end=end, metrics=metrics, decoded=decoded)
    return Reconstruction(name=name, bpp16_nominal=nominal, bpp=None, quality=quality, psnr_by_frame=by_frame)


def our_reconstruction(
    source: Path, engine: Engine, options: EncodeOptions, metrics: Sequence[str]
) -> Reconstruction:
    """What our model makes of `source`, through a file on disk."""
    with tempfile.TemporaryDirectory(prefix="infotok-beside-") as folder:
        target = Path(folder) / "clip.itk"
        report = encode_file(source, target, engine, options)
        with ItkReader(target) as reader:
            shown = decoded_segments(reader, engine, range(reader.total_frames))
            length = reader.header.segment_frames
            quality, by_frame = _compare(
                source, shown, length, end=options.end_seconds, metrics=metrics, decoded=target
            )
    return Reconstruction(
        name=f"infotok {engine.loaded.config.name}, rate {options.rate:g}",
        bpp16_nominal=report.bpp16_nominal,
        bpp=report.bpp,
        quality=quality,
        psnr_by_frame=by_frame,
    )


def _compare(
    source: Path,
    shown: Iterator[Frame],
    length: int,
    *,
    end: float | None,
    metrics: Sequence[str],
    decoded: Path,
) -> tuple[Quality, list[float]]:
    """Quality of segments of `length` frames against the source's, and its PSNR frame by frame.

    shown: in parts that end where segments do, or more often.
    """
    with open_video(source) as video:
        height, width = video.info.height, video.info.width
        with QualityMeter(height, width, length, metrics) as meter:
            for wanted in read_segments(video.frames(None, end), length):
                found = joined(shown, len(wanted))
                if found is None or found[: len(wanted)].shape != wanted.shape:
                    raise InputError(
                        f"has frames of another size than {source}, or fewer of them",
                        way_out="give what was decoded from that clip",
                        where=str(decoded),
                    )
                meter.add(wanted, found[: len(wanted)])
            return meter.result(), meter.psnr_by_frame


def table(found: Sequence[Reconstruction], metrics: Sequence[str], window: int, first: int) -> str:
    """A Markdown table, a row per reconstruction."""
    shown = [METRIC_NAMES[name] for name in metrics]
    heads = ["", "BPP16", "bpp", *(metric.shown for metric in shown)]
    heads += [f"PSNR dB of frames 0-{first - 1} of each {window}", "of the rest"]
    lines = ["| " + " | ".join(heads) + " |", "|---" * len(heads) + "|"]
    for one in found:
        values = [one.name, _number(one.bpp16_nominal, 2), _number(one.bpp, 4)]
        values += [_number(getattr(one.quality, metric.key), metric.decimals) for metric in shown]
        values += [_number(one.mean_psnr(window, first, inside=inside), 2) for inside in (True, False)]
        lines.append("| " + " | ".join(values) + " |")
    return "\n".join(lines)


def _number(value: float | None, decimals: int) -> str:
    return "–" if value is None else f"{value:.{decimals}f}"


def plot(found: Sequence[Reconstruction], path: Path, window: int) -> None:
    """PSNR frame by frame, with a line where each of the other's windows begins; overwrites `path`."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(9, 4.2), layout="constrained")
    panel = figure.subplots()
    for one in found:
        bits = "" if one.bpp16_nominal is None else f" (BPP16 {one.bpp16_nominal:.2f})"
        panel.plot(one.psnr_by_frame, label=one.name + bits, linewidth=1.5)
    for start in range(0, len(found[0].psnr_by_frame), window):
        panel.axvline(start, color="grey", linewidth=0.8, linestyle=":")
    panel.set_xlabel(f"frame (dotted: every {window})")
    panel.set_ylabel("PSNR dB")
    panel.grid(alpha=0.3)
    panel.legend(fontsize="small")
    with atomic_path(path, overwrite=True) as temporary:
        figure.savefig(temporary, dpi=110)


def parser() -> argparse.ArgumentParser:
    """Arguments of the program."""
    words = argparse.ArgumentParser(prog="beside", description=(__doc__ or "").partition("\n")[0])
    words.add_argument("source", type=Path, help="the clip")
    words.add_argument("decoded", type=Path, help="what another tokenizer made of it")
    words.add_argument("--name", default="Cosmos-DV8x8x8", help="what the other is called (%(default)s)")
    words.add_argument("--nominal", type=float, default=0.5, help="its BPP16 (%(default)s)")
    words.add_argument("--window", type=int, default=49, help="frames it takes at a time (%(default)s)")
    words.add_argument("--first", type=int, default=17, help="frames it does better of those (%(default)s)")
    words.add_argument(
        "--rates", type=float, nargs="+", default=[0.29, 1.0], help="token rates of ours (0.29 1)"
    )
    words.add_argument("--metrics", default=",".join(METRIC_NAMES), help="as of infotok eval (all)")
    words.add_argument("--frames", type=int, metavar="N", help="use only the first N frames")
    words.add_argument("--model", help="a model's name or file")
    words.add_argument("-o", "--output", type=Path, help="write what was measured to this .json file")
    words.add_argument("--plot", type=Path, help="draw PSNR by frame into this picture")
    return words


def main(words: Sequence[str] | None = None) -> None:
    """Measure, print a table, and write what was asked for."""
    given = parser().parse_args(words)
    try:
        metrics = in_order(given.metrics.split(","))
        if given.plot is not None:
            check_plot(given.plot)
        check_metrics(metrics)
        end = None if given.frames is None else end_after(given.source, given.frames)
        engine = load_engine(given.model, "auto", None)
        found = [
            reconstruction_of_file(
                given.source,
                given.decoded,
                name=given.name,
                nominal=given.nominal,
                end=end,
                metrics=metrics,
            )
        ]
        for rate in given.rates:
            options = EncodeOptions(rate=rate, end_seconds=end, audio=False)
            found.append(our_reconstruction(given.source, engine, options, metrics))
        if given.output is not None:
            with atomic_output(given.output, overwrite=True) as stream:
                stream.write(json.dumps([asdict(one) for one in found], indent=1).encode())
        if given.plot is not None:
            plot(found, given.plot, given.window)
    except InfotokError as error:
        print(error, file=sys.stderr)
        sys.exit(error.exit_code)
    print(table(found, metrics, given.window, given.first))


if __name__ == "__main__":
    main()
