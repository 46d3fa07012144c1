"""Puts a bad line among good ones, at a place that is drawn, and reads the corpus strictly and forgivingly."""

from __future__ import annotations

import gzip
import json
import logging
import random
from collections.abc import Iterator
from pathlib import Path

from src.corpora.codesearchnet import CodeSearchNetCorpus
from src.utils.errors import InputError
from tests.faults.harness import Fault, scratch

TITLE = "30 bad data lines: not JSON, bad UTF-8, NUL, 10 MB, empty fields, ids again, wrong types"
PROMISE = "each reported as file:line, with a count at the end; stops above corpus.max_bad_lines"
FULL = 30

GOOD = [{"url": f"u{i}", "docstring": f"do thing {i}", "code": f"def f{i}(): pass", "idx": i} for i in range(11)]


def line(**changed: object) -> bytes:
    """A good line of its own but for what is changed; None takes a field out."""
    row = {"url": "new", "docstring": "do the new thing", "code": "def new(): pass", **changed}
    return json.dumps({key: value for key, value in row.items() if value is not ...}).encode()


# name, the file that it is put into, the line
CASES: list[tuple[str, str, bytes]] = [
    ("no JSON", "train", b"hello"),
    ("half an object", "train", b'{"url": "new", "docstring": "do'),
    ("two objects", "train", line() + line(url="newer")),
    ("a trailing comma", "train", line()[:-1] + b",}"),
    ("single quotes", "train", line().replace(b'"', b"'")),
    ("a list", "train", b"[1, 2]"),
    ("a number", "train", b"7"),
    ("null", "train", b"null"),
    ("a text", "train", b'"url"'),
    ("lists in lists", "train", b"[" * 100_000),
    ("a number of 5,000 digits", "train", b'{"url": ' + b"9" * 5000 + b"}"),
    ("Latin-1", "train", line(docstring="Größe").replace(b"\\u00f6", b"\xf6")),
    ("a cut UTF-8 sequence", "train", line()[:-2] + b'\xe2\x82"}'),
    ("random bytes", "train", bytes(range(128, 256))),
    ("a NUL byte", "train", line().replace(b"new thing", b"new\0thing")),
    ("only NUL bytes", "train", b"\0" * 64),
    ("an escaped NUL", "train", line(docstring="do\0it")),
    ("half of a surrogate pair", "train", line(code="x = '\ud800'")),
    ("10 MB", "train", line(code="x" * 10_000_000)),
    ("10 MB without an end of the text", "train", b'{"url": "' + b"x" * 10_000_000),
    ("no url", "train", line(url=...)),
    ("no query", "train", line(docstring=...)),
    ("no code", "train", line(code=...)),
    ("an empty url", "train", line(url="")),
    ("a blank query", "train", line(docstring=" \t ")),
    ("an empty code", "train", line(code="", code_tokens=[])),
    ("a null code", "train", line(code=None)),
    ("a number as url", "train", line(url=7)),
    ("a list as query", "train", line(docstring=["do", "it"])),
    ("a text as tokens", "train", line(code_tokens="def new")),
    ("tokens that are numbers", "train", line(docstring_tokens=["do", 7])),
    ("an object as code", "train", line(code={"text": "def"})),
    ("an id again", "train", line(idx=3)),
    ("a url with another code", "train", line(url="u3")),
    ("url and query again", "train", line(url="u3", docstring="do thing 3", code="def f3(): pass")),
    ("a candidate again", "codebase", line(url="u3")),
    ("a candidate without code", "codebase", line(code=...)),
    ("a query without a candidate", "test", line()),
    ("a query again", "test", line(url="u3", docstring="do thing 3", code="def f3(): pass")),
    ("no JSON, packed", "valid.gz", b"hello"),
]


def run(full: bool) -> Iterator[Fault]:
    with scratch() as folder:
        draw = random.Random(9)
        for name, file, bad in CASES if full else CASES[::7]:
            yield fault(folder, name, file, bad, draw.randrange(5, len(GOOD) + 1))
        yield above_the_limit(folder)


def fault(folder: Path, name: str, file: str, bad: bytes, place: int) -> Fault:
    """Survived: strictly, one line that names file and line; forgivingly, all but that line, said and counted."""
    split = {"codebase": "test"}.get(file, file.removesuffix(".gz"))
    path = write(folder, file, bad, place)
    where = f"{path}:{place + 1}: "
    try:
        CodeSearchNetCorpus(folder).split(split)
        return Fault(name, False, "it was read as if it were good")
    except InputError as error:
        said = str(error)
    if not said.startswith(where) or "\n" in said or len(said) > 500:
        return Fault(name, False, f"expected one line that begins with {where}, found {said[:300]}")
    kept, log = listened(folder, split, most=1)
    told = any(where in message for message in log)
    counted = any("1 bad lines left out" in message for message in log)
    return Fault(name, kept == len(GOOD) and told and counted, f"{kept} of {len(GOOD)} kept, log {log}")


def above_the_limit(folder: Path) -> Fault:
    """Three bad lines, of which two are allowed."""
    write(folder, "train", b"a\nb\nc", 3)
    try:
        listened(folder, "train", most=2)
    except InputError as error:
        kept, _ = listened(folder, "train", most=3)
        return Fault("three where two are allowed", "max_bad_lines=2" in str(error) and kept == len(GOOD), str(error))
    return Fault("three where two are allowed", False, "it was read")


def listened(folder: Path, split: str, most: int) -> tuple[int, list[str]]:
    """How many pairs were read, and what was logged."""
    said: list[str] = []
    handler = logging.Handler()
    handler.emit = lambda record: said.append(record.getMessage())
    logger = logging.getLogger("src.corpora.jsonl")
    logger.addHandler(handler)
    propagate, logger.propagate = logger.propagate, False
    try:
        return len(CodeSearchNetCorpus(folder, max_bad_lines=most).split(split)), said
    finally:
        logger.removeHandler(handler)
        logger.propagate = propagate


def write(folder: Path, file: str, bad: bytes, place: int) -> Path:
    """All files of a corpus, with the bad line in one of them."""
    (folder / "python").mkdir(exist_ok=True)
    for path in (folder / "python").iterdir():
        path.unlink()
    changed = folder
    for name in ("train", "valid", "test", "codebase"):
        lines = [json.dumps(row).encode() for row in GOOD]
        packed = file == f"{name}.gz"
        if packed or file == name:
            lines.insert(place, bad)
        path = folder / "python" / f"{name}.jsonl{'.gz' if packed else ''}"
        data = b"".join(line + b"\n" for line in lines)
        path.write_bytes(gzip.compress(data) if packed else data)
        changed = path if packed or file == name else changed
    return changed
