"""An index made, made again, broken off and refused."""

from __future__ import annotations

import json
import shutil
import zipfile

import numpy as np
import pytest

import src.deploy.index.build as building
import src.deploy.index.writer as writing
from src.deploy.encoder import Model
from src.deploy.index.build import Options
from src.deploy.index.store import Index
from src.utils.errors import InputError, ResourceError
from tests.corpora.harvester.trees import write
from tests.deploy.index.runs import OPTIONS, SIZE, indexed, write_run, write_tree


def contents(folder) -> set[tuple[str, str, int, str, str]]:
    """Everything that an index answers with, and that its vectors are those of the model."""
    index = Index.open(folder / "index")
    model, found = Model.load(None, index.model["checkpoint"]), set()
    vectors_MD = np.concatenate([segment.vectors_MD for segment in index.segments] or [np.empty((0, SIZE))])
    assert len(np.unique(index.rows["item"])) == index.items
    for item in range(index.items):
        doc, source = index.text(item)
        rows = index.rows_of(item)
        assert len(rows)
        for row in rows.tolist():
            place = index.place(row)
            found.add((place.path, place.name, place.start, doc, source))
        if '"""' not in source and "//" not in source:
            expected_D = model.embed(model.encoder.codes([source]))[0].numpy()
            np.testing.assert_allclose(vectors_MD[item], expected_D, atol=2e-3)
    assert len(found) == index.manifest["functions"]
    return found


def names(folder) -> list[str]:
    return sorted(f"{path}:{name}" for path, name, *_ in contents(folder))


def test_an_index_holds_every_function_with_its_vector(tmp_path) -> None:
    report = indexed(tmp_path)
    assert names(tmp_path) == [
        "files.py:close_file", "files.py:open_file", "main.go:SortRows", "net/copy.py:send_packet",
        "net/send.py:send_packet", "web/page.js:drawImage", "web/page.js:parseHeader",
    ]  # fmt: skip
    assert report.manifest["functions"] == 7
    assert report.manifest["items"] == report.counts["embedded"] == 6
    index = Index.open(tmp_path / "index")
    assert index.dimension == SIZE
    assert index.segments[0].vectors_MD.dtype == np.float16
    assert not (tmp_path / "index" / ".part").exists()


def test_only_changed_functions_are_embedded_and_removed_ones_are_erased(tmp_path) -> None:
    indexed(tmp_path)
    again = indexed(tmp_path)
    assert (again.counts["embedded"], again.counts["unchanged"], again.counts["files unchanged"]) == (0, 6, 5)
    tree = tmp_path / "tree"
    (tree / "files.py").unlink()
    (tree / "net" / "copy.py").write_text("def send_packets(sockets):\n    pass\n")
    write(tree / "new.rb", "def fetch\n  1\nend\n")
    changed = indexed(tmp_path)
    assert (changed.counts["embedded"], changed.counts["unchanged"], changed.counts["removed"]) == (2, 4, 2)
    assert names(tmp_path) == [
        "main.go:SortRows", "net/copy.py:send_packets", "net/send.py:send_packet", "new.rb:fetch",
        "web/page.js:drawImage", "web/page.js:parseHeader",
    ]  # fmt: skip
    held = b"".join(path.read_bytes() for path in (tmp_path / "index").rglob("*") if path.is_file())
    assert b"close_file" not in held, "a function that left is still on the disk"
    fresh = tmp_path / "fresh"
    fresh.mkdir()
    shutil.copytree(tree, fresh / "tree")
    indexed(fresh)
    assert contents(fresh) == contents(tmp_path)


def test_a_moved_function_is_not_embedded_again(tmp_path) -> None:
    indexed(tmp_path)
    (tmp_path / "tree" / "files.py").rename(tmp_path / "tree" / "moved.py")
    report = indexed(tmp_path)
    assert (report.counts["embedded"], report.counts["removed"]) == (0, 0)
    assert "moved.py:open_file" in names(tmp_path)


@pytest.mark.parametrize("chunk", [1, 4])
@pytest.mark.parametrize("full", [2, 3])
def test_the_sizes_of_chunks_and_segments_do_not_change_the_index(tmp_path, monkeypatch, chunk, full) -> None:
    monkeypatch.setattr(building, "CHUNK", chunk)
    monkeypatch.setattr(writing, "FULL", full)
    indexed(tmp_path)
    assert len(Index.open(tmp_path / "index").segments) == -(-6 // full)
    (tmp_path / "tree" / "main.go").unlink()
    write(tmp_path / "tree" / "more.py", "".join(f"def f{n}():\n    return {n}\n" for n in range(5)))
    indexed(tmp_path)
    first = contents(tmp_path)
    monkeypatch.undo()
    fresh = tmp_path / "fresh"
    fresh.mkdir()
    shutil.copytree(tmp_path / "tree", fresh / "tree")
    indexed(fresh)
    assert contents(fresh) == first


@pytest.mark.parametrize("broken", ["harvest", "embed", "table", "manifest"])
def test_an_interruption_keeps_the_old_index_and_what_was_embedded(tmp_path, monkeypatch, broken) -> None:
    monkeypatch.setattr(building, "CHUNK", 2)
    indexed(tmp_path)
    before = contents(tmp_path)
    write(tmp_path / "tree" / "more.py", "".join(f"def f{n}():\n    return {n}\n" for n in range(5)))
    (tmp_path / "tree" / "main.go").unlink()

    def stop(*args, **kwargs):
        raise KeyboardInterrupt

    embedder, calls = building.embed_codes, []
    with monkeypatch.context() as patched:
        if broken == "harvest":
            patched.setattr(building, "harvest_all", stop)
        elif broken == "embed":
            patched.setattr(
                building,
                "embed_codes",
                lambda *args: calls.append(1) or (stop() if len(calls) == 3 else embedder(*args)),
            )
        elif broken == "table":
            patched.setattr(writing, "statistics", stop)
        else:
            patched.setattr("os.fsync", stop)
        with pytest.raises(KeyboardInterrupt):
            indexed(tmp_path)
    assert contents(tmp_path) == before
    report = indexed(tmp_path)
    assert report.counts["embedded"] == {"harvest": 5, "embed": 1}.get(broken, 0)
    assert "more.py:f4" in names(tmp_path)
    assert "main.go:SortRows" not in names(tmp_path)
    assert len(list((tmp_path / "index" / "tables").iterdir())) == 1


def test_an_unfinished_first_index_is_refused(tmp_path, monkeypatch) -> None:
    with monkeypatch.context() as patched:
        patched.setattr(building, "embed_codes", lambda *args: (_ for _ in ()).throw(KeyboardInterrupt))
        with pytest.raises(KeyboardInterrupt):
            indexed(tmp_path)
    with pytest.raises(InputError, match="is not finished: type the command that made it again"):
        Index.open(tmp_path / "index")


def test_an_index_of_another_model_is_refused_unless_it_is_rebuilt(tmp_path) -> None:
    indexed(tmp_path)
    other = write_run(tmp_path / "other", seed=1, size=17)
    with pytest.raises(InputError, match=r"made with another model .* dimension 32\), found .* rebuild=true"):
        indexed(tmp_path, run=other)
    report = indexed(tmp_path, options=Options(workers=0, rebuild=True), run=other)
    assert (report.manifest["dimension"], report.counts["embedded"]) == (17, 6)


def test_only_one_process_at_a_time_writes_an_index(tmp_path) -> None:
    indexed(tmp_path)
    with building.FileLock(tmp_path / "index" / ".lock"), pytest.raises(ResourceError, match="made by another process"):
        indexed(tmp_path)


def test_a_missing_root_is_named_and_dropped_once_the_others_are_given(tmp_path) -> None:
    other = write(tmp_path / "other" / "a.py", "def alone(): pass\n").parent
    indexed(tmp_path, [write_tree(tmp_path / "tree"), other])
    assert "a.py:alone" in names(tmp_path)
    shutil.rmtree(other)
    model = Model.load(str(tmp_path / "run"))
    with pytest.raises(InputError, match=r"other of the index is gone: give the others, roots=\[.*tree\]"):
        building.build([], tmp_path / "index", model, OPTIONS)
    indexed(tmp_path)
    assert "a.py:alone" not in names(tmp_path)


def test_unusable_files_are_skipped_and_counted(tmp_path) -> None:
    tree = write_tree(tmp_path / "tree")
    write(tree / "binary.py", b"def f(): pass\n\0\1\2")
    write(tree / "latin.py", "def ä(): pass\n".encode("latin-1"))
    write(tree / "giant.py", "def g(): pass\n" + "x = 1\n" * 200_000)
    write(tree / "node_modules" / "a.js", "function vendored() { }\n")
    report = indexed(tmp_path)
    assert len(names(tmp_path)) == 7
    counts = report.counts
    assert [counts[f"files skipped: {why}"] for why in ("binary", "not UTF-8", "too large")] == [1, 1, 1]
    assert counts["files skipped: vendored"] == 1
    assert indexed(tmp_path).counts["files unchanged"] == 8
    everything = indexed(tmp_path, options=Options(workers=0, skip=()))
    assert everything.counts["embedded"] == 1


def test_a_zip_archive_is_indexed_like_a_tree(tmp_path) -> None:
    with zipfile.ZipFile(tmp_path / "code.zip", "w") as archive:
        archive.writestr("a/b.py", "def inside(): pass\n")
    indexed(tmp_path, [tmp_path / "code.zip"])
    assert names(tmp_path) == ["a/b.py:inside"]


def test_a_folder_or_file_that_is_no_index_is_refused(tmp_path) -> None:
    write(tmp_path / "index" / "thesis.tex", "years of work")
    with pytest.raises(InputError, match=r"expected a new folder or an earlier index .* found thesis\.tex there"):
        indexed(tmp_path)
    (tmp_path / "file").write_text("")
    with pytest.raises(InputError, match="expected a folder in out="):
        building.build([str(tmp_path / "tree")], tmp_path / "file", Model.load(str(tmp_path / "run")), OPTIONS)


def test_a_damaged_or_missing_index_is_refused_with_the_reason(tmp_path) -> None:
    indexed(tmp_path)
    manifest = tmp_path / "index" / "manifest.json"
    held = json.loads(manifest.read_text())
    manifest.write_text(json.dumps({**held, "items": 5}))
    with pytest.raises(InputError, match="is damaged"):
        Index.open(tmp_path / "index")
    manifest.write_text("{")
    with pytest.raises(InputError, match="cannot be used"):
        Index.open(tmp_path / "index")
    with pytest.raises(InputError, match="does not exist: make one"):
        Index.open(tmp_path / "nowhere")
    with pytest.raises(InputError, match=r"found .*run without manifest\.json"):
        Index.open(tmp_path / "run")
