"""Reads the transaction log of a W&B run: protocol buffers in LevelDB's log format."""

from __future__ import annotations

import json
import struct
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from wandb.proto.wandb_internal_pb2 import Record

BLOCK, HEADER = 32768, 7
FULL, LAST = 1, 4  # of a record: in one piece, or its last piece


def records(path: Path) -> Iterator[Record]:
    """The records of a .wandb file; a file that is still being written ends early."""
    data = path.read_bytes()
    assert data[:4] == b":W&B"
    at, found = HEADER, b""
    while at + HEADER <= len(data):
        if (left := BLOCK - at % BLOCK) < HEADER:
            at += left
            continue
        _, length, kind = struct.unpack("<IHB", data[at : at + HEADER])
        found += data[at + HEADER : at + HEADER + length]
        at += HEADER + length
        if kind in (FULL, LAST):
            yield Record.FromString(found)
            found = b""


def finished(path: Path, patience: float = 60.0) -> list[Record]:
    """All records of a finished run: `finish` returns before the process that writes the file has come to its end."""
    until = time.monotonic() + patience
    while True:
        found = list(records(path))
        if found and found[-1].HasField("exit"):
            return found
        assert time.monotonic() < until, f"{path} has no end"
        time.sleep(0.02)


def plain(items: Any) -> dict[str, Any]:
    """Items of a history, summary or config record as plain values."""
    return {"/".join(item.nested_key) or item.key: json.loads(item.value_json) for item in items}


def history(found: list[Record], name: str) -> list[Any]:
    """The values of a metric in order."""
    rows = [plain(record.history.item) for record in found if record.HasField("history")]
    return [row[name] for row in rows if name in row]
