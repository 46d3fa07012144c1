"""Two encoders that share nothing but the size of their embeddings."""

from __future__ import annotations

import io
from pathlib import Path

import pytest
import torch
from hydra.utils import instantiate

from src.backbones.base import Encoder
from src.backbones.transformer import TransformerEncoder
from src.backbones.two_towers import TwoTowers
from src.utils.errors import InputError
from tests.backbones.checkpoints import TEXTS
from tests.backbones.test_configs import composed
from tests.support.commands import QUICK, run_command
from tests.support.doubles import BagEncoder, write_corpus


def towers_of(query: Path, code: Path) -> TwoTowers:
    return TwoTowers(
        TransformerEncoder(str(query), "mean", 11, 11), TransformerEncoder(str(code), "last", 23, 23, dimensions=32)
    )


def test_a_text_goes_through_the_tower_of_its_own_side(folders: dict[str, Path]) -> None:
    towers = towers_of(folders["bert"], folders["qwen3"])
    towers.fit([])
    towers.eval()
    with torch.no_grad():
        for mine, side, tower in [
            (towers.queries(TEXTS), towers.query.queries(TEXTS), towers.query),
            (towers.codes(TEXTS), towers.code.codes(TEXTS), towers.code),
        ]:
            assert torch.equal(towers(mine), tower(side))


def test_one_tower_trains_without_the_other(folders: dict[str, Path]) -> None:
    towers = towers_of(folders["bert"], folders["bert"])
    towers.fit([])
    towers(towers.queries(TEXTS)).square().sum().backward()
    assert all(parameter.grad is not None for parameter in towers.query.parameters())
    assert all(parameter.grad is None for parameter in towers.code.parameters())


def test_a_checkpoint_keeps_the_towers_apart(folders: dict[str, Path]) -> None:
    towers = towers_of(folders["bert"], folders["qwen3"])
    towers.fit([])
    file = io.BytesIO()
    torch.save({"assets": towers.assets(), "state_dict": towers.state_dict()}, file)
    file.seek(0)
    held = torch.load(file, weights_only=True)
    restored = towers_of(Path("gone"), Path("gone"))
    restored.load_assets(held["assets"])
    restored.load_state_dict(held["state_dict"])
    with torch.no_grad():
        for before, after in [(towers.queries, restored.queries), (towers.codes, restored.codes)]:
            assert torch.equal(towers.eval()(before(TEXTS)), restored.eval()(after(TEXTS)))
    swapped = towers_of(folders["qwen3"], folders["bert"])
    assert towers.identity() != swapped.identity()


def test_towers_of_different_embedding_sizes_are_refused() -> None:
    towers = TwoTowers(BagEncoder(17), BagEncoder(19))
    with pytest.raises(InputError, match=r"found 17 for backbone\.query and 19 for backbone\.code") as caught:
        towers.fit([])
    assert "\n" not in str(caught.value)


def test_the_dropout_of_both_reaches_each_tower(folders: dict[str, Path]) -> None:
    towers = TwoTowers(TransformerEncoder(str(folders["bert"])), TransformerEncoder(str(folders["t5"])), dropout=0.4)
    assert towers.query.config.hidden_dropout_prob == 0.4
    assert towers.code.config.dropout_rate == 0.4


def test_any_two_backbones_make_two_towers() -> None:
    cfg = composed("backbone=two_towers", "backbone@backbone.query=codebert", "backbone@backbone.code=graphcodebert")
    towers = instantiate(cfg.backbone.encoder)
    assert isinstance(towers, Encoder)
    assert towers.query.name == "microsoft/codebert-base"
    assert towers.code.name == "microsoft/graphcodebert-base"
    assert cfg.optimizer.learning_rate == 1e-6  # the query tower's recipe


def test_a_run_of_two_towers_is_evaluated_to_its_own_ranks(folders: dict[str, Path], tmp_path: Path) -> None:
    root = write_corpus(tmp_path / "corpus")
    own = ["backbone=two_towers", "backbone@backbone.query=minilm", "backbone@backbone.code=minilm", *QUICK]
    own += [f"backbone.query.name={folders['bert']}", f"backbone.code.name={folders['roberta']}"]
    for tower in ("query", "code"):
        own += [f"backbone.{tower}.encoder.max_query_tokens=16", f"backbone.{tower}.encoder.max_code_tokens=32"]
    own += ["trainer.max_epochs=1", "data.batch_size=16", "corpus=codesearchnet", f"corpus.root={root}"]
    trained = run_command("train", tmp_path / "run", *own)
    assert trained.status == 0, trained.errors
    again = run_command("eval", tmp_path / "eval", f"run={tmp_path / 'run'}")
    assert again.status == 0, again.errors
    assert "identical ranks for all" in again.output
