"""Documents can be trusted: the parser takes every command line in them, and every link leads somewhere."""

from __future__ import annotations

import inspect
import os
import re
import shlex
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path
from typing import Any

import pytest
import typer

from infotok_cli.cli import exit_codes
from infotok_cli.cli.app import app, main
from make_video import make_video, moving_shapes
from tiny_model import write_tiny_model

ROOT = Path(__file__).parent.parent
DOCUMENTS = sorted(
    path
    for pattern in ("*.md", "docs/**/*.md", "kernels/**/*.md", "weights/**/*.md")
    for path in ROOT.glob(pattern)
)
GROUP: Any = typer.main.get_command(app)

INPUTS = ("clip.mp4",)
"""What exists before the first line is typed."""

NOT_RUN = ("train", "eval", "demo", "doctor", "play")
"""Commands that take too long here or need a terminal, and have tests of their own."""


def named(path: Path) -> str:
    return str(path.relative_to(ROOT))


def blocks(text: str) -> Iterator[tuple[str, str]]:
    """Code blocks of a document, in order, as (language, code): fenced, or indented after an empty line."""
    fenced = re.compile(r"^```(\w*)\n(.*?)^```$", re.DOTALL | re.MULTILINE)
    found = [(block.start(), block[1], block[2]) for block in fenced.finditer(text)]
    rest = fenced.sub(lambda block: re.sub(r"[^\n]", "x", block[0]), text)
    for block in re.finditer(r"(?:(?<=\n\n)|\A)((?:    .*\n|\n(?=    ))+)", rest):
        found.append((block.start(), "", inspect.cleandoc(block[1]) + "\n"))
    yield from ((language, code) for _, language, code in sorted(found))


def typed_lines(code: str) -> Iterator[list[str]]:
    """The `infotok` commands of a block, each as words without `infotok`, pipes taken apart."""
    for line in code.replace("\\\n", " ").split("\n"):
        for part in re.split(r"\s\|\s", line):
            words = shlex.split(part, comments=True) if "infotok" in part else []
            if "infotok_cli" in words:  # python -m infotok_cli
                words = ["infotok", *words[words.index("infotok_cli") + 1 :]]
            if words[:1] == ["infotok"]:
                yield words[1:]


def without_redirection(words: list[str]) -> list[str]:
    return words[: next((at for at, word in enumerate(words) if word in (">", "<")), len(words))]


def parse(words: list[str]) -> None:
    """Take the words as the command line does, without running anything."""
    if not words or words[0].startswith("-"):
        GROUP.make_context("infotok", [*words], resilient_parsing=True)
        return
    command = GROUP.commands.get(words[0])
    assert command is not None, f"there is no command {words[0]}"
    command.make_context(words[0], without_redirection(words[1:]))


def option_names(command: str) -> set[str]:
    names = {"-h", "--help"}
    for parameter in GROUP.commands[command].params:
        names |= {*parameter.opts, *parameter.secondary_opts}
    return names


def code_lines() -> list[Any]:
    return [
        pytest.param(words, id=f"{named(path)}: {' '.join(words)}")
        for path in DOCUMENTS
        for language, code in blocks(path.read_text("utf-8"))
        if language in ("", "sh", "bash", "console")
        for words in typed_lines(code)
    ]


def example_lines() -> list[Any]:
    return [
        pytest.param(words, id=f"help of {name}: {' '.join(words)}")
        for name, command in GROUP.commands.items()
        for words in typed_lines(command.help.partition("Examples:")[2])
    ]


@pytest.mark.parametrize("words", [*code_lines(), *example_lines()])
def test_lines_that_can_be_typed(words: list[str]) -> None:
    parse(words)


def test_a_line_with_a_wrong_option_is_noticed() -> None:
    (block,) = blocks("Try it:\n\n    infotok encode clip.mp4 --rates 0.5   # half\n\nand so on\n")
    (words,) = typed_lines(block[1])
    assert words == ["encode", "clip.mp4", "--rates", "0.5"]
    with pytest.raises(Exception, match="--rates"):
        parse(words)
    (block,) = blocks("```sh\ncat a | infotok decode - -o - > b\n```\n")
    assert [without_redirection(words) for words in typed_lines(block[1])] == [["decode", "-", "-o", "-"]]


@pytest.mark.parametrize("path", DOCUMENTS, ids=named)
def test_options_named_in_the_text_exist(path: Path) -> None:
    """`infotok COMMAND ... --option` between backticks, whatever stands in the place of names."""
    for span in re.findall(r"`(infotok [^`]*)`", path.read_text("utf-8")):
        words = span.split()[1:]
        if not words or words[0] not in GROUP.commands:
            assert not words or words[0].startswith("-") or words[0].isupper(), f"no such command: {span}"
            continue
        for word in words[1:]:
            option = re.match(r"\[?(--?[a-z][a-z-]*)", word)
            assert option is None or option[1] in option_names(words[0]), span


@pytest.mark.parametrize("path", [path for path in DOCUMENTS if path.name != "LOG.md"], ids=named)
def test_options_named_alone_exist(path: Path) -> None:
    """Options between backticks without their command. (The log also names options that have gone.)"""
    known = {"--version", "--install-completion", "--show-completion"}.union(
        *map(option_names, GROUP.commands)
    )
    for span in re.findall(r"`([^`\n]*)`", path.read_text("utf-8")):
        for option in re.findall(r"(?:^| )(--[a-z][a-z-]*)", span) if span.startswith("--") else ():
            assert option in known, span


@pytest.fixture(scope="module")
def typing_place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A folder with a video and a tiny model, where we are while this module's tests run."""
    folder = tmp_path_factory.mktemp("typing")
    write_tiny_model(folder / "tiny.safetensors")
    make_video(folder / INPUTS[0], moving_shapes(96, 40, 48), rate=Fraction(24))
    before = Path.cwd(), os.environ.get("INFOTOK_MODEL")
    os.chdir(folder)
    os.environ["INFOTOK_MODEL"] = str(folder / "tiny.safetensors")
    yield folder
    os.chdir(before[0])
    os.environ.pop("INFOTOK_MODEL")
    if before[1] is not None:
        os.environ["INFOTOK_MODEL"] = before[1]


def runnable(words: list[str], folder: Path) -> bool:
    """Whether the line can be run here: its input is there, and nothing else is needed."""
    names = [word for word in words[1:2] if not word.startswith("-")]
    unlike = {"--model", "--refine", ">", "-"} & set(words)
    return (
        bool(names)
        and words[0] not in NOT_RUN
        and not unlike
        and all((folder / name).exists() for name in names)
    )


def run_lines(document: str, folder: Path) -> list[str]:
    """Run the lines of a document in their order, with -y as earlier ones may have made the same file."""
    run = []
    for _, code in blocks((ROOT / document).read_text("utf-8")):
        for words in typed_lines(code):
            if runnable(words, folder):
                again = ["-y"] if "-y" in option_names(words[0]) else []
                assert main([*words, *again]) == 0, words
                run.append(words[0])
    return run


def test_the_lines_of_readme_and_usage_run(typing_place: Path) -> None:
    run = run_lines("README.md", typing_place) + run_lines("docs/USAGE.md", typing_place)
    assert set(run) >= {"encode", "decode", "inspect", "stats"}
    assert {"clip.itk", "back.mp4"} <= {path.name for path in typing_place.iterdir()}


def test_the_page_on_training_data_runs(typing_place: Path) -> None:
    """Its lines, then its Python, which reads what they wrote."""
    assert run_lines("docs/TRAINING_DATA.md", typing_place).count("export") == 4
    run_python("docs/TRAINING_DATA.md")


def run_python(document: str) -> None:
    code = [code for kind, code in blocks((ROOT / document).read_text("utf-8")) if kind == "python"]
    assert code
    exec(compile("\n".join(code), document, "exec"), {"__name__": "typed"})


def test_the_examples_of_help_run(typing_place: Path) -> None:
    assert main(["encode", INPUTS[0], "-y"]) == 0
    run = []
    for command in GROUP.commands.values():
        for words in typed_lines(command.help.partition("Examples:")[2]):
            if runnable(words, typing_place) and "*.itk" not in words:
                again = ["-y"] if "-y" in option_names(words[0]) else []
                assert main([*words, *again]) == 0, words
                run.append(words[0])
    assert set(run) >= {"encode", "decode", "inspect", "stats", "export", "import"}


@pytest.mark.parametrize("document", ["README.md", "docs/USAGE.md", "docs/PYTHON.md"])
def test_python_blocks_run(typing_place: Path, document: str) -> None:
    for name in ("clip.itk", "clip.mkv", "small.itk"):
        (typing_place / name).unlink(missing_ok=True)
    run_python(document)


def test_the_trip_of_datasets_runs(
    typing_place: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """From a folder of clips to batches for training, in order; but for the lines of a cluster.

    Those of Ray are run in `tests/batch/test_ray.py`.
    """
    pytest.importorskip("pyarrow")
    (tmp_path / "clips" / "a").mkdir(parents=True)
    for name in ("0.mp4", "a/1.mp4", "a/2.mp4"):
        (tmp_path / "clips" / name).write_bytes((typing_place / INPUTS[0]).read_bytes())
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("INFOTOK_MODEL", str(typing_place / "tiny.safetensors"))
    run = []
    for kind, code in blocks((ROOT / "docs" / "DATASETS.md").read_text("utf-8")):
        if kind == "python" and "import ray" not in code:
            exec(compile(code, "DATASETS.md", "exec"), {"__name__": "typed"})
        for words in typed_lines(code) if not kind else ():
            if not any("://" in word or "$" in word or word == "ray" for word in words):
                assert main(words) == 0, words
                run.append(words[0])
    assert run.count("batch") >= 6
    assert run.count("export") == 2
    names = ["0.itk", "a/1.itk", "a/2.itk"]
    for folder in ("tokens", "tokens-2", "tokens-workers"):
        assert sorted(str(path.relative_to(folder)) for path in Path(folder).rglob("*.itk")) == names


@pytest.mark.parametrize("path", DOCUMENTS, ids=named)
def test_links_lead_somewhere(path: Path) -> None:
    text = path.read_text("utf-8")
    prose = re.sub(r"```.*?```|`[^`\n]*`", "", text, flags=re.DOTALL)
    for target in re.findall(r"\]\(([^)\s]+)\)", prose):
        if re.match(r"[a-z]+:", target):
            continue
        name, _, anchor = target.partition("#")
        there = path.parent / name if name else path
        assert there.exists(), f"{target} is not there"
        if anchor:
            headings = re.findall(r"^#+ (.*)$", there.read_text("utf-8"), re.MULTILINE)
            assert anchor in {re.sub(r"[^\w\- ]", "", text.lower()).replace(" ", "-") for text in headings}


@pytest.mark.parametrize("path", [path for path in DOCUMENTS if path.name != "LOG.md"], ids=named)
def test_files_named_in_the_text_exist(path: Path) -> None:
    for name in re.findall(
        r"`((?:infotok_cli|tests|docs|kernels|weights)/[\w./-]+)`", path.read_text("utf-8")
    ):
        assert (ROOT / name).exists() or name == "kernels/bench.csv", name


def test_ranks_are_those_of_the_layering_test() -> None:
    """Packages in the picture of CONTRIBUTING.md stand at their rank, and all do."""
    text = (ROOT / "CONTRIBUTING.md").read_text("utf-8")
    pictured = {
        name: int(rank)
        for rank, line in re.findall(r"^    rank (\d)   (.*)$", text, re.MULTILINE)
        for name in re.findall(r"\w+", line.partition("(")[0])
    }
    source = (ROOT / "tests" / "test_layering.py").read_text("utf-8")
    ranks = re.findall(r'^    "infotok_cli\.(\w+)": (\d)', source, re.MULTILINE)
    assert {name: rank for name, rank in pictured.items() if rank} == {
        name: int(rank) for name, rank in ranks if rank != "0" and not name.startswith("__")
    }


def test_exit_codes_are_those_of_the_code() -> None:
    rows = re.findall(r"^\| (\d+) \| (.*) \|$", (ROOT / "docs" / "USAGE.md").read_text("utf-8"), re.MULTILINE)
    assert {int(code): meaning for code, meaning in rows} == exit_codes.MEANINGS


def test_readme_is_short() -> None:
    lines = (ROOT / "README.md").read_text("utf-8").splitlines()
    assert len(lines) <= 110
    assert max(len(line) for line in lines if not line.startswith("![")) <= 150
