"""Files from mirrors: interrupted downloads resume, files are checked against a hash and never half there.

folder/NAME              the file, in one step and only after its check
folder/NAME.part         what has arrived so far; NAME.part.json says of what, so that no two files are ever mixed
folder/NAME.wrong        what a mirror gave in place of the file
folder/sums.json         NAME -> SHA-256, bytes and origin of what was accepted; what has no known hash is checked by it
"""

import json
import logging
import sys
import time
import zipfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import httpx
from filelock import FileLock
from huggingface_hub import hf_hub_url
from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TimeRemainingColumn, TransferSpeedColumn

from src.utils.disk_cache import sha256
from src.utils.errors import InputError, first_line
from src.utils.files import read_json, write_atomically

log = logging.getLogger(__name__)

SUMS = "sums.json"
PASSING = frozenset((408, 425, 429, 500, 502, 503, 504))  # statuses after which the same mirror is asked again


class MirrorError(Exception):
    """This mirror does not give the file; the message is a few words. `passing`: asking again may help."""

    def __init__(self, reason: str, passing: bool = False) -> None:
        super().__init__(reason)
        self.passing = passing


@dataclass(frozen=True)
class Remote:
    """A file and where it can be had: https://..., or hf://datasets/OWNER/NAME@REVISION/PATH on the hub."""

    name: str
    mirrors: Sequence[str]
    sha256: str | None = None  # None: that of the first download, kept in sums.json


@dataclass(frozen=True)
class Fetcher:
    """How files are fetched into a folder."""

    folder: Path
    attempts: int = 5  # requests to a mirror that breaks off or is busy, each going on where the last one ended
    pause: float = 1.0  # seconds before the second attempt; doubled for each further one
    timeout: float = 30.0  # seconds without a byte after which a connection counts as broken
    say: Callable[[str], None] = log.info  # called with a line for people: what is reused, resumed, refused

    def fetch(self, file: Remote) -> Path:
        """The file, downloaded unless it is there already and still what it was.

        Raises InputError: no mirror gave the file; what has arrived of it stays for the next try.
        """
        if Path(file.name).name != file.name:
            raise InputError(f"source: expected a plain file name, found {file.name!r}")
        self.folder.mkdir(parents=True, exist_ok=True)
        with FileLock(self.folder / f".{file.name}.lock"):  # a second job waits, then finds the file
            return self._there(file) or self._fetched(file)

    def _there(self, file: Remote) -> Path | None:
        path = self.folder / file.name
        if not path.is_file():
            return None
        expected, found = self._expected(file), sha256(path)
        if expected not in (None, found):
            self._aside(path)
            self.say(
                f"{file.name} is there but damaged (SHA-256 {found[:12]}, expected {expected[:12]}); fetched again"
            )
            return None
        self._remember(file, path, found, "found there")
        self.say(f"{file.name} is there already, SHA-256 {found[:12]}")
        return path

    def _fetched(self, file: Remote) -> Path:
        failures = []
        for mirror in file.mirrors:
            try:
                url = address(mirror)
                return self._accepted(file, self._download(file, url), url)
            except MirrorError as error:
                failures.append(f"{mirror}: {error}")
                self.say(f"{mirror}: {error}; trying the next mirror" if mirror != file.mirrors[-1] else failures[-1])
        reasons = "; ".join(failures) or "source names no mirror"
        raise InputError(
            f"{file.name} cannot be had: {reasons}; run the same command again to resume, add a mirror to the source's "
            f"yaml, or put the file at {self.folder / file.name} yourself"
        )

    def _accepted(self, file: Remote, part: Path, url: str) -> Path:
        """The whole part as the file; what is not what was expected is kept aside."""
        found, expected = sha256(part), self._expected(file)
        wrong = f"SHA-256 {found[:12]}, expected {expected[:12]}" if expected not in (None, found) else None
        if expected is None and file.name.endswith(".zip") and not zipfile.is_zipfile(part):
            wrong = "not a zip archive"  # such as a login page, sent with status 200
        if wrong:
            raise MirrorError(f"wrong file ({wrong}), kept as {self._aside(part).name}")
        path = part.replace(self.folder / file.name)
        _about(part).unlink(missing_ok=True)
        known = "as expected" if expected else f"recorded in {SUMS}, later downloads must have the same"
        self._remember(file, path, found, url)
        self.say(f"{file.name}: {path.stat().st_size:,} bytes from {url}, SHA-256 {found[:12]}, {known}")
        return path

    def _download(self, file: Remote, url: str) -> Path:
        part = self.folder / f"{file.name}.part"
        for attempt in range(1, self.attempts + 1):
            try:
                self._resume(file.name, url, part)
                return part
            except MirrorError as error:
                failure = error
            except (httpx.HTTPError, httpx.StreamError, httpx.InvalidURL) as error:
                # Not a connection that broke, but an address or redirects that lead nowhere.
                final = (httpx.UnsupportedProtocol, httpx.TooManyRedirects, httpx.InvalidURL)
                reason = f"{type(error).__name__}: {first_line(error, 'no answer')}"
                failure = MirrorError(reason, not isinstance(error, final))
            if not failure.passing or attempt == self.attempts:
                raise failure
            arrived = part.stat().st_size if part.exists() else 0
            self.say(f"{file.name}: interrupted ({failure}), resuming at byte {arrived:,}")
            time.sleep(self.pause * 2 ** (attempt - 1))
        raise AssertionError("unreachable: attempts is at least 1")

    def _resume(self, name: str, url: str, part: Path) -> None:
        """One request: appends what is missing, or starts again if the mirror's file has changed."""
        headers = {"accept-encoding": "identity"}  # bytes of the file, so that their number says where to resume
        about = read_json(_about(part))
        mark = about.get("mark") or "W/"  # a weak one says nothing about bytes
        resumable = part.is_file() and about.get("url") == url and not mark.startswith("W/")
        offset = part.stat().st_size if resumable else 0
        if offset:
            headers |= {"range": f"bytes={offset}-", "if-range": mark}
        with httpx.stream("GET", url, headers=headers, follow_redirects=True, timeout=self.timeout) as response:
            # bytes FIRST-LAST/TOTAL, or bytes */TOTAL
            given, _, total_bytes = response.headers.get("content-range", "").removeprefix("bytes ").partition("/")
            if response.status_code == 416 and total_bytes == str(offset):
                return  # everything had arrived
            if response.status_code == 416 or (response.status_code == 206 and given.partition("-")[0] != str(offset)):
                _about(part).unlink(missing_ok=True)
                raise MirrorError("cannot resume an interrupted download", passing=True)
            if response.status_code not in (200, 206):
                raise MirrorError(f"HTTP {response.status_code}", response.status_code in PASSING)
            offset = offset if response.status_code == 206 else 0
            # Without a mark of what it is, half a file can be of another version than the other half.
            mark = response.headers.get("etag") or response.headers.get("last-modified")
            if not offset:
                _about(part).write_text(json.dumps({"url": url, "mark": mark}), encoding="utf-8")
            length = response.headers.get("content-length")
            total = offset + int(length) if length and "content-encoding" not in response.headers else None
            columns = (TextColumn(" {task.description}"), BarColumn(), DownloadColumn(), TransferSpeedColumn())
            progress = Progress(*columns, TimeRemainingColumn(), transient=True, disable=not sys.stdout.isatty())
            with part.open("ab" if offset else "wb", buffering=0) as stream, progress:
                task = progress.add_task(name, total=total, completed=offset)
                for chunk in response.iter_bytes():  # as they arrive: what waits for more is lost in a kill
                    stream.write(chunk)
                    progress.advance(task, len(chunk))
        if total is not None and part.stat().st_size != total:
            raise MirrorError(f"{part.stat().st_size:,} of {total:,} bytes", passing=True)

    def _expected(self, file: Remote) -> str | None:
        return file.sha256 or read_json(self.folder / SUMS).get(file.name, {}).get("sha256")

    def _remember(self, file: Remote, path: Path, found: str, origin: str) -> None:
        with FileLock(self.folder / f".{SUMS}.lock"):
            sums = read_json(self.folder / SUMS)
            sums.setdefault(file.name, {"sha256": found, "bytes": path.stat().st_size, "from": origin})
            write_atomically(self.folder / SUMS, json.dumps(sums, indent=2, sort_keys=True) + "\n")

    def _aside(self, path: Path) -> Path:
        wrong = path.replace(self.folder / f"{path.name.removesuffix('.part')}.wrong")
        _about(path).unlink(missing_ok=True)
        return wrong


def address(mirror: str) -> str:
    """The URL of a mirror; the hub's is where HF_ENDPOINT says.

    >>> address("hf://datasets/a/b@1f2e/data/ruby.zip")
    'https://huggingface.co/datasets/a/b/resolve/1f2e/data/ruby.zip'
    """
    if not mirror.startswith("hf://"):
        return mirror
    try:
        kind, owner, name, path = mirror.removeprefix("hf://").split("/", 3)
        name, revision = name.split("@")
    except ValueError:
        raise InputError(f"source: expected hf://datasets/OWNER/NAME@REVISION/PATH, found {mirror!r}") from None
    return hf_hub_url(f"{owner}/{name}", path, repo_type=kind.removesuffix("s"), revision=revision)


def _about(part: Path) -> Path:
    return part.with_name(f"{part.name}.json")
