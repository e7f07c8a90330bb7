"""A tiny transformer learns to continue videos: made-up clips to tokens, next tokens, and back to a video.

    python examples/next_token.py --out next_token

It makes clips of a square that moves on a ground, encodes them with a token at every position, trains for
`--steps` steps on their tokens, and then continues a clip that it has not seen: the first half is kept, the
second is sampled, but for its motion, which stays that of the clip. `continued.mp4` in the folder shows both.
"""

from __future__ import annotations

import argparse
import json
import math
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional
from torch.utils.data import DataLoader

import infotok_cli as infotok
from infotok_cli.data import TokenDataset

FRAMES, SIDE, FPS = 16, 48, 12
STEP_MARK = 64_001
WIDTH, HEADS, LAYERS = 128, 4, 3


def made_clip(random: np.random.Generator) -> NDArray[np.uint8]:
    """Frames `[T, H, W, 3]` of a square in one of a few colours that moves in one of four directions."""
    colours = [(220, 60, 60), (60, 200, 80), (70, 90, 230)]
    colour, (down, across) = (
        colours[random.integers(3)],
        [(0, 2), (0, -2), (2, 0), (-2, 0)][random.integers(4)],
    )
    top, left = random.integers(8, SIDE - 24, 2)
    frames = np.full((FRAMES, SIDE, SIDE, 3), 90, np.uint8)
    for number, frame in enumerate(frames):
        y, x = (top + down * number) % (SIDE - 16), (left + across * number) % (SIDE - 16)
        frame[y : y + 16, x : x + 16] = colour
    return frames


def make_tokens(model: infotok.Model, folder: Path, clips: int) -> Path:
    """Encode `clips` clips into the folder, and one more beside it, whose path is returned."""
    random = np.random.default_rng(0)
    folder.mkdir(parents=True, exist_ok=True)
    for number in range(clips + 1):
        path = folder / f"{number:04d}.itk" if number < clips else folder.parent / "unseen.itk"
        with model.encode_frames(
            made_clip(random), rate=1.0, fps=FPS, segment_frames=FRAMES, allocation="position"
        ) as tokens:
            assert tokens.token_rate == 1.0, "the example counts on a token at every position"
            tokens.save(path, overwrite=True)
    return path


class NextToken(nn.Module):
    """A decoder-only transformer over the ids that occur in the clips."""

    def __init__(self, vocabulary: int, length: int) -> None:
        super().__init__()
        self.embed = nn.Embedding(vocabulary, WIDTH)
        self.place = nn.Parameter(torch.randn(length, WIDTH) * 0.02)
        layer = nn.TransformerEncoderLayer(
            WIDTH, HEADS, 4 * WIDTH, dropout=0.0, activation="gelu", batch_first=True, norm_first=True
        )
        self.blocks = nn.TransformerEncoder(layer, LAYERS, enable_nested_tensor=False)
        self.out = nn.Linear(WIDTH, vocabulary)

    def forward(self, ids: Tensor) -> Tensor:
        """Logits `[B, T, vocabulary]` of the id after each of `ids` `[B, T]`."""
        length = ids.shape[1]
        mask = nn.Transformer.generate_square_subsequent_mask(length, device=ids.device)
        hidden = self.blocks(self.embed(ids) + self.place[:length], mask=mask, is_causal=True)
        logits: Tensor = self.out(hidden)
        return logits


def batches(folder: Path, length: int, size: int) -> Iterator[Tensor]:
    """Ids `[B, T]`, each row one clip, for ever: a clip has exactly `length` ids."""
    dataset = TokenDataset(folder, length, endless=True, marks=["step"])
    for batch in DataLoader(dataset, batch_size=size):
        yield batch["ids"]


def train(folder: Path, length: int, steps: int, batch: int) -> tuple[NextToken, Tensor]:
    """The trained network, and the ids that its outputs stand for, in rising order."""
    torch.manual_seed(0)
    everything = TokenDataset(folder, length, seed=None, marks=["step"])
    known = torch.unique(torch.cat([item["ids"] for item in everything]))
    network = NextToken(len(known), length)
    optimizer = torch.optim.AdamW(network.parameters(), lr=1e-3)
    print(f"{len(known)} different ids, {sum(p.numel() for p in network.parameters()):,} weights")
    started = time.monotonic()
    for step, ids in zip(range(1, steps + 1), batches(folder, length, batch), strict=False):
        ranks = torch.searchsorted(known, ids)
        logits = network(ranks[:, :-1])
        loss = functional.cross_entropy(logits.flatten(0, 1), ranks[:, 1:].flatten())
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        if step in (1, steps) or step % 50 == 0:
            bits, seconds = loss.item() / math.log(2), time.monotonic() - started
            print(f"step {step}: {bits:.2f} bits a token, {seconds:.0f} s")
    return network, known


@torch.no_grad()
def continued(network: NextToken, known: Tensor, ids: Tensor, keep: int) -> Tensor:
    """`ids` `[T]` with all after the first `keep` sampled; marks stay where they are."""
    network.eval()
    is_mark = known >= STEP_MARK
    # What the network never saw is replaced by the nearest id that it knows.
    ranks = torch.searchsorted(known, ids).clamp(max=len(known) - 1)
    for place in range(keep, len(ids)):
        if ids[place] < STEP_MARK:
            logits = network(ranks[None, :place])[0, -1].masked_fill(is_mark, -torch.inf)
            ranks[place] = torch.multinomial(torch.softmax(logits, -1), 1)[0]
    return torch.cat([ids[:keep], known[ranks[keep:]]])


def write_video(model: infotok.Model, clip: Path, ids: Tensor, target: Path) -> None:
    """A video of the tokens among `ids` `[T]`, in the places of those of `clip`, whose motion it keeps."""
    lines = clip.with_suffix(".jsonl")
    infotok.export(clip, lines, overwrite=True)
    first, row = lines.read_text().splitlines()
    values = json.loads(row)
    del values["crc32"]  # the ids are changed on purpose
    start = values["ids"].index(STEP_MARK)
    tokens = iter(ids[ids < STEP_MARK].tolist())
    values["ids"][start:] = [next(tokens) if one < STEP_MARK else one for one in values["ids"][start:]]
    lines.write_text(f"{first}\n{json.dumps(values)}\n")
    infotok.import_(lines, target.with_suffix(".itk"), overwrite=True)
    infotok.decode(target.with_suffix(".itk"), target, model, overwrite=True)


def main(arguments: list[str] | None = None) -> None:
    """Parse the command line and do it all."""
    parser = argparse.ArgumentParser(description="Learn next tokens of made-up clips, and continue one.")
    parser.add_argument("--out", type=Path, default=Path("next_token"), help="folder to write to")
    parser.add_argument("--model", default=None, help="weights of infotok, by name or path")
    parser.add_argument("--clips", type=int, default=64)
    parser.add_argument("--steps", type=int, default=200)
    parser.add_argument("--batch", type=int, default=8)
    given = parser.parse_args(arguments)
    model = infotok.load(given.model)
    unseen = make_tokens(model, given.out / "clips", given.clips)
    with infotok.open(unseen) as file:
        steps, rows, columns = file.token_grid
    step_ids = 1 + rows * columns
    network, known = train(given.out / "clips", steps * step_ids, given.steps, given.batch)
    (item,) = TokenDataset(unseen, steps * step_ids, marks=["step"])
    ids = continued(network, known, item["ids"], keep=(steps + 1) // 2 * step_ids)
    write_video(model, unseen, ids, given.out / "continued.mp4")
    print(f"wrote {given.out / 'continued.mp4'}: half of an unseen clip, then what was sampled")


if __name__ == "__main__":
    main()
