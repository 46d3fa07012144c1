"""The standard library as a corpus, on small trees written here and once on the real one."""

from __future__ import annotations

import ast
import io
import itertools
import logging
import tokenize
from pathlib import Path

import pytest

from src.config.checks import check_part
from src.config.compose import compose_config
from src.corpora import stdlib
from src.corpora.base import Split
from src.corpora.harvester.filters import query_problem
from src.corpora.harvester.splits import split_groups
from src.corpora.stdlib import BEGINS, StdlibCorpus
from src.utils.errors import InputError

BODY = "    {0}_rows = load_{0}(path)\n    sort_{0}({0}_rows)\n    return {0}_rows.{0}\n"


def function(word: str, query: str | None = None) -> str:
    """A function of its own vocabulary, so that it is nobody's near duplicate."""
    return f'def {word}(path):\n    """{query or f"Read the {word} from a path."}"""\n' + BODY.format(word)


def library(root: Path, **modules: str) -> StdlibCorpus:
    """A library of the given modules and enough others to fill every split; `a__b` is the file a/b.py."""
    fillers = ["abc", "ast", "bisect", "calendar", "cmd", "copy", "csv", "dis", "enum", "glob", "gzip", "heapq"]
    sources = {name: function(f"{name}filler") for name in fillers} | modules
    for name, source in sources.items():
        path = root / (name.replace("__", "/") + ".py")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(source, encoding="utf-8")
    return StdlibCorpus(root=str(root))


def all_ids(corpus: StdlibCorpus) -> set[str]:
    return {pair.id for name in stdlib.BEGINS for pair in corpus.split(name).pairs}


@pytest.mark.parametrize(
    "query",
    [
        "Two words.",
        "word " * 257,
        "Größe of a file.",
        "See http://x.y for more",
        "An <img src=x> of it",
        "x = (1, 2) + [3]",
    ],
)
def test_a_query_that_codesearchnet_would_leave_out_is_left_out(query: str) -> None:
    assert query_problem(query)


@pytest.mark.parametrize("query", ["Three whole words", "word " * 256, "Return f(x), or None."])
def test_a_query_that_codesearchnet_would_keep_is_kept(query: str) -> None:
    assert not query_problem(query)


def test_dunders_tests_and_short_functions_are_left_out(tmp_path: Path) -> None:
    short = 'def short(a):\n    """Too short to be of use."""\n    # a comment is no line\n\n    return a\n'
    source = function("keep") + function("__enter__") + function("test_it") + short
    corpus = library(tmp_path, string=source)
    assert {id for id in all_ids(corpus) if id.startswith("string.py")} == {"string.py:keep"}
    counts = corpus.counts()
    assert (counts["dropped: test or dunder"], counts["dropped: under 3 lines"]) == (2, 1)
    assert counts["documented functions"] == counts["kept"] + 3
    assert counts["kept"] == counts["train"] + counts["valid"] + counts["test"] == counts["files"]


def test_files_that_not_every_distribution_has_are_left_out(tmp_path: Path) -> None:
    modules = [
        "json__decoder",
        "json__tests__one",
        "test__two",
        "tkinter__three",
        "sysconfig",
        "mine",
        "site-packages__four",
    ]
    corpus = library(tmp_path, **{name: function(f"word{n}") for n, name in enumerate(modules)})
    assert {id for id in all_ids(corpus) if "filler" not in id} == {"json/decoder.py:word0"}


def test_file_that_does_not_parse_costs_that_file_only(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    corpus = library(tmp_path, json__decoder="def f(:\n", json__encoder=function("kept"))
    (tmp_path / "string.py").write_bytes(b"x = '\xff'\n")
    with caplog.at_level(logging.WARNING):
        assert "json/encoder.py:kept" in all_ids(corpus)
    assert [record.args[0] for record in caplog.records] == ["json/decoder.py", "string.py"]
    assert corpus.counts()["files that do not parse"] == 2


def test_encoding_that_a_file_declares_is_used(tmp_path: Path) -> None:
    source = "# -*- coding: latin-1 -*-\n" + function("coded").replace("return", "x = 'é'\n    return")
    corpus = library(tmp_path)
    (tmp_path / "string.py").write_bytes(source.encode("latin-1"))
    [code] = [pair.code for name in stdlib.BEGINS for pair in corpus.split(name).pairs if "coded" in pair.id]
    assert "x = 'é'" in code


def test_an_invalid_escape_in_the_library_gives_no_warning(tmp_path: Path) -> None:
    escape = function("odd").replace("return", "x = '\\d'\n    return")
    assert "string.py:odd" in all_ids(library(tmp_path, string=escape))


def test_same_name_twice_gets_ids_of_its_own(tmp_path: Path) -> None:
    first, second = function("one"), function("two").replace("def two(path", "def one(file, mode, flag")
    corpus = library(tmp_path, string=f"if x:\n{_indented(first)}else:\n{_indented(second)}")
    assert {"string.py:one", "string.py:one#2"} <= all_ids(corpus)


def test_duplicate_in_another_module_cannot_reach_another_split(tmp_path: Path) -> None:
    same_code = function("old").replace("Read the old from a path.", "Another text for it.")
    near_code = function("old", "A third text for it.").replace("(path)", "(path, mode)", 1)
    same_query = function("new", "READ the old, from a path")
    corpus = library(tmp_path, cgi=function("old"), string=same_code, wave=near_code, zipfile=same_query)
    assert {id for id in all_ids(corpus) if "filler" not in id} == {"cgi.py:old"}
    counts = corpus.counts()
    reasons = ["dropped: same code", "dropped: near duplicate code", "dropped: same query"]
    assert [counts[reason] for reason in reasons] == [1, 1, 1]


def test_modules_of_one_package_stay_in_one_split(tmp_path: Path) -> None:
    corpus = library(tmp_path, **{f"json__part{n}": function(f"word{letter}") for n, letter in enumerate("abcdefgh")})
    owners = [name for name in stdlib.BEGINS for pair in corpus.split(name).pairs if pair.id.startswith("json/")]
    assert len(owners) == 8
    assert len(set(owners)) == 1


def test_one_large_module_does_not_take_a_whole_small_split() -> None:
    sizes = {f"module{n}": 10 for n in range(100)} | {"large": 200}
    split_of = split_groups(sizes, BEGINS)
    held = {name: sum(sizes[module] for module in sizes if split_of[module] == name) for name in stdlib.BEGINS}
    assert held["train"] / 1200 == pytest.approx(0.75, abs=0.1)
    assert held["valid"] > 0 < held["test"]
    assert split_groups(dict(reversed(sizes.items())), BEGINS) == split_of


def test_the_error_for_a_library_that_is_not_installed_names_its_package(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("src.corpora.harvester.toolchains._CANDIDATES", {"java": list})
    with pytest.raises(InputError, match=r"lang=java found no library .*openjdk-17-source.*corpus.root=DIR") as error:
        StdlibCorpus("java").split("train")
    assert "\n" not in str(error.value)


def test_a_misspelt_language_is_refused_with_a_suggestion() -> None:
    with pytest.raises(InputError, match="did you mean 'ruby'"):
        StdlibCorpus("rubby").split("train")


def test_a_misspelt_split_is_refused_with_a_suggestion(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="did you mean 'valid'"):
        library(tmp_path).split("vaild")


@pytest.mark.parametrize("content", [None, {"notes.py": "x = 1"}])
def test_a_root_without_the_library_is_refused(tmp_path: Path, content: dict[str, str] | None) -> None:
    root = tmp_path / "lib"
    if content:
        root.mkdir()
        (root / "notes.py").write_text(content["notes.py"])
    with pytest.raises(InputError, match=r"found no modules"):
        StdlibCorpus(root=root).split("train")


def test_a_library_too_small_to_split_is_refused(tmp_path: Path) -> None:
    (tmp_path / "string.py").write_text(function("alone"))
    with pytest.raises(InputError, match="too few to split"):
        StdlibCorpus(root=tmp_path).split("train")


@pytest.mark.parametrize("threshold", ["80", "0", "high", "null"])
def test_a_threshold_outside_its_range_is_refused(threshold: str) -> None:
    corpus = compose_config("train", ["corpus=stdlib", f"corpus.near_duplicate={threshold}"]).corpus
    with pytest.raises(InputError, match=r"^corpus.near_duplicate: expected a number above 0 and up to 1, found "):
        check_part("corpus", corpus)


@pytest.fixture(scope="module")
def real() -> dict[str, Split]:
    corpus = StdlibCorpus()
    return {name: corpus.split(name) for name in ("train", "valid", "test")}


def test_real_library_shares_no_module_between_splits(real: dict[str, Split]) -> None:
    modules = [{stdlib._module(pair) for pair in split.pairs} for split in real.values()]
    for one, other in itertools.combinations(modules, 2):
        assert one.isdisjoint(other)
    assert min(map(len, modules)) >= 10  # a split of two packages would say little about code search


def test_real_library_has_sensible_sizes(real: dict[str, Split]) -> None:
    total = sum(map(len, real.values()))
    assert total > 2000
    for name, share in (("train", 0.75), ("valid", 0.10), ("test", 0.15)):
        assert len(real[name]) / total == pytest.approx(share, abs=0.04)


def test_real_library_holds_each_query_code_and_id_once(real: dict[str, Split]) -> None:
    pairs = [pair for split in real.values() for pair in split.pairs]
    for texts in ([pair.id for pair in pairs], [pair.query for pair in pairs], [pair.code for pair in pairs]):
        assert len(set(texts)) == len(pairs)


def test_real_codebase_answers_every_query(real: dict[str, Split]) -> None:
    assert real["train"].codebase is None
    for name in ("valid", "test"):
        split = real[name]
        assert len(split.codebase) == len(split.pairs) == len(split.positives)
        for pair, row in zip(split.pairs, split.positives):
            assert (split.codebase.ids[row], split.codebase.codes[row]) == (pair.code_id, pair.code)


def test_real_code_parses_without_docstring_comment_or_indentation(real: dict[str, Split]) -> None:
    for split in real.values():
        for pair in split.pairs:
            [node] = ast.parse(pair.code).body
            assert node.name == pair.id.rpartition(":")[2].split("#")[0].split(".")[-1]
            assert pair.query not in pair.code or pair.query not in (ast.get_docstring(node) or "")
            kinds = {token.type for token in tokenize.generate_tokens(io.StringIO(pair.code + "\n").readline)}
            assert tokenize.COMMENT not in kinds, pair.id


def test_real_library_read_again_is_the_same(real: dict[str, Split]) -> None:
    assert StdlibCorpus().split("test") is real["test"]  # one reading per process
    stdlib.read_library.cache_clear()
    again = StdlibCorpus()
    for name, split in real.items():
        assert again.split(name).fingerprint == split.fingerprint


def _indented(source: str) -> str:
    return "".join(f"    {line}\n" for line in source.splitlines())
