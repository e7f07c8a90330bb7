"""Files whose tokens are coded under the token net of their weights, through every command's code."""

from __future__ import annotations

import dataclasses
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from infotok_cli.codec.decode import decode_file
from infotok_cli.codec.decode_segments import decoded_segments
from infotok_cli.codec.encode import encode_file
from infotok_cli.codec.load_engine import load_engine
from infotok_cli.codec.options import EncodeOptions
from infotok_cli.container.reader import ItkReader
from infotok_cli.container.writer import ItkWriter
from infotok_cli.errors import InputError, ModelError
from infotok_cli.itk.flat import export_file, import_file
from infotok_cli.itk.report import verify_file
from infotok_cli.itk.tokens import unpack_tokens
from infotok_cli.model.engine import Engine
from infotok_cli.routers import AllocationName
from make_video import make_video, moving_shapes
from tiny_model import write_tiny_model


@pytest.fixture(scope="module")
def clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_video(tmp_path_factory.mktemp("clip") / "clip.mkv", moving_shapes(20, 40, 56))


@pytest.fixture(scope="module")
def weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("model") / "coded.safetensors"
    write_tiny_model(path, coded=True)
    return path


@pytest.fixture
def engine(weights: Path) -> Engine:
    return load_engine(str(weights), "cpu")


@pytest.mark.parametrize("allocation", ["block", "position"])
def test_same_tokens_and_pictures_as_without(
    allocation: AllocationName, clip: Path, engine: Engine, tmp_path: Path
) -> None:
    write_tiny_model(tmp_path / "plain.safetensors")
    plain = load_engine(str(tmp_path / "plain.safetensors"), "cpu")
    options = EncodeOptions(rate=0.6, allocation=allocation, segment_frames=8)
    shown, tokens = [], []
    for name, maker in (("coded", engine), ("plain", plain)):
        encode_file(clip, tmp_path / f"{name}.itk", maker, options)
        with ItkReader(tmp_path / f"{name}.itk") as reader:
            assert reader.header.token_coding == (1 if name == "coded" else 0)
            tokens.append([unpack_tokens(reader, s, maker.loaded.token_net) for s in reader.segments()])
            shown.append(np.concatenate(list(decoded_segments(reader, maker, range(20)))))
    for ours, theirs in zip(*tokens, strict=True):
        for one, other in zip(ours, theirs, strict=True):
            assert np.array_equal(one, other)
    assert np.array_equal(*shown)


def test_flat_ids_come_back_to_the_same_bytes(
    clip: Path, weights: Path, engine: Engine, tmp_path: Path
) -> None:
    source = tmp_path / "a.itk"
    encode_file(clip, source, engine, EncodeOptions(rate=0.4, segment_frames=8))
    verify_file(source, str(weights))
    for kind in ("npz", "jsonl"):
        export_file(source, tmp_path / f"flat.{kind}", model=str(weights))
        import_file(tmp_path / f"flat.{kind}", tmp_path / "back.itk", model=str(weights), overwrite=True)
        assert (tmp_path / "back.itk").read_bytes() == source.read_bytes()


def test_the_weights_are_asked_for_by_name(clip: Path, engine: Engine, tmp_path: Path) -> None:
    source = tmp_path / "a.itk"
    encode_file(clip, source, engine, EncodeOptions())
    with pytest.raises(ModelError, match=r"coded with model tiny .* not here: give its file with model"):
        verify_file(source)
    with pytest.raises(ModelError, match="give its file with model"):
        export_file(source, tmp_path / "a.npz")
    assert not (tmp_path / "a.npz").exists()


def test_damage_that_a_checksum_hides_is_found(
    clip: Path, engine: Engine, weights: Path, tmp_path: Path
) -> None:
    """A changed payload under a right checksum is refused or gives other ids; nothing crashes."""
    source = tmp_path / "a.itk"
    encode_file(clip, source, engine, EncodeOptions(segment_frames=8))
    with ItkReader(source) as reader:
        segment = reader.read_segment(0)
        tokens = unpack_tokens(reader, segment, engine.loaded.token_net)
        for at in range(0, len(segment.token_payload), 3):
            changed = bytearray(segment.token_payload)
            changed[at] ^= 0x55
            other = type(segment)(**{**vars(segment), "token_payload": bytes(changed)})
            try:
                back = unpack_tokens(reader, other, engine.loaded.token_net)
            except InputError:
                continue
            assert len(back.ids) == len(tokens.ids)
            assert not np.array_equal(back.ids, tokens.ids)


def test_weights_without_the_coder_are_no_bug_of_ours(clip: Path, tmp_path: Path) -> None:
    """A header may claim coded tokens and name weights that have no token net."""
    write_tiny_model(tmp_path / "plain.safetensors")
    plain = load_engine(str(tmp_path / "plain.safetensors"), "cpu")
    encode_file(clip, tmp_path / "a.itk", plain, EncodeOptions())
    with ItkReader(tmp_path / "a.itk") as reader, (tmp_path / "b.itk").open("wb") as stream:
        writer = ItkWriter(stream, dataclasses.replace(reader.header, token_coding=1))
        for segment in reader.segments():
            writer.write_segment(
                frames=segment.frames,
                tokens=segment.tokens,
                map_payload=segment.map_payload,
                motion_payload=segment.motion_payload,
                token_payload=segment.token_payload,
            )
        writer.finish()
    with pytest.raises(ModelError, match=r"plain\.safetensors has no token coder"):
        decode_file(tmp_path / "b.itk", tmp_path / "b.mkv", plain)
    with pytest.raises(ModelError, match="no token net"):
        verify_file(tmp_path / "b.itk", str(tmp_path / "plain.safetensors"))


WITHOUT_TORCH = """
import sys
sys.modules["torch"] = None  # any import of it now fails
from infotok_cli.cli.app import main
source, weights, folder = sys.argv[1:]
assert main(["inspect", source, "--verify", "--model", weights]) == 0
assert main(["export", source, "-o", folder + "/a.npz", "--model", weights]) == 0
assert main(["import", folder + "/a.npz", "-o", folder + "/b.itk", "--model", weights]) == 0
assert open(source, "rb").read() == open(folder + "/b.itk", "rb").read()
"""


def test_coded_tokens_are_read_where_torch_cannot_be_imported(
    clip: Path, engine: Engine, weights: Path, tmp_path: Path
) -> None:
    source = tmp_path / "a.itk"
    encode_file(clip, source, engine, EncodeOptions())
    command = [sys.executable, "-P", "-c", WITHOUT_TORCH, source, weights, tmp_path]
    result = subprocess.run(command, capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stderr
