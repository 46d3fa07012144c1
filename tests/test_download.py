"""The command leaves a corpus that trains, from a stand-in server; what goes wrong is one line and costs nothing."""

from __future__ import annotations

import gzip
import hashlib
import io
import json
import zipfile

import pytest

from src.corpora.codesearchnet import CodeSearchNetCorpus
from src.corpora.harvester.filters import parses, query_problem
from tests.support.commands import run_command
from tests.support.file_server import mirror_on_loopback


@pytest.fixture
def mirror():
    with mirror_on_loopback() as server:
        yield server


def row(number: int, query: str = "opens the file of a user", code: str | None = None) -> dict:
    code = f"def open_{number}(path)\n  File.open(path)\nend" if code is None else code
    words = query.split()
    return {
        **{"code": code, "code_tokens": code.split(), "docstring": query, "docstring_tokens": words},
        **{"url": f"u{number}", "language": "ruby", "func_name": f"open_{number}", "partition": "train"},
    }


def lines(rows: list[dict]) -> bytes:
    return "".join(json.dumps(row) + "\n" for row in rows).encode()


def zipped(**files: bytes) -> bytes:
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as archive:
        for name, data in files.items():
            archive.writestr(name, data)
    return packed.getvalue()


def archive(language: str = "ruby", code: str | None = None) -> bytes:
    """CodeSearchNet's layout: of 7 rows for train 3 stay; of 3 for valid 2, of 4 for test 2, one being there twice."""
    splits = {
        "train": [
            *(row(i, code=code) for i in range(3)),
            row(3, "too short"),
            row(4, "see http://example.org for this"),
            row(5, "открывает файл по имени"),
            row(6, code="def broken(path"),
        ],
        "valid": [row(10, code=code), row(11, code=code), row(12, "short")],
        "test": [row(20, code=code), row(21, code=code), row(22, "<img src=x> of it"), row(20, code=code)],
    }
    files = {
        f"{language}/final/jsonl/{split}/{language}_{split}_0.jsonl.gz": gzip.compress(lines(rows))
        for split, rows in splits.items()
    }
    return zipped(**files, **{f"{language}_licenses.pkl": b"never opened"})


def options(mirror, tmp_path, *paths: str) -> tuple[str, ...]:
    urls = ",".join(mirror.url(path) for path in paths)
    return ("lang=ruby", f"source.files.archive.mirrors=[{urls}]", f"out={tmp_path / 'data'}", "pause=0")


def test_a_corpus_is_downloaded_once_filtered_and_readable(mirror, tmp_path):
    mirror.files["/b"], mirror.statuses["/a"], mirror.breaks["/b"] = archive(), [403], [501]
    given = options(mirror, tmp_path, "/a", "/b")
    result = run_command("download", tmp_path / "run", "corpus=codesearchnet", *given)
    assert result.status == 0, result.errors
    assert "HTTP 403; trying the next mirror" in result.output
    assert "resuming at byte 501" in result.output
    corpus = CodeSearchNetCorpus(tmp_path / "data", "ruby")
    assert [pair.code_id for pair in corpus.split("train").pairs] == ["u0", "u1", "u2"]
    assert [len(corpus.split(name)) for name in ("valid", "test")] == [2, 2]
    assert corpus.split("test").codebase.ids == ("u20", "u21", "u22", "u10", "u11", "u12")
    about = json.loads((tmp_path / "data" / "ruby" / "about.json").read_text())
    assert about["written"] == {"train": 3, "valid": 2, "test": 2, "codebase": 6}
    assert about["read"] == 14
    assert about["dropped: query not English"] == about["dropped: code does not parse"] == 1
    assert about["dropped: query with a link or an image"] == 2

    asked = len(mirror.asked)
    assert run_command("download", tmp_path / "again", "corpus=codesearchnet", *given).status == 0
    assert len(mirror.asked) == asked


@pytest.mark.parametrize("way", ["folder", "archive", "fetched"])
def test_published_splits_are_reproduced(mirror, tmp_path, way):
    mirror.files["/a"] = archive()
    published = tmp_path / "lists" / "ruby"
    published.mkdir(parents=True)
    splits = {"train": ["u3", "u1"], "valid": ["u12"], "test": ["u21"], "codebase": ["u21", "u12", "u10", "gone"]}
    for name, urls in splits.items():
        (published / f"{name}.txt").write_text("\n".join(urls) + "\n")
    lists = tmp_path / "lists"
    if way != "folder":  # as in GraphCodeBERT's repository
        files = {f"dataset/ruby/{name}.txt": "\n".join(urls).encode() for name, urls in splits.items()}
        others = {"dataset/go/train.txt": b"u2\n", "dataset/preprocess.py": b"never run", "dataset/run.sh": b""}
        mirror.files["/l"] = zipped(**files, **others)
        lists = tmp_path / "lists.zip"
        lists.write_bytes(mirror.files["/l"])
    given = (*options(mirror, tmp_path, "/a"), f"corpus.url_lists={'true' if way == 'fetched' else lists}")
    mirror.statuses["/refused"], mirror.breaks["/l"] = [403], [71]
    given += (f"source.url_lists.mirrors=[{mirror.url('/refused')},{mirror.url('/l')}]",)
    result = run_command("download", tmp_path / "run", *given)
    assert result.status == 0, result.errors
    corpus = CodeSearchNetCorpus(tmp_path / "data", "ruby")
    assert {pair.code_id for pair in corpus.split("train").pairs} == {"u1", "u3"}
    assert set(corpus.split("test").codebase.ids) == {"u21", "u12", "u10"}
    assert "missing: urls of codebase.txt  1" in result.output
    asked = [path for path, _ in mirror.asked]
    assert asked == (["/refused", "/l", "/l", "/a"] if way == "fetched" else ["/a"])
    if way == "fetched":
        assert "resuming at byte 71" in result.output
        sums = json.loads((tmp_path / "data" / "downloads" / "sums.json").read_text())
        assert sums["graphcodebert.zip"]["sha256"] == hashlib.sha256(mirror.files["/l"]).hexdigest()


def test_cosqa_is_what_was_published(mirror, tmp_path):
    codes = {f"def f{i}(x):\n    return x + {i}": i for i in range(5)}

    def entry(i: int, label: int = 1) -> dict:
        code = list(codes)[i]
        tokens = {"code_tokens": code, "docstring_tokens": "returns it"}
        return {
            "idx": f"q{i}-{label}",
            "doc": f"python add {i}",
            "code": code,
            **tokens,
            "label": label,
            "retrieval_idx": i,
        }

    files = {
        "cosqa-retrieval-train-19604.json": [entry(0), entry(0), entry(1, 0), entry(1), entry(4)],
        "cosqa-retrieval-dev-500.json": [entry(2)],
        "cosqa-retrieval-test-500.json": [entry(3)],
        "code_idx_map.txt": codes,
    }
    mirror.files = {f"/{name}": json.dumps(content).encode() for name, content in files.items()}
    given = ("corpus=cosqa", f"source.mirror={mirror.url('')}", f"out={tmp_path / 'data'}")
    result = run_command("download", tmp_path / "run", *given)
    assert result.status == 0, result.errors
    corpus = CodeSearchNetCorpus(tmp_path / "data", "python")
    assert [pair.id for pair in corpus.split("train").pairs] == ["q0-1", "q1-1", "q4-1"]
    test = corpus.split("test")
    assert test.pairs[0].query == "python add 3"
    assert test.pairs[0].code == "def f3(x): return x + 3"
    assert len(test.codebase) == 5


def test_advtest_ranks_each_split_among_its_own_codes(mirror, tmp_path):
    code = "def f(a):\n    return a"
    hidden = [{**row(i), "function": f"def Func(arg_{i}):\n    return arg_{i}"} for i in range(30, 35)]
    for fields in hidden:
        fields["function_tokens"] = fields["function"].split()
        del fields["code"], fields["code_tokens"]
    mirror.files["/adv"] = zipped(
        **{
            "dataset/train.txt": b"u0\nu4\n",
            "dataset/valid.txt": b"u30\nu31\n",
            "dataset/test.txt": b"u32\nu33\nu34\n",
        },
        **{"dataset/test_code.jsonl": lines(hidden), "dataset/preprocess.py": b"never run"},
    )
    mirror.files["/python"] = archive("python", code)
    result = run_command(
        *("download", tmp_path / "run", "corpus=advtest", f"out={tmp_path / 'data'}"),
        *(
            f"source.files.{name}.mirrors=[{mirror.url(p)}]"
            for name, p in (("dataset", "/adv"), ("archive", "/python"))
        ),
    )
    assert result.status == 0, result.errors
    corpus = CodeSearchNetCorpus(tmp_path / "data", "python")
    assert [pair.code_id for pair in corpus.split("train").pairs] == ["u0", "u4"]
    assert corpus.split("valid").codebase.ids == ("u30", "u31")
    assert corpus.split("test").codebase.ids == ("u32", "u33", "u34")
    assert corpus.split("test").pairs[0].code == "def Func(arg_32): return arg_32"


@pytest.mark.parametrize(
    ("given", "message"),
    [
        (("source.files.archive.sha256=" + "0" * 64,), "wrong file (SHA-256"),
        (("corpus=advtest",), "this corpus has python, found lang=ruby"),
        (("corpus.url_lists=nowhere",), "train.txt, one url a line, found nothing there"),
        (("corpus.url_lists=true", "source.url_lists.mirrors=[]"), "graphcodebert.zip cannot be had: source names no"),
        (("corpus=cosqa", "lang=python", "corpus.url_lists=true"), "corpus.url_lists is for corpus=codesearchnet"),
        (("lang=go",), "expected go/final/jsonl/train/*.jsonl.gz and so on, found none of them"),
        (
            ("corpus=stdlib",),
            "nothing to download: corpus=stdlib is the library of the language's toolchain; train with",
        ),
        (("corpus=harvest",), "train with corpus=harvest corpus.roots=[DIR] lang=ruby"),
        (("corpus=cosqas",), "did you mean 'cosqa'?"),
    ],
)
def test_a_mistake_is_one_line_and_leaves_the_corpus_untouched(mirror, tmp_path, given, message):
    mirror.files["/a"] = archive()
    assert run_command("download", tmp_path / "run", *options(mirror, tmp_path, "/a")).status == 0
    before = {path: path.read_bytes() for path in (tmp_path / "data" / "ruby").iterdir()}
    if "sha256" in given[0]:
        (tmp_path / "data" / "downloads" / "ruby.zip").unlink()
    without_archive = given[0].startswith(("corpus=cosqa", "corpus=stdlib", "corpus=harvest"))
    more = [word for word in options(mirror, tmp_path, "/a") if "archive" not in word or not without_archive]
    result = run_command("download", tmp_path / "failing", *more, *given)
    assert result.status == 2
    assert message in result.errors
    assert len(result.errors.splitlines()) == 1
    assert {path: path.read_bytes() for path in (tmp_path / "data" / "ruby").iterdir()} == before


@pytest.mark.parametrize("damage", ["{", '{"url": "u1"}', "[]"])
def test_a_damaged_line_does_not_replace_a_good_corpus(mirror, tmp_path, damage):
    mirror.files["/a"] = archive()
    assert run_command("download", tmp_path / "run", *options(mirror, tmp_path, "/a")).status == 0
    before = (tmp_path / "data" / "ruby" / "train.jsonl").read_bytes()
    name = "ruby/final/jsonl/train/ruby_train_0.jsonl.gz"
    mirror.files["/a"] = zipped(**{name: gzip.compress(lines([row(1)]) + damage.encode())})
    for path in (tmp_path / "data" / "downloads").iterdir():
        path.unlink()
    result = run_command("download", tmp_path / "failing", *options(mirror, tmp_path, "/a"))
    assert result.status == 2
    assert len(result.errors.splitlines()) == 1
    assert name in result.errors
    assert (tmp_path / "data" / "ruby" / "train.jsonl").read_bytes() == before


@pytest.mark.parametrize(
    ("language", "good", "bad"),
    [
        ("python", "def f(a):\n    return a", "def f(a:\n  return"),
        ("java", "public int f(int a) { return a; }", "public int f(int a) { return a;"),
        ("javascript", "function f(a) { return a; }", "function f(a { return a; }"),
        ("php", "public function f($a) { return $a; }", "public function f($a { return $a; }"),
        ("ruby", "def f(a)\n  a\nend", "def f(a"),
        ("go", "func (s *S) f(a int) int { return a }", "func f(a int int { return a }"),
    ],
)
def test_a_method_without_its_class_parses(language, good, bad):
    assert parses(good, language)
    assert not parses(bad, language)


def test_the_length_filter_keeps_3_to_256_words():
    for words, kept in ((2, False), (3, True), (256, True), (257, False)):
        assert (not query_problem(" ".join(["word"] * words), words)) == kept
