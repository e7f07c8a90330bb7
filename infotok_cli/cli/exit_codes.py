"""What each exit code means: the one list, which help and README show. Errors carry their own codes."""

from __future__ import annotations

from infotok_cli.errors import InputError, ModelError, OutputError, UsageError

INTERNAL_ERROR = 1
SOME_FAILED = 6
"""A batch went on without some of its files."""
INTERRUPTED = 130
BROKEN_PIPE = 141
"""What a shell reports for a program whose reader went away: 128 + SIGPIPE."""
TERMINATED = 143

MEANINGS: dict[int, str] = {
    0: "done",
    INTERNAL_ERROR: "internal error (please report)",
    UsageError.exit_code: "bad usage",
    InputError.exit_code: "input missing, damaged or of the wrong kind",
    ModelError.exit_code: "model missing, or not the one the file was made with",
    OutputError.exit_code: "output exists or cannot be written",
    SOME_FAILED: "some files of a batch failed",
    INTERRUPTED: "interrupted",
    BROKEN_PIPE: "the reader of a pipe went away",
    TERMINATED: "terminated",
}


def in_one_sentence() -> str:
    """All of them, for the end of a help text."""
    return "Exit codes: " + ", ".join(f"{code} {meaning}" for code, meaning in MEANINGS.items()) + "."
