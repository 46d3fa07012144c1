"""python -m tests.faults [ROW ...] [--quick]: injects the faults of all rows, prints the table, exits 1 if one lost."""

from __future__ import annotations

import argparse
import os
import sys

# As tests/conftest.py: nothing may ask the network, a terminal or a key file.
os.environ.update(WANDB_MODE="offline", HF_HUB_OFFLINE="1", TOKENIZERS_PARALLELISM="false")

import torch

from src.runtime.quiet import quiet_libraries
from tests.faults.harness import outcome, print_outcomes, rows


def main(arguments: list[str]) -> int:
    parser = argparse.ArgumentParser("python -m tests.faults", description="Injects faults and counts what survives.")
    parser.add_argument("rows", nargs="*", type=int, help="numbers of rows; all of them where none is given")
    parser.add_argument("--quick", action="store_true", help="the subset that `make test` runs")
    given = parser.parse_args(arguments)
    torch.set_num_threads(1)
    quiet_libraries()
    known = rows()
    if unknown := set(given.rows) - {row.number for row in known}:
        parser.error(f"no row {sorted(unknown)}: there are {[row.number for row in known]}")
    outcomes = []
    for row in known:
        if given.rows and row.number not in given.rows:
            continue
        print(f"row {row.number}: {row.title}", flush=True)
        found = outcome(row, not given.quick, lambda fault: print("." if fault.survived else "X", end="", flush=True))
        print(f" {found.seconds:.0f} s", flush=True)
        outcomes.append(found)
    print_outcomes(outcomes)
    return int(any(found.lost for found in outcomes))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
