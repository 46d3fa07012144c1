"""Any data in CodeSearchNet's layout: CodeSearchNet itself, CoSQA, or your own.

    root/<language>/train.jsonl      docstring, code, url             one JSON object a line, .jsonl or .jsonl.gz
    root/<language>/valid.jsonl      docstring, url
    root/<language>/test.jsonl       docstring, url
    root/<language>/codebase.jsonl   code, url                        the candidates of valid and test, or their own:
    root/<language>/valid_codebase.jsonl and test_codebase.jsonl

`url` is the identity of a code: the answer to a valid or test query is the codebase line with the same url. Several
queries may share one. Where `docstring_tokens` and `code_tokens` are present they are read instead, joined by spaces,
as in the paper. `idx`, when present, becomes the id of the query. Husain et al., 2019 (arXiv 1909.09436).
"""

import logging
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from src.config.types import Whole
from src.corpora.base import SPLITS, Codebase, Corpus, MissingLanguage, Pair, Split
from src.corpora.jsonl import BadLines, Row, find_jsonl, read_rows
from src.utils.errors import InputError, nearest

log = logging.getLogger(__name__)

FILES = (*SPLITS, "codebase")
Text = Literal["tokens", "source"]
# Fields in order of preference.
CODE: dict[Text, tuple[str, str]] = {"tokens": ("code_tokens", "code"), "source": ("code", "code_tokens")}
QUERY: dict[Text, tuple[str, str]] = {
    "tokens": ("docstring_tokens", "docstring"),
    "source": ("docstring", "docstring_tokens"),
}


@dataclass(eq=False)
class CodeSearchNetCorpus(Corpus):
    """One language under `root`; a split is read on first use, so a corpus may hold a test split only.

    Args:
        root: folder with a folder of each language.
        language: language, which is the name of its folder.
        text: which fields come first: `tokens` (code_tokens, docstring_tokens) or `source` (code, docstring), which
            keeps the lines of the code.
        max_bad_lines: lines of a file that are left out because they cannot be used, logged as file:line; one more is
            an error.
    """

    root: str | Path | None = None
    language: str = "python"
    text: Text = "tokens"
    max_bad_lines: Whole = 0

    def __post_init__(self) -> None:
        self._codebases: dict[Path, tuple[Codebase, dict[str, int]]] = {}  # file -> codes, and url -> row

    def check(self) -> None:
        """Raises InputError for what is wrong with the root, the language and the names of the files."""
        folder = self._folder()
        for name in SPLITS:
            find_jsonl(folder, name, known=FILES)
            if name != "train":
                self._codebase_file(folder, name)

    def of_language(self, language: str) -> "CodeSearchNetCorpus":
        """One of several under `root`. Raises MissingLanguage: it has no folder there."""
        if self.root is None:
            raise InputError("lang=all expects corpus=codesearchnet corpus.root=DIR with a folder for each language")
        root = Path(self.root).expanduser()
        if not (root / language).is_dir():
            raise MissingLanguage("no folder in corpus.root")
        return CodeSearchNetCorpus(root, language, self.text, self.max_bad_lines)

    def read(self, name: str) -> Split:
        """Raises InputError, one line, for everything that is wrong with the root, the files or their lines."""
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
        path = self._codebase_file(folder, name)
        if path not in self._codebases:
            self._codebases[path] = _read_codebase(BadLines(path, self.max_bad_lines), CODE[self.text])
        return self._codebases[path]

    def _codebase_file(self, folder: Path, name: str) -> Path:
        own = any((folder / f"{name}_codebase{suffix}").is_file() for suffix in (".jsonl", ".jsonl.gz"))
        return find_jsonl(folder, f"{name}_codebase" if own else "codebase", known=FILES)

    def _folder(self) -> Path:
        ways = (
            "three ways to get a corpus: corpus=stdlib reads the library of the language's toolchain; corpus=harvest "
            "corpus.roots=[DIR] reads the functions of your source trees; corpus=codesearchnet corpus.root=DIR reads "
            f"CodeSearchNet from DIR/{self.language}/train.jsonl, valid.jsonl, test.jsonl and codebase.jsonl (or "
            ".jsonl.gz); your own data works the same way, one JSON object a line with the fields code, docstring, url"
        )
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
        bad = BadLines(path, self.max_bad_lines)
        for row in read_rows(path, bad):
            with bad:
                url, query, code = row.text("url"), row.text(*QUERY[self.text]), ""
                if codebase is None or row.has(*CODE[self.text]):
                    code = row.text(*CODE[self.text])
                    first, line = codes.get(url, (code, row.line))
                    if code != first:
                        raise row.error(f"url {url!r} has another code on line {line}; give each code a url of its own")
                spelled = code
                if codebase is not None:
                    if url not in rows:
                        raise row.error(
                            f"expected a url of codebase.jsonl, found {url!r}; add the line with its code there"
                        )
                    code = codebase.codes[rows[url]]  # the text that is ranked, however this row spells it

                known = queries.get(url, {})
                if query in known:
                    raise row.error(f"the url and the query of line {known[query]} again; remove one of the two lines")
                id = _index(row) or (f"{url}#{len(known) + 1}" if known else url)
                if id in ids:
                    raise row.error(
                        f"expected an idx of its own, found {id!r} as on line {ids[id]}; change it or leave it out"
                    )
                # A line that is left out leaves no trace.
                if spelled:
                    codes.setdefault(url, (spelled, row.line))
                queries.setdefault(url, {})[query] = ids[id] = row.line
                pairs.append(Pair(query, code, id, self.language, code_id=url))
        bad.count()
        return tuple(pairs)


def _read_codebase(bad: BadLines, fields: tuple[str, ...]) -> tuple[Codebase, dict[str, int]]:
    rows: dict[str, int] = {}
    codes: list[str] = []
    lines: list[int] = []
    for row in read_rows(bad.path, bad):
        with bad:
            url = row.text("url")
            if url in rows:
                raise row.error(
                    f"expected a url of its own, found {url!r} as on line {lines[rows[url]]}; remove one of the two"
                )
            codes.append(row.text(*fields))
            rows[url] = len(lines)
            lines.append(row.line)
    bad.count()
    if not codes:
        raise InputError(f"{bad.path}: expected the codes to rank, found an empty file; add one JSON object a line")
    return Codebase(tuple(rows), tuple(codes)), rows


def _index(row: Row) -> str:
    """`idx`, a number or a string, as text; empty when the row has none."""
    if not row.has("idx"):
        return ""
    index = row.fields["idx"]
    return str(index) if type(index) is int else row.text("idx")
