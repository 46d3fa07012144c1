"""Flips bits of cache files and of checkpoints, cuts them, empties them and takes them away."""

from __future__ import annotations

import logging
import random
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from src.utils.disk_cache import ABOUT, Cache
from tests.faults.damaged_checkpoints import checkpoints_survive
from tests.faults.harness import Fault, scratch

TITLE = "100 bit flips, 10 truncations, 5 missing or empty files, of caches and of checkpoints"
PROMISE = "all detected by checksum; caches are made again, the previous good checkpoint is used, and it is said"
FULL = 115

# As the caches of tokens, embeddings, models and harvests: arrays, a checkpoint, lines in a folder.
FILES = {"tokens.npy": 4096, "model.ckpt": 65536, "python/train.jsonl": 1021, "one": 1}


def run(full: bool) -> Iterator[Fault]:
    draw = random.Random(4)
    with scratch() as folder:
        for number in range(100 if full else 10):
            yield damaged(folder, draw.choice([*FILES, ABOUT]), f"bit flip {number}", draw, "flip")
        for number in range(10 if full else 3):
            yield damaged(folder, draw.choice([*FILES, ABOUT]), f"truncation {number}", draw, "cut")
        for name in [*FILES, ABOUT] if full else [ABOUT]:
            yield damaged(folder, name, f"{name} empty", draw, "empty")
            yield damaged(folder, name, f"{name} missing", draw, "missing")
    yield from checkpoints_survive(full)


def damaged(folder: Path, name: str, what: str, draw: random.Random, how: str) -> Fault:
    """Survived: the next process that asks finds it, says it, and leaves what was there before."""
    path = Cache(folder).get("things", {"a": 1}, make).path / name
    content = path.read_bytes()
    place = draw.randrange(len(content))
    if how == "flip":
        path.write_bytes(content[:place] + bytes([content[place] ^ 1 << draw.randrange(8)]) + content[place + 1 :])
    elif how == "cut":
        path.write_bytes(content[:place])
    elif how == "empty":
        path.write_bytes(b"")
    else:
        path.unlink()
    with listening() as log:
        entry = Cache(folder).get("things", {"a": 1}, make)  # as a new process
    now = {file: (entry.path / file).read_bytes() for file in FILES}
    good = now == contents() and entry.facts == {"files": len(FILES)}
    told = str(path) in entry.why and any(str(path) in line and "made again" in line for line in log)
    return Fault(
        f"{what}, {name}", good and told, f"content {'same' if good else 'differs'}, why {entry.why!r}, log {log}"
    )


def contents() -> dict[str, bytes]:
    return {name: random.Random(name).randbytes(size) for name, size in FILES.items()}


def make(folder: Path) -> dict[str, int]:
    for name, data in contents().items():
        (folder / name).parent.mkdir(exist_ok=True)
        (folder / name).write_bytes(data)
    return {"files": len(FILES)}


@contextmanager
def listening() -> Iterator[list[str]]:
    """What the cache logs."""
    said: list[str] = []
    handler = logging.Handler()
    handler.emit = lambda record: said.append(record.getMessage())
    logger = logging.getLogger("src.utils.disk_cache")
    propagate, logger.propagate = logger.propagate, False
    logger.addHandler(handler)
    try:
        yield said
    finally:
        logger.removeHandler(handler)
        logger.propagate = propagate
