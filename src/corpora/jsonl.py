"""JSON-lines files read one row at a time, with errors that name the file, the line and the field."""

import codecs
import gzip
import json
import logging
import zlib
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any

from src.utils.errors import InputError, nearest

log = logging.getLogger(__name__)

LONGEST = 5_000_000  # bytes of a line; no function is as long, and no more than this is held of one


class BadLine(InputError):
    """One line that cannot be used: `path:line: message`."""


@dataclass
class BadLines(AbstractContextManager[None]):
    """The lines of one file that cannot be used: the first is an error, or up to `most` of them are left out.

        with bad:  # left out where what is inside raises BadLine
            use(row)
        bad.count()

    Each is said in the log as file:line, and how many there were at the end.
    """

    path: Path
    most: int = 0  # corpus.max_bad_lines
    met: list[str] = field(default_factory=list)

    def add(self, error: BadLine) -> None:
        """Raises InputError: it is one too many."""
        self.met.append(str(error))
        if not self.most:
            raise error
        log.warning("left out: %s", error)
        if len(self.met) > self.most:
            raise InputError(
                f"{self.path}: {len(self.met)} bad lines, more than corpus.max_bad_lines={self.most}: mend the file or "
                f"raise that; the last one: {error}"
            ) from error

    def count(self) -> None:
        """Says how many lines were left out."""
        if self.met:
            log.warning("%s: %d bad lines left out (corpus.max_bad_lines=%d)", self.path, len(self.met), self.most)

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, traceback: object) -> bool:
        if isinstance(error, BadLine):
            self.add(error)
        return isinstance(error, BadLine)


@dataclass(frozen=True, slots=True)
class Row:
    """One JSON object and where it stands."""

    path: Path
    line: int
    fields: dict[str, Any]

    def error(self, message: str) -> BadLine:
        """The error to raise about this row: `path:line: message`."""
        return BadLine(f"{self.path}:{self.line}: {message}")

    def has(self, *names: str) -> bool:
        """Whether one of the fields is there and not null."""
        return any(self.fields.get(name) is not None for name in names)

    def text(self, *names: str) -> str:
        """The first of the fields that is not blank, stripped. A field named `*_tokens` is a list, joined by spaces.

        Raises BadLine: none of them is there (null counts as absent), one has the wrong type, or all are blank.
        """
        if not self.has(*names):
            others = [field for field in self.fields if field not in names]
            hint = next(filter(None, (nearest(name, others) for name in names)), "")
            found = ", ".join(map(repr, self.fields)) or "none"
            raise self.error(f"expected the field {' or '.join(map(repr, names))}, found the fields {found}{hint}")
        for name in filter(self.has, names):
            if text := self._text(name).strip():
                return text
        raise self.error(f"expected text in {' or '.join(map(repr, names))}, found it empty; fill it or drop the line")

    def _text(self, name: str) -> str:
        value = self.fields[name]
        if name.endswith("_tokens"):
            if not isinstance(value, list) or not all(isinstance(token, str) for token in value):
                raise self.error(f"expected a list of strings in {name!r}, found {_kind(value)}")
            value = " ".join(value)
        if not isinstance(value, str):
            raise self.error(f"expected a string in {name!r}, found {_kind(value)}")
        try:
            value.encode()  # JSON can escape half of a surrogate pair, which no tokeniser accepts
        except UnicodeEncodeError as error:
            raise self.error(
                f"expected Unicode text in {name!r}, found half of a surrogate pair; {error.reason}"
            ) from None
        if "\0" in value:  # JSON can escape it, and what is written in C ends a text there
            raise self.error(f"expected text in {name!r}, found a NUL character in it; take it out")
        return value


def find_jsonl(folder: Path, stem: str, known: Sequence[str] = ()) -> Path:
    """`stem`.jsonl or `stem`.jsonl.gz in `folder`; InputError lists what is there and hints at none of `known`."""
    for path in (folder / f"{stem}.jsonl", folder / f"{stem}.jsonl.gz"):
        if path.is_file():
            return path
    files = sorted(path.name for path in folder.iterdir() if path.is_file())
    found = ", ".join(files[:8]) + (", ..." if len(files) > 8 else "") or "no file"
    hint = nearest(f"{stem}.jsonl", [file for file in files if file.split(".")[0] not in known])
    raise InputError(f"expected {folder / stem}.jsonl or .jsonl.gz, found {found}; add the file{hint}")


def read_rows(path: Path, bad: BadLines | None = None) -> Iterator[Row]:
    """Rows in order, streamed; blank lines are skipped, bad ones as `bad` allows (None: not one).

    Raises InputError: the file cannot be read or unpacked, or a line too many is not a JSON object in UTF-8.
    """
    number = 0
    bad = BadLines(path) if bad is None else bad
    try:
        with gzip.open(path) if path.suffix == ".gz" else path.open("rb") as stream:
            while line := stream.readline(LONGEST + 1):
                number += 1
                row = None
                with bad:
                    if len(line) > LONGEST:
                        size = len(line) + (0 if line.endswith(b"\n") else _rest(stream))
                        raise BadLine(f"{path}:{number}: expected at most {LONGEST:,} bytes in a line, found {size:,}")
                    text = line.removeprefix(codecs.BOM_UTF8) if number == 1 else line
                    if text.strip():
                        row = Row(path, number, _object(f"{path}:{number}", text))
                if row is not None:
                    yield row
    except (OSError, EOFError, zlib.error) as error:
        raise InputError(f"{path}:{number + 1}: cannot be read: {error}; copy or pack the file again") from error


def _rest(stream: IO[bytes] | gzip.GzipFile) -> int:
    """Reads to the end of the line, a piece at a time; how many bytes that was."""
    size = 0
    while piece := stream.readline(LONGEST):
        size += len(piece)
        if piece.endswith(b"\n"):
            break
    return size


def _object(where: str, line: bytes) -> dict[str, Any]:
    try:
        value = json.loads(line.decode())
    except UnicodeDecodeError as error:
        found = f"byte {line[error.start]:#04x} at position {error.start}"
        raise BadLine(f"{where}: expected UTF-8, found {found}; convert the file to UTF-8") from None
    except (ValueError, RecursionError) as error:  # ValueError: also a number of thousands of digits
        text = line.decode().strip()
        excerpt = text if len(text) <= 40 else f"{text[:40]}..."
        raise BadLine(f"{where}: expected one JSON object a line, found {excerpt!r} ({error})") from None
    if not isinstance(value, dict):
        raise BadLine(f'{where}: expected a JSON object such as {{"code": "...", "url": "..."}}, found {_kind(value)}')
    return value


def _kind(value: Any) -> str:
    names = {dict: "an object", list: "a list", str: "a string", bool: "a boolean", type(None): "null"}
    kind = names.get(type(value), "a number")
    if isinstance(value, list) and (strange := [item for item in value if not isinstance(item, str)]):
        kind += f" with {_kind(strange[0])} in it"
    return kind
