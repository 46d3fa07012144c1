"""What may be built, and what is refused before anything of it runs."""

from __future__ import annotations

import pytest
from lightning.pytorch.strategies import DDPStrategy

from src.config.targets import (
    check_typed_targets,
    current_name,
    first_name,
    from_outside,
    locate_target,
    named_in_conf,
    read_yaml,
)
from src.losses.infonce import InfoNCE
from src.utils.errors import InputError
from tests.conftest import PROJECT


def test_a_target_of_ours_is_located():
    assert locate_target("src.losses.infonce.InfoNCE") is InfoNCE
    assert locate_target("lightning.pytorch.strategies.DDPStrategy") is DDPStrategy
    assert "src.training.build.trainer" in named_in_conf()
    assert locate_target("src.training.build.trainer").__name__ == "trainer"


@pytest.mark.parametrize(
    "target",
    [
        "os.system",
        "subprocess.run",
        "src.runs.directory.subprocess.run",  # through a module's imports
        "src.runs.directory.environment",  # ours, but nothing that a configuration builds
        "src.losses.base.torch.load",
        "src.losses.base.torch",
        "src.weights.embedding.Path",  # a class, defined elsewhere
        "lightning.pytorch.strategies.ddp.timedelta",
        "lightning.pytorch.trainer.trainer.os.system",
        "src.losses.${a}",
        "src.losses.nowhere.Nothing",
        "src.losses.infonce.Nothing",
        "src.losses",
        "",
    ],
)
def test_a_foreign_target_is_refused(target):
    with pytest.raises(InputError) as error:
        locate_target(target)
    assert "\n" not in str(error.value)
    with pytest.raises(InputError):
        from_outside({"a": [{"b": {"_target_": target}}]}, "file")


def test_a_misspelt_target_is_refused_with_a_suggestion():
    with pytest.raises(InputError, match=r"did you mean 'src\.losses\.infonce\.InfoNCE'"):
        locate_target("src.losses.infonce.InfoNC")


def test_a_configuration_from_outside_is_resolved():
    found = from_outside({"cache": "c", "corpus": {"cache": "${cache}"}}, "file")
    assert found.corpus.cache == "c"


@pytest.mark.parametrize(
    "config",
    [
        {"a": "os", "loss": {"_target_": "${a}.system"}},
        {"loss": "${oc.decode:'{_target_: os.system}'}"},
        {"loss": "\\${oc.decode:'{_target_: os.system}'}"},
        {"loss": {"_target_": "src.losses.infonce.InfoNCE", "_args_": [1]}},
        {"a": "${b}", "b": "${a}"},
        {"a": "${nowhere}"},
        {"a": "${oc.env:NOWHERE_AT_ALL}"},
    ],
)
def test_a_target_hidden_from_the_check_is_refused(config):
    with pytest.raises(InputError, match=r"^file "):
        from_outside(config, "file")


@pytest.mark.parametrize(
    "words",
    [
        ["loss._target_=os.system"],
        ["+loss.x={_target_: os.system}"],
        ['+loss.x={"_target_": "os.system"}'],
        ["+hydra.callbacks.x._target_=src.losses.infonce.InfoNCE"],
        ["hydra.launcher._target_=os.system"],
    ],
)
def test_a_word_of_the_command_line_builds_nothing_foreign(words):
    with pytest.raises(InputError):
        check_typed_targets(words)
    check_typed_targets(
        ["loss._target_=src.losses.infonce.InfoNCE", "--cfg", "job", "-m", "seed=1,2", "cache=_target_"]
    )


def test_a_folder_of_configurations_builds_nothing_foreign(tmp_path):
    (tmp_path / "loss").mkdir()
    (tmp_path / "loss" / "x.yaml").write_text("_target_: src.losses.infonce.InfoNCE\n")
    check_typed_targets(["--config-dir", str(tmp_path)])
    (tmp_path / "loss" / "y.yaml").write_text("hydra: {callbacks: {x: {_target_: os.system}}}\n")
    for words in (["--config-dir", str(tmp_path)], [f"--config-dir={tmp_path}"], ["-cd", str(tmp_path)]):
        with pytest.raises(InputError, match=r"y\.yaml asks to build 'os\.system'"):
            check_typed_targets(words)


def test_a_yaml_tag_makes_no_object(tmp_path):
    canary = tmp_path / "canary"
    (tmp_path / "x.yaml").write_text(f"a: !!python/object/apply:subprocess.run [[touch, {canary}]]\n")
    with pytest.raises(InputError, match="plain values"):
        read_yaml(tmp_path / "x.yaml")
    assert not canary.exists()


def test_every_name_has_one_first_and_one_current_name():
    first = set((PROJECT / "tests/golden/acf4669/targets.txt").read_text().split())
    assert {first_name(current_name(name)) for name in first} == first
    assert all(current_name(first_name(name)) == name for name in named_in_conf())
