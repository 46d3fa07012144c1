"""What the machine ran out of, said in one line."""

from __future__ import annotations

import errno

import pytest
import torch
from omegaconf import OmegaConf

from src.utils.errors import ResourceError
from src.utils.resource_errors import explaining_full_disk, explaining_memory, is_out_of_memory


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EDQUOT])
def test_a_full_disk_is_reported_with_path_and_bytes(tmp_path, number):
    (tmp_path / "it").write_text("old")
    said = pytest.raises(ResourceError, match=r"no room to write .*/it: it needs 1,234 bytes, found [\d,]+ .*untouched")
    with said, explaining_full_disk(tmp_path / "it", lambda: 1234):
        raise OSError(number, "full")


def test_another_disk_error_is_not_taken_for_a_full_disk(tmp_path):
    with pytest.raises(PermissionError), explaining_full_disk(tmp_path / "it"):
        raise PermissionError(errno.EACCES, "no")


def test_a_device_without_memory_names_the_settings_to_change():
    cfg = OmegaConf.create({"data": {"batch_size": 256, "token_budget": "auto"}, "trainer": {"grad_cache_chunk": None}})
    with pytest.raises(ResourceError) as found, explaining_memory(cfg):
        raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 20 GiB\nmore")
    for words in (
        "data.batch_size=128 (found 256",
        "trainer.grad_cache_chunk=128 (found null",
        "data.token_budget=4096",
    ):
        assert words in str(found.value)
    assert "\n" not in str(found.value)
    assert "trainer.auto_batch" not in str(found.value)  # it is not said how many devices there are


def test_only_settings_that_can_help_are_offered():
    cfg = OmegaConf.create({"data": {"batch_size": 256, "token_budget": None}, "trainer": {"devices": 1}})
    offered = pytest.raises(
        ResourceError, match=r"chunk=8 \(found 16; the same result; trainer\.auto_batch=true continues"
    )
    with offered, explaining_memory(cfg, 16):
        raise MemoryError
    cfg.trainer.auto_batch = True
    with pytest.raises(ResourceError, match=r"chunk=8 \(found 16; the same result\)"), explaining_memory(cfg, 16):
        raise MemoryError
    with pytest.raises(ResourceError, match="one text at a time") as found, explaining_memory(cfg, 1):
        raise MemoryError
    assert "grad_cache_chunk" not in str(found.value)
    assert "data.batch_size=128" in str(found.value)


def test_an_error_that_is_not_about_memory_is_not_hidden():
    with pytest.raises(RuntimeError, match="shapes"), explaining_memory(OmegaConf.create()):
        raise RuntimeError("shapes cannot be multiplied")
    assert is_out_of_memory(RuntimeError("[...] DefaultCPUAllocator: can't allocate memory: you tried to allocate"))
    assert is_out_of_memory(RuntimeError("CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling cublasCreate(handle)"))
    assert not is_out_of_memory(ValueError("out of memory"))
