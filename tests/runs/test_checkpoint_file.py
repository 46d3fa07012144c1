"""Files that are whole or not there."""

from __future__ import annotations

import zipfile

import pytest
import torch

from src.runs import checkpoint_file
from src.runs.checkpoint_file import DamagedError, check, previous, read, size_of, write

HELD = {"state_dict": {"a": torch.arange(7.0)}, "global_step": 3, "words": ["é", 1, None]}


@pytest.fixture
def path(tmp_path):
    write(HELD, tmp_path / "it.ckpt")
    return tmp_path / "it.ckpt"


def test_a_checkpoint_is_read_as_written(path):
    found = read(path)
    assert torch.equal(found.pop("state_dict")["a"], HELD["state_dict"]["a"])
    assert found == {"global_step": 3, "words": ["é", 1, None]}


def test_other_tools_can_read_a_checkpoint(path):
    assert zipfile.ZipFile(path).testzip() is None
    assert zipfile.ZipFile(path).comment.startswith(b"SHA-256 ")
    assert torch.load(path, weights_only=True, mmap=True)["global_step"] == 3


def test_the_size_is_predicted_to_the_byte(path):
    assert size_of(HELD) == path.stat().st_size


def test_a_flipped_bit_is_noticed(path):
    data = path.read_bytes()
    for place in (*range(0, len(data), 41), *range(len(data) - 100, len(data))):
        for bit in (0, 7):
            changed = bytearray(data)
            changed[place] ^= 1 << bit
            path.write_bytes(changed)
            with pytest.raises(DamagedError):
                check(path)


@pytest.mark.parametrize("length", [0, 1, 50, -1, -checkpoint_file.SUM, -checkpoint_file.SUM - 1])
def test_a_truncated_file_is_noticed(path, length):
    path.write_bytes(path.read_bytes()[:length])
    with pytest.raises(DamagedError):
        check(path)


def test_a_missing_file_and_a_folder_count_as_damaged(tmp_path):
    for name, make in (("none", None), ("folder", "mkdir")):
        if make:
            (tmp_path / name).mkdir()
        with pytest.raises(DamagedError):
            read(tmp_path / name)


def test_a_checkpoint_from_before_there_were_sums_is_read(tmp_path):
    torch.save(HELD, tmp_path / "old.ckpt")
    assert read(tmp_path / "old.ckpt")["global_step"] == 3


def test_a_pickle_with_code_in_it_is_not_executed(tmp_path):
    class Evil:
        def __reduce__(self):
            return open, (str(tmp_path / "executed"), "w")

    torch.save({"state_dict": Evil()}, tmp_path / "evil.ckpt")
    with pytest.raises(DamagedError):
        read(tmp_path / "evil.ckpt")
    assert not (tmp_path / "executed").exists()


def test_the_previous_checkpoint_is_kept_and_no_part_stays(path):
    before = path.read_bytes()
    write({**HELD, "global_step": 4}, path)
    assert previous(path).read_bytes() == before
    assert read(path)["global_step"] == 4
    assert sorted(p.name for p in path.parent.iterdir()) == ["it.ckpt", "it.previous.ckpt"]


def test_a_write_that_fails_leaves_the_old_file_intact(path, monkeypatch):
    def fail(*arguments):
        raise KeyboardInterrupt

    before = path.read_bytes()
    monkeypatch.setattr("torch.save", fail)
    with pytest.raises(KeyboardInterrupt):
        write(HELD, path)
    assert [p.name for p in path.parent.iterdir()] == ["it.ckpt"]
    assert path.read_bytes() == before
