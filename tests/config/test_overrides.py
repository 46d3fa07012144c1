"""Words of the command line, before Hydra reads them and after it refused them."""

from __future__ import annotations

import pytest
from hydra._internal.utils import get_args_parser

from src.config.compose import explain_refusal
from src.config.overrides import FLAGS, NO_VALUE, OPTIONAL_VALUE, SHORT, VALUE, check_overrides, split_words
from src.utils.errors import InputError


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (["seed"], "'seed': expected KEY=VALUE without blanks around =, found no ="),
        (["loss", "bce"], "'loss': expected KEY=VALUE .*; the options of loss are bce, "),
        (["=3"], "'=3': expected KEY=VALUE, found no key before ="),
        (["cache="], "cache=: expected a value after =, found nothing; type cache=null for none"),
        (["corpus.root=~/data"], "corpus.root=~/data: '~/data' is no value as it stands"),
        (["corpus.roots=[a,", "b]"], "corpus.roots=\\[a,: a bracket is never closed"),
        (["loss=null"], "loss=null: expected an option of loss .*, found null, so leave the word out for none"),
        (["loss=bce.yaml"], "loss=bce.yaml: an option has no .yaml; did you mean 'bce'"),
        (["seed=1,2"], "seed=1,2: expected one value, found several; to run one job per value add -m, and a list is"),
        (["--mutlirun"], "--mutlirun is no flag; did you mean '--multirun'"),
        (["--seed=3"], "--seed=3 is no flag.*; a key has no dashes: seed=3"),
        (["--config-name", "eval"], "--config-name: src.train reads conf/train.yaml and no other"),
    ],
)
def test_a_malformed_word_is_refused_before_hydra_reads_it(words, expected):
    with pytest.raises(InputError, match=f"^{expected}"):
        check_overrides(words, "train")


def test_valid_words_are_accepted(tmp_path):
    (tmp_path / "loss").mkdir()
    (tmp_path / "loss" / "own.yaml").write_text("_target_: src.losses.infonce.InfoNCE\n")
    words = ["loss=own", "logger=[csv,wandb]", "~negatives.mined", "+trainer.limit_train_batches=4", "seed=1,2", "-m"]
    check_overrides([*words, "backbone@backbone.query=codebert", "cache=''", "--config-dir", str(tmp_path)], "train")


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (["loss=soft_infonc"], "loss=soft_infonc is no option of loss; did you mean 'soft_infonce'? (options: bce, "),
        (["logger=[csv,wandbb]"], "logger=wandbb is no option of logger; did you mean 'wandb'?"),
        (["-m", "loss=bce,infonc"], "loss=infonc is no option of loss; did you mean 'infonce'?"),
        (["loss.alhpa=2"], "loss.alhpa is no key of src.train; did you mean 'loss.alpha'?; --help lists them"),
        (["loss=bce", "loss.beta=2"], "loss.beta is a key of loss="),
        (["lang.qqqqqqqqqq=2"], "lang.qqqqqqqqqq is no key of src.train (there are lang.name, lang.display); --help"),
        (
            ["trainer.limit_val_batches=2"],
            "trainer.limit_val_batches: conf/ does not set it, so type +tr",
        ),
        (["hydra.rundir=x"], "hydra.rundir is no key of src.train; did you mean 'hydra.run.dir'?"),
        (["+seed=3"], "+seed=3: seed is there already; type seed=3"),
        (["+loss=bce"], "+loss=bce: loss=soft_infonce is chosen already; type loss=bce"),
        (["~loss"], "~loss: src.train needs one of bce, "),
        (["backbone.recipe=null"], "backbone.recipe=null: expected keys below backbone.recipe, found null; "),
        (
            ["backbone=two_towers", "backbone.query=codebert"],
            "backbone.query=codebert: expected keys below backbone.qu",
        ),
        (
            ["lang=[python,go]"],
            "lang=[python,go]: expected one option of lang, found a list; -m lang=python,go runs each",
        ),
        (["sweep.grid=[1]"], "sweep.grid=[1]: expected keys below sweep.grid, found [1]"),
        (["optimizer={warm: 1}"], "optimizer.warm is no key of src.train; did you mean 'optimizer.warmup'?"),
        (["seed=3"], ""),
    ],
)
def test_a_refusal_of_hydra_is_explained(words, expected):
    said = explain_refusal(words, "train")
    assert said.startswith(expected)
    assert bool(said) == bool(expected)


def test_the_flags_are_those_of_hydra():
    parser = get_args_parser()
    takes_value = {
        option: OPTIONAL_VALUE if action.nargs == "?" else NO_VALUE if action.nargs == 0 else VALUE
        for action in parser._actions
        for option in action.option_strings
    }
    assert {flag: kind for flag, kind in takes_value.items() if flag.startswith("--")} == FLAGS
    assert {flag for flag in takes_value if not flag.startswith("--")} == SHORT.keys()


def test_flags_and_their_values_are_told_from_other_words():
    line = split_words(["-m", "seed=1,2", "--config-dir", "mine", "--cfg=job", "--info", "loss=bce", "-3"])
    assert line.flags == {"--multirun": "", "--config-dir": "mine", "--cfg": "job", "--info": ""}
    assert line.words == ["seed=1,2", "loss=bce", "-3"]
    assert line.flag_words == ["-m", "--config-dir", "mine", "--cfg=job", "--info"]
