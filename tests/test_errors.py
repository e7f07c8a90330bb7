"""Errors as values: parts in, one line out, parameters called as the reader knows them."""

from __future__ import annotations

import pickle

import pytest

from infotok_cli.cli.app import main, option_name
from infotok_cli.errors import InputError, ModelError, UsageError


def test_parts_are_joined() -> None:
    error = InputError("is damaged", where="a.itk: segment 3", way_out="copy it again")
    assert str(error) == "a.itk: segment 3: is damaged: copy it again"
    assert (error.what, error.where, error.way_out) == ("is damaged", "a.itk: segment 3", "copy it again")
    assert str(InputError("is damaged")) == "is damaged"


def test_a_place_is_put_before_others() -> None:
    inner = ModelError("has no config", where="tensor", way_out="train it anew")
    outer = inner.at("small.safetensors")
    assert isinstance(outer, ModelError)
    assert str(outer) == "small.safetensors: tensor: has no config: train it anew"
    assert str(inner.at("x", way_out="")) == "x: tensor: has no config"


def test_parameters_are_called_as_the_reader_knows_them() -> None:
    error = UsageError("`start_seconds` 3 is not below `rate`", way_out="leave `audio` out")
    assert str(error) == "start_seconds 3 is not below rate: leave audio out"
    assert error.text(option_name) == "--start 3 is not below --rate: leave --no-audio out"


def test_processes_can_hand_them_on() -> None:
    error = pickle.loads(pickle.dumps(UsageError("no", where="here", way_out="yes")))
    assert isinstance(error, UsageError)
    assert str(error) == "here: no: yes"


def test_the_command_names_options(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["encode", "clip.mp4", "--rate", "7"]) == 2
    assert "--rate 7 is out of range: choose 0.125 to 1" in capsys.readouterr().err
