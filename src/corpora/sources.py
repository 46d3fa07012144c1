"""Public corpora as they are published, turned into the layout that corpus=codesearchnet reads.

A source says which files it needs (conf/source/*.yaml) and gives, from those files, rows for `train`, `valid`, `test`
and `codebase`. Rows keep `code`, `code_tokens`, `docstring`, `docstring_tokens`, `url` and where the function is from.
"""

import json
import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path, PurePosixPath
from typing import Any, ClassVar, Protocol

from src.corpora.archives import members
from src.corpora.base import SPLITS
from src.corpora.harvester.filters import parses, query_problem
from src.utils.errors import InputError

Fields = dict[str, Any]
KEPT = ("docstring", "docstring_tokens", "code", "code_tokens", "url", "language", "repo", "path", "func_name", "sha")


class Source(Protocol):
    """A published corpus."""

    languages: Sequence[str]

    def rows(
        self, files: Mapping[str, Path], language: str, lists: Mapping[str, set[str]] | None, counts: Counter[str]
    ) -> Iterator[tuple[str, Fields]]:
        """(file without .jsonl, row), streamed. `counts` gets the numbers of rows read, and dropped by reason.

        Args:
            files: by the names that the source's yaml gives them.
            lists: urls of train, valid, test and codebase in place of CodeSearchNet's filter; None: the filter.

        Raises InputError: a file is not what the source expects.
        """


class NoSource:
    """What corpora that are made on this machine have in place of a source.

    Raises InputError: always, and says what to do instead.
    """

    def __init__(self, instead: str) -> None:
        raise InputError(f"there is nothing to download: {instead}")


class CodeSearchNetSource:
    """CodeSearchNet's archives with GraphCodeBERT's filter, or with lists of urls such as its published ones.

    The filter: `query_problem` finds nothing, and the code parses. Every code of valid and test that parses is in the
    codebase, whatever its query, as in the published splits. `code_tokens` hold no comments, `code` does.
    """

    languages: ClassVar = ("python", "java", "javascript", "php", "ruby", "go")

    def rows(self, files, language, lists, counts):
        seen: set[tuple[str, str]] = set()
        for split, row in codesearchnet_rows(files["archive"], language):
            counts["read"] += 1
            if lists is not None:
                targets = [name for name, urls in lists.items() if row["url"] in urls]
                counts["dropped: in no list of urls"] += not targets
            else:
                targets = self._filtered(split, row, language, counts)
            for target in targets:
                if (target, row["url"]) in seen:
                    counts[f"dropped: url again in {target}"] += 1
                else:
                    seen.add((target, row["url"]))
                    yield target, row

    def _filtered(self, split: str, row: Fields, language: str, counts: Counter[str]) -> list[str]:
        if not row["code_tokens"] or not parses(row["code"], language):
            counts["dropped: code does not parse"] += 1
            return []
        pool = [] if split == "train" else ["codebase"]
        if reason := query_problem(" ".join(row["docstring_tokens"]), len(row["docstring_tokens"])):
            counts[f"dropped: {reason}"] += 1
            return pool
        return [split, *pool]


class CoSQASource:
    """CoSQA's retrieval split (Huang et al., 2021, arXiv 2105.13239): web queries with human-labelled answers.

    Of train, pairs that are labelled as answers. Codes of the codebase are the published ones, docstring inside; their
    identity is their number there.
    """

    languages: ClassVar = ("python",)

    def rows(self, files, language, lists, counts):
        for code, number in _json(files["codebase"], dict).items():
            yield "codebase", {"code": code, "code_tokens": code.split(), "url": str(number), "language": language}
        for split in SPLITS:
            seen: set[tuple[str, str]] = set()
            for entry in _json(files[split], list):
                counts["read"] += 1
                try:
                    query, url = " ".join(entry["doc"].split()), str(entry["retrieval_idx"])
                    row = {"docstring": query, "docstring_tokens": query.split(), "code": entry["code"]}
                    row |= {"code_tokens": entry["code_tokens"].split(), "url": url, "idx": entry["idx"]}
                    answers = entry["label"] == 1
                except (KeyError, TypeError, AttributeError) as error:
                    raise InputError(f"{files[split]}: expected doc, code, label, ..., found {entry!r:.80}") from error
                if not answers or (url, query) in seen:
                    counts["dropped: labelled as no answer" if not answers else "dropped: pair again"] += 1
                    continue
                seen.add((url, query))
                if split != "train":
                    del row["code"], row["code_tokens"]  # the text that is ranked is the codebase's
                yield split, {**row, "language": language}


class AdvTestSource:
    """AdvTest of CodeXGLUE (Lu et al., 2021, arXiv 2102.04664): python, with names in valid and test replaced.

    Train is CodeSearchNet's; each of valid and test ranks its own codes.
    """

    languages: ClassVar = ("python",)

    def rows(self, files, language, lists, counts):
        texts = members(files["dataset"], lambda name: PurePosixPath(name).name in [f"{split}.txt" for split in SPLITS])
        published = {PurePosixPath(name).stem: set(map(_text, lines)) for name, lines in texts}
        if not published.keys() >= set(SPLITS):
            raise InputError(
                f"{files['dataset']}: expected train.txt, valid.txt and test.txt, found {sorted(published)}"
            )
        seen: set[str] = set()
        for _, row in codesearchnet_rows(files["archive"], language):
            counts["read"] += 1
            if row["url"] in published["train"] and row["url"] not in seen:
                seen.add(row["url"])
                yield "train", row
        for name, lines in members(files["dataset"], lambda name: name.endswith("test_code.jsonl")):
            for number, line in enumerate(lines, start=1):
                counts["read"] += 1
                where = f"{files['dataset']}, {name}:{number}"
                fields = _object(where, line)
                fields |= {"code": fields.get("function"), "code_tokens": fields.get("function_tokens")}
                row = _kept(where, fields)
                for split in ("valid", "test"):
                    if row["url"] in published[split] and row["url"] not in seen:
                        seen.add(row["url"])
                        yield split, row
                        yield f"{split}_codebase", row


def codesearchnet_rows(archive: Path, language: str) -> Iterator[tuple[str, Fields]]:
    """(split, row) of the members LANGUAGE/final/jsonl/SPLIT/*.jsonl.gz.

    Raises InputError: there is no such member, or a line that is no row.
    """
    layout = re.compile(rf"(?:.*/)?{language}/final/jsonl/(train|valid|test)/[^/]+\.jsonl(?:\.gz)?")
    found = False
    for name, lines in members(archive, lambda name: layout.fullmatch(name) is not None):
        found = True
        for number, line in enumerate(lines, start=1):
            where = f"{archive}, {name}:{number}"
            yield PurePosixPath(name).parent.name, _kept(where, _object(where, line))
    if not found:
        raise InputError(f"{archive}: expected {language}/final/jsonl/train/*.jsonl.gz and so on, found none of them")


def read_url_lists(given: Path, language: str) -> dict[str, set[str]]:
    """The urls of train.txt, valid.txt, test.txt and codebase.txt, one a line.

    Args:
        given: a folder that holds them, or folders such as ruby that do; or such an archive.

    Raises InputError: a file is missing or empty.
    """
    names, lists = (*SPLITS, "codebase"), {}
    if given.is_file():
        layout = re.compile(rf"(?:.*/)?{language}/({'|'.join(names)})\.txt")
        for member, lines in members(given, lambda member: layout.fullmatch(member) is not None):
            lists[PurePosixPath(member).stem] = set(filter(None, map(_text, lines)))
        where = f"{given}, {language}/"
    else:
        folder = given / language if (given / language).is_dir() else given
        for path in (folder / f"{name}.txt" for name in names):
            if path.is_file():
                lists[path.stem] = set(filter(None, map(str.strip, path.read_text(encoding="utf-8").splitlines())))
        where = f"{folder}/"
    for name in names:
        if name not in lists:
            raise InputError(f"corpus.url_lists: expected {where}{name}.txt, one url a line, found nothing there")
        if not lists[name]:
            raise InputError(f"corpus.url_lists: expected urls in {where}{name}.txt, found none")
    return lists


def _object(where: str, line: bytes) -> Fields:
    try:
        fields = json.loads(line)
    except ValueError as error:
        raise InputError(f"{where}: expected one JSON object a line, found {line[:40]!r}") from error
    return fields if isinstance(fields, dict) else {}


def _kept(where: str, fields: Fields) -> Fields:
    row = {key: fields[key] for key in KEPT if fields.get(key) is not None}
    if missing := [key for key in ("url", "code", "code_tokens", "docstring_tokens") if key not in row]:
        raise InputError(f"{where}: expected {', '.join(missing)}, found {', '.join(fields) or 'no object'}")
    return row


def _json(path: Path, kind: type) -> Any:
    try:
        value = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise InputError(f"{path}: expected JSON ({error}); remove the file and run the command again") from error
    if not isinstance(value, kind):
        raise InputError(f"{path}: expected a JSON {kind.__name__}, found a {type(value).__name__}")
    return value


def _text(line: bytes) -> str:
    return line.decode().strip()
