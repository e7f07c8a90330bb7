"""docs/THEORY.md, section 5: prefixes of random length prefer another code than the shortest one."""

from __future__ import annotations

import math
from collections.abc import Iterator

import pytest

P = {"a": 1 / 2, "b": 1 / 4, "c": 1 / 8, "d": 1 / 8}
LONGEST = 3
HUFFMAN = {"a": "0", "b": "10", "c": "110", "d": "111"}
BALANCED = {"a": "00", "c": "01", "b": "10", "d": "11"}

Code = dict[str, str]


def codes(outcomes: tuple[str, ...]) -> Iterator[Code]:
    """Every full binary prefix code of these outcomes, but for exchanges of 0 and 1."""
    if len(outcomes) == 1:
        yield {outcomes[0]: ""}
        return
    first, rest = outcomes[0], outcomes[1:]
    for chosen in range(2 ** len(rest) - 1):
        left = (first, *(x for bit, x in enumerate(rest) if chosen >> bit & 1))
        right = tuple(x for x in rest if x not in left)
        for zeros in codes(left):
            for ones in codes(right):
                yield {x: "0" + word for x, word in zeros.items()} | {
                    x: "1" + word for x, word in ones.items()
                }


def mean_length(code: Code) -> float:
    return sum(P[x] * len(word) for x, word in code.items())


def loss(code: Code, kept: int) -> float:
    """Least cross-entropy, in bits, of guessing the outcome from the first `kept` symbols: H(X | them)."""
    groups: dict[str, list[float]] = {}
    for x, word in code.items():
        groups.setdefault(word[:kept], []).append(P[x])
    return sum(-p * math.log2(p / sum(group)) for group in groups.values() for p in group)


def summed_loss(code: Code) -> float:
    """Over all lengths 1..3; the mean over lengths drawn evenly is a third of it."""
    return sum(loss(code, kept) for kept in range(1, LONGEST + 1))


def test_there_are_fifteen_codes_and_huffman_is_the_shortest() -> None:
    found = list(codes(tuple(P)))
    assert len(found) == len({tuple(sorted(code.items())) for code in found}) == 15
    assert HUFFMAN in found
    assert min(map(mean_length, found)) == mean_length(HUFFMAN) == 1.75


def test_training_on_evenly_drawn_lengths_prefers_the_balanced_code(page: str) -> None:
    found = list(codes(tuple(P)))
    best = min(found, key=summed_loss)
    assert set(map(len, best.values())) == {2}
    assert summed_loss(best) == pytest.approx(summed_loss(BALANCED))
    assert mean_length(BALANCED) == 2.0
    assert f"Of all {len(found)} codes the balanced one has the least loss" in page
    for code in (HUFFMAN, BALANCED):
        cells = [mean_length(code), *(loss(code, kept) for kept in (1, 2, 3)), summed_loss(code)]
        assert " | ".join(f"{cell:.3f}" for cell in cells) in page


def test_the_other_balanced_pairing_gives_another_loss(page: str) -> None:
    other = {"a": "00", "b": "01", "c": "10", "d": "11"}
    assert f"{{1/2, 1/4}} and {{1/8, 1/8}}, the sum is {summed_loss(other):.3f}." in page


def test_no_symbol_at_all_costs_every_code_the_same() -> None:
    assert {round(loss(code, 0), 9) for code in codes(tuple(P))} == {1.75}


def test_the_preference_depends_on_how_lengths_are_drawn(page: str) -> None:
    """Where length 2 comes seldom enough beside length 1, Huffman's code has the lower loss."""
    turn = (loss(BALANCED, 1) - loss(HUFFMAN, 1)) / (loss(HUFFMAN, 2) - loss(BALANCED, 2))
    assert f"If L = 2 comes less than {turn:.3f} times as often as L = 1, Huffman's code" in page
    for share, preferred in ((0.9 * turn, HUFFMAN), (1.1 * turn, BALANCED)):
        assert min((HUFFMAN, BALANCED), key=lambda code: loss(code, 1) + share * loss(code, 2)) is preferred


def test_a_search_at_inference_does_not_repair_the_code() -> None:
    """The shortest prefix that tells the outcome, sought per outcome: still 2.0 against 1.75 symbols."""

    def sought(code: Code) -> float:
        total = 0.0
        for x, word in code.items():
            told = [n for n in range(4) if [w for w in code.values() if w[:n] == word[:n]] == [word]]
            total += P[x] * told[0]
        return total

    assert sought(HUFFMAN) == 1.75
    assert sought(BALANCED) == 2.0
