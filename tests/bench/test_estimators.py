"""The script that measures what an estimator costs a step: what it prints, not how fast this machine is."""

from __future__ import annotations

import re

from src.bench.estimators import TEACHER, configured, main
from src.bench.measurement import OURS
from tests.support.doubles import write_corpus


def test_the_overhead_of_an_estimator_is_shown_as_a_ratio(tmp_path, capsys):
    root = write_corpus(tmp_path / "corpus")
    found = main(
        [
            *("--rounds", "2", "--estimators", "bm25,trained_model"),
            *("corpus=codesearchnet", f"corpus.root={root}", f"cache={tmp_path / 'cache'}", "data.num_workers=0"),
            *("data.batch_size=16", "trainer.max_epochs=1", "trainer.accelerator=cpu"),
        ]
    )
    assert list(found) == [OURS, "bm25", "trained_model", TEACHER]
    assert found[OURS] == 1
    assert all(ratio > 0 for ratio in found.values())
    shown = capsys.readouterr().out
    assert "tiny, median of 2 rounds" in " ".join(shown.split())
    for name in (OURS, "bm25", "trained_model", TEACHER):
        # name, milliseconds, ratio, the middle half of the rounds
        assert re.search(rf"{name}, 16 +[\d.]+ ms +[\d.]+ +[\d.]+ to [\d.]+", shown), shown


def test_a_given_checkpoint_is_used_by_the_parts_of_a_mixture():
    overrides = ["weights.checkpoint=DIR", "data.batch_size=7"]
    parts = configured("soft_infonce", "mixture", "tiny", overrides).weights.parts
    assert [parts.simcse.checkpoint, parts.trained_model.checkpoint] == ["DIR", "DIR"]
    assert configured("soft_infonce", "simcse", "tiny", overrides).weights.checkpoint == "DIR"
    assert configured("soft_infonce", "bm25", "tiny", overrides).data.batch_size == 7
