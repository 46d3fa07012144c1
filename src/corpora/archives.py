"""Members of zip and tar archives, read one after the other and never unpacked: no name in them becomes a path here."""

import gzip
import io
import tarfile
import zipfile
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path, PurePosixPath
from typing import IO, cast

from src.utils.errors import InputError

DAMAGED = (zipfile.BadZipFile, tarfile.TarError, OSError, EOFError, zlib.error, NotImplementedError, RuntimeError)


def members(path: Path, wanted: Callable[[str], bool]) -> Iterator[tuple[str, Iterator[bytes]]]:
    """(name, lines) of the files in a zip or tar archive whose name is wanted, in the order of names; a member NAME.gz
    is unpacked on the way. Lines must be read before the next member is asked for.

    Raises InputError: the archive is damaged, or has a member that would be outside of the folder it is unpacked in.
    """
    try:
        if zipfile.is_zipfile(path):
            with zipfile.ZipFile(path) as archive:
                for name in _chosen(path, archive.namelist(), wanted):
                    with archive.open(name) as stream:
                        yield name, _lines(path, name, stream)
        elif tarfile.is_tarfile(path):
            with tarfile.open(path) as archive:
                inside = {member.name: member for member in archive.getmembers() if member.isfile()}
                for name in _chosen(path, archive.getnames(), wanted):
                    # a link or a device is no data
                    if name in inside and (file := archive.extractfile(inside[name])) is not None:
                        yield name, _lines(path, name, file)
        else:
            raise InputError(f"{path}: expected a zip or tar archive; remove the file and run the command again")
    except DAMAGED as error:
        raise _damaged(path, error) from error


def _chosen(path: Path, names: list[str], wanted: Callable[[str], bool]) -> list[str]:
    for name in names:
        pure = PurePosixPath(name.replace("\\", "/"))
        if pure.is_absolute() or ".." in pure.parts or ":" in name.split("/")[0]:
            raise InputError(
                f"{path}: expected members inside of the archive, found {name!r}, which leaves it: nothing was read; "
                "do not trust where the file came from"
            )
    return sorted(name for name in names if wanted(name))


def _lines(path: Path, name: str, stream: IO[bytes]) -> Iterator[bytes]:
    try:
        with gzip.open(stream) if name.endswith(".gz") else io.BufferedReader(cast(io.RawIOBase, stream)) as unpacked:
            yield from unpacked
    except DAMAGED as error:
        raise _damaged(f"{path}, {name}", error) from error


def _damaged(what: Path | str, error: Exception) -> InputError:
    found = str(error) or type(error).__name__
    return InputError(f"{what}: cannot be read ({found}); remove the file and run the command again")
