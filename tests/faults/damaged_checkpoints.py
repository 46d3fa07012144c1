"""Bits that flip, files that are cut off, empty or gone: the checkpoints of row 4."""

from __future__ import annotations

import random
import shutil
from collections.abc import Iterator
from pathlib import Path

from src.runs import checkpoint_file, resume
from tests.faults.harness import Fault, scratch
from tests.faults.training import StoppedError, command, recorded_batches, train

FLIPS, CUTS = 60, 6


def checkpoints_survive(full: bool) -> Iterator[Fault]:
    """Each damages last.ckpt of an interrupted run; three of them are then resumed to the end."""
    chance = random.Random(4)
    with scratch() as folder:
        given = command(folder)
        assert train(folder / "whole", *given).status == 0
        ranks = (folder / "whole" / "test_ranks.csv").read_bytes()
        run = folder / "run"
        try:
            with recorded_batches((1, 2)):
                train(run, *given)
        except StoppedError:
            pass
        last = run / "checkpoints" / "last.ckpt"
        data = last.read_bytes()
        cases = {f"bit flip {i}": flipped(data, chance) for i in range(FLIPS if full else 10)}
        cases |= {f"cut off {i}": data[: chance.randrange(1, len(data))] for i in range(CUTS if full else 2)}
        cases |= {"cut off by a byte": data[:-1], "without its sum": data[: -checkpoint_file.SUM], "empty": b""}
        for name, damaged in cases.items():
            last.write_bytes(damaged)
            found, said = resume.good(run)
            is_seen = found == checkpoint_file.previous(last) and len(said) == 1 and "last.ckpt is damaged" in said[0]
            yield Fault(name, is_seen, f"took {found}, said {said}")
        last.unlink()
        yield Fault("missing", resume.good(run)[0] == checkpoint_file.previous(last), "the previous one was not taken")
        for name in ("bit flip 0", "empty") if full else ("bit flip 0",):
            again = folder / name.replace(" ", "-")
            shutil.copytree(run, again)
            (again / "checkpoints" / "last.ckpt").write_bytes(cases[name])
            result = train(again, *given)
            is_whole = result.status == 0 and (again / "test_ranks.csv").read_bytes() == ranks
            yield Fault(f"{name}, resumed", is_whole and "is damaged" in result.output, result.output + result.errors)
        yield from best(run, given, data)


def best(run: Path, given: tuple[str, ...], last: bytes) -> Iterator[Fault]:
    """A damaged best.ckpt: the epochs to come are kept, and the run says so."""
    (run / "checkpoints" / "last.ckpt").write_bytes(last)
    (run / "checkpoints" / "best.ckpt").write_bytes(b"")
    result = train(run, *given)
    said = "best.ckpt is damaged" in result.output
    yield Fault("best.ckpt empty, resumed", result.status == 0 and said, result.output + result.errors)


def flipped(data: bytes, chance: random.Random) -> bytes:
    changed = bytearray(data)
    changed[chance.randrange(len(data))] ^= 1 << chance.randrange(8)
    return bytes(changed)
