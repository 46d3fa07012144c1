"""Any data in CodeSearchNet's layout: CodeSearchNet itself, CoSQA, or your own.

    root/<language>/train.jsonl      docstring, code, url             one JSON object a line, .jsonl or .jsonl.gz
    root/<language>/valid.jsonl      docstring, url
    root/<language>/test.jsonl       docstring, url
    root/<language>/codebase.jsonl   code, url                        the candidates of valid and test

Where valid and test rank candidates of their own, these are valid_codebase.jsonl and test_codebase.jsonl.

`url` is the identity of a code: the answer to a valid or test query is the codebase line with the same url. Several
queries may share one. Where `docstring_tokens` and `code_tokens` are present they are read instead, joined by spaces,
as in the paper. `idx`, when present, becomes the id of the query. Husain et al., 2019 (arXiv 1909.09436).
"""

from __future__ import annotations

import logging
from pathlib import Path

from src.corpora.base import Codebase, Pair, Split
from src.corpora.jsonl import Row, find_jsonl, read_rows
from src.corpora.multilanguage import MissingLanguage
from src.errors import InputError, nearest

log = logging.getLogger(__name__)

SPLITS = ("train", "valid", "test")
FILES = (*SPLITS, "codebase")
# Fields in order of preference.
CODE = {"tokens": ("code_tokens", "code"), "source": ("code", "code_tokens")}
QUERY = {"tokens": ("docstring_tokens", "docstring"), "source": ("docstring", "docstring_tokens")}


def ways_to_get_a_corpus(language: str) -> str:
    """The end of an error message about a corpus that is not there."""
    return (
        "three ways to get a corpus: corpus=stdlib reads the library of the language's toolchain; corpus=harvest "
        "corpus.roots=[DIR] reads the functions of your source trees; corpus=codesearchnet corpus.root=DIR reads "
        f"CodeSearchNet from DIR/{language}/train.jsonl, valid.jsonl, test.jsonl and codebase.jsonl (or "
        ".jsonl.gz); your own data works the same way, one JSON object a line with the fields code, docstring, url"
    )


class CodeSearchNetCorpus:
    """One language under `root`; a split is read on first use, so a corpus may hold a test split only.

    `text` says which fields come first: `tokens` (code_tokens, docstring_tokens) or `source` (code, docstring), which
    keeps the lines of the code. Every InputError comes from `split`, never from the constructor.
    """

    def __init__(self, root: str | Path | None = None, language: str = "python", text: str = "tokens") -> None:
        self.root = root
        self.language = language
        self.text = text
        self._splits: dict[str, Split] = {}
        self._codebases: dict[Path, tuple[Codebase, dict[str, int]]] = {}  # file -> codes, and url -> row

    def split(self, name: str) -> Split:
        """Raises InputError, one line, for everything that is wrong with the root, the files or their lines."""
        if name not in SPLITS:
            raise InputError(f"a split is one of {', '.join(SPLITS)}, found {name!r}{nearest(name, SPLITS)}")
        if name not in self._splits:
            self._splits[name] = self._read(name)
        return self._splits[name]

    def of_language(self, language: str) -> CodeSearchNetCorpus:
        """One of several under `root`. Raises MissingLanguage: it has no folder there."""
        if self.root is None:
            raise InputError("lang=all expects corpus=codesearchnet corpus.root=DIR with a folder for each language")
        root = Path(self.root).expanduser()
        if not (root / language).is_dir():
            raise MissingLanguage("no folder in corpus.root")
        return CodeSearchNetCorpus(root, language, self.text)

    def _read(self, name: str) -> Split:
        folder = self._folder()
        path = find_jsonl(folder, name, known=FILES)
        codebase, rows = (None, {}) if name == "train" else self._candidates(folder, name)
        pairs = self._pairs(path, codebase, rows)
        if not pairs:
            raise InputError(f"{path}: expected at least one pair, found an empty split; fill the file or remove it")
        log.info("%s: %d pairs from %s", name, len(pairs), path)
        return Split(name, pairs, codebase, tuple(rows[pair.code_id] for pair in pairs) if codebase else ())

    def _candidates(self, folder: Path, name: str) -> tuple[Codebase, dict[str, int]]:
        """The codebase of a split, and url -> row in it; read once where valid and test share it."""
        own = any((folder / f"{name}_codebase{suffix}").is_file() for suffix in (".jsonl", ".jsonl.gz"))
        path = find_jsonl(folder, f"{name}_codebase" if own else "codebase", known=FILES)
        if path not in self._codebases:
            self._codebases[path] = _read_codebase(path, CODE[self.text])
        return self._codebases[path]

    def _folder(self) -> Path:
        if self.text not in CODE:
            raise InputError(f"corpus.text is one of {', '.join(CODE)}, found {self.text!r}{nearest(self.text, CODE)}")
        ways = ways_to_get_a_corpus(self.language)
        if self.root is None:
            raise InputError(f"corpus=codesearchnet expects corpus.root=DIR, found corpus.root=null; {ways}")
        root = Path(self.root).expanduser()
        if not root.is_dir():
            found = "a file" if root.exists() else "nothing there"
            raise InputError(f"expected a directory in corpus.root={root}, found {found}; {ways}")
        if not (root / self.language).is_dir():
            languages = sorted(path.name for path in root.iterdir() if path.is_dir())
            found = ", ".join(languages) or "no folder"
            hint = nearest(self.language, languages)
            raise InputError(
                f"expected the folder {root / self.language} for lang={self.language}, found {found}{hint}"
            )
        return root / self.language

    def _pairs(self, path: Path, codebase: Codebase | None, rows: dict[str, int]) -> tuple[Pair, ...]:
        pairs: list[Pair] = []
        codes: dict[str, tuple[str, int]] = {}  # url -> its code and the line that gave it
        queries: dict[str, dict[str, int]] = {}  # url -> query -> line
        ids: dict[str, int] = {}  # id -> line
        for row in read_rows(path):
            url, query, code = row.text("url"), row.text(*QUERY[self.text]), ""
            if codebase is None or row.has(*CODE[self.text]):
                code = row.text(*CODE[self.text])
                first, line = codes.setdefault(url, (code, row.line))
                if code != first:
                    raise row.error(f"url {url!r} has another code on line {line}; give each code a url of its own")
            if codebase is not None:
                if url not in rows:
                    raise row.error(
                        f"expected a url of codebase.jsonl, found {url!r}; add the line with its code there"
                    )
                code = codebase.codes[rows[url]]  # the text that is ranked, however this row spells it

            if (line := queries.setdefault(url, {}).setdefault(query, row.line)) != row.line:
                raise row.error(f"the url and the query of line {line} again; remove one of the two lines")
            nth = len(queries[url])
            id = _index(row) or (url if nth == 1 else f"{url}#{nth}")
            if (line := ids.setdefault(id, row.line)) != row.line:
                raise row.error(
                    f"expected an idx of its own, found {id!r} as on line {line}; change it or leave it out"
                )
            pairs.append(Pair(query, code, id, self.language, code_id=url))
        return tuple(pairs)


def _read_codebase(path: Path, fields: tuple[str, ...]) -> tuple[Codebase, dict[str, int]]:
    rows: dict[str, int] = {}
    codes: list[str] = []
    lines: list[int] = []
    for row in read_rows(path):
        url = row.text("url")
        if url in rows:
            raise row.error(
                f"expected a url of its own, found {url!r} as on line {lines[rows[url]]}; remove one of the two"
            )
        rows[url] = len(codes)
        codes.append(row.text(*fields))
        lines.append(row.line)
    if not codes:
        raise InputError(f"{path}: expected the codes to rank, found an empty file; add one JSON object a line")
    return Codebase(tuple(rows), tuple(codes)), rows


def _index(row: Row) -> str:
    """`idx`, a number or a string, as text; empty when the row has none."""
    if not row.has("idx"):
        return ""
    index = row.fields["idx"]
    return str(index) if type(index) is int else row.text("idx")
