"""What belongs together stays in one split, and every split gets its share."""

from __future__ import annotations

from collections import Counter

import pytest

from src.corpora.harvester.splits import SPLIT_STARTS, assign_files


def held(functions: dict[str, int]) -> Counter[str]:
    split_of = assign_files(functions)
    assert split_of.keys() == functions.keys()
    return sum((Counter({split_of[file]: number}) for file, number in functions.items()), Counter())


def test_a_repository_stays_in_one_split() -> None:
    functions = {f"repo{n}/{folder}/{file}.go": n + 1 for n in range(40) for folder in "ab" for file in "xyz"}
    split_of = assign_files(functions)
    for n in range(40):
        assert len({split for file, split in split_of.items() if file.startswith(f"repo{n}/")}) == 1
    shares = held(functions)
    assert shares["train"] / shares.total() == pytest.approx(0.8, abs=0.06)


def test_one_large_repository_goes_to_train() -> None:
    for large in ("alpha", "beta", "gamma", "delta"):  # wherever its hash puts it
        functions = {f"{large}/a.go": 500} | {f"repo{n}/a.go": 10 for n in range(100)}
        split_of = assign_files(functions)
        assert split_of[f"{large}/a.go"] == "train"
        shares = held(functions)
        assert shares["train"] / shares.total() == pytest.approx(0.8, abs=0.02)


def test_large_repositories_leave_enough_to_validate_and_test_on() -> None:
    functions = {f"large/m{n}/a.go": 50 for n in range(50)} | {f"repo{n}/a.go": 1 for n in range(20)}
    shares = held(functions)
    assert min(shares["valid"], shares["test"]) / shares.total() > 0.05


def test_a_top_level_module_stays_in_one_split() -> None:
    functions = {f"lib/m{m}/{sub}/{file}.go": 1 for m in range(50) for sub in "ab" for file in "xy"}
    split_of = assign_files(functions)
    for m in range(50):
        assert len({split for file, split in split_of.items() if file.startswith(f"lib/m{m}/")}) == 1


def test_a_single_source_folder_is_not_taken_for_one_module() -> None:
    functions = {f"repo/src/main/java/org/m{m}/{file}.java": 1 for m in range(60) for file in "abc"}
    shares = held(functions)
    assert shares.keys() == SPLIT_STARTS.keys()
    assert shares["train"] / shares.total() == pytest.approx(0.8, abs=0.06)


def test_the_order_of_the_files_does_not_decide_the_splits() -> None:
    functions = {f"lib/m{m}/{file}.go": m for m in range(1, 60) for file in "abc"}
    assert assign_files(functions) == assign_files(dict(reversed(functions.items())))
