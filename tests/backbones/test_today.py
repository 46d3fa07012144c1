"""Today's encoders: each named configuration on a small random checkpoint of its architecture."""

from __future__ import annotations

import io
import shutil
from pathlib import Path

import pytest
import torch
import transformers
from hydra import compose, initialize_config_dir
from hydra.utils import instantiate
from omegaconf import OmegaConf
from tokenizers import Tokenizer

from src.backbones.transformer import TransformerEncoder
from src.utils.errors import InputError
from tests.backbones.checkpoints import HIDDEN, TEXTS
from tests.backbones.test_configs import CONF, composed
from tests.backbones.test_transformer import exact, roberta_ids

# Of each: the architecture, its class in transformers, which token is read (None: the mean), what a query starts with.
NAMED = {
    "codet5p": ("t5", "T5EncoderModel", None, ""),
    "modernbert": ("modernbert", "ModernBertModel", 0, ""),
    "qwen3_embedding": ("qwen3", "Qwen3Model", -1, "Instruct: Given a code search query"),
    "jina_code": ("qwen2", "Qwen2Model", -1, "Find the most relevant code snippet given the following query:\n"),
    "bge_code": ("qwen2", "Qwen2Model", -1, "<instruct>Given a code search query"),
    "nomic_embed_code": ("qwen2", "Qwen2Model", -1, "Represent this query for searching relevant code: "),
}
PLAIN = ("backbone.lora.rank=null", "backbone.encoder.dtype=float32")
WORDS = [text for text in TEXTS if text]


def named(name: str, folder: Path, *overrides: str) -> TransformerEncoder:
    cfg = composed(f"backbone={name}", f"backbone.name={folder}", *PLAIN, *overrides)
    encoder = instantiate(cfg.backbone.encoder)
    encoder.fit([])
    return exact(encoder)


def ids_by_hand(folder: Path, text: str) -> list[int]:
    """The ids that the files of the folder give, without transformers."""
    if (folder / "tokenizer.json").is_file():
        tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
        tokenizer.no_truncation()
        tokenizer.no_padding()
        return tokenizer.encode(text).ids
    return roberta_ids(folder, text, 8192)


@pytest.mark.parametrize("name", NAMED)
def test_a_named_encoder_embeds_as_its_card_says(folders: dict[str, Path], name: str) -> None:
    kind, class_name, token, prompt = NAMED[name]
    encoder = named(name, folders[kind])
    model = exact(getattr(transformers, class_name).from_pretrained(folders[kind]))
    assert encoder.query_prefix.startswith(prompt)
    assert bool(encoder.query_prefix) == bool(prompt)
    for tokenise, prefix in [(encoder.queries, encoder.query_prefix), (encoder.codes, encoder.code_prefix)]:
        with torch.no_grad():
            embeddings_BD = encoder(tokenise(WORDS))  # in one padded batch; by hand, one at a time
            assert embeddings_BD.shape == (len(WORDS), HIDDEN)
            for embedding_D, text in zip(embeddings_BD, WORDS):
                hidden_LD = model(torch.tensor([ids_by_hand(folders[kind], prefix + text)])).last_hidden_state[0]
                expected_D = hidden_LD.mean(dim=0) if token is None else hidden_LD[token]
                torch.testing.assert_close(embedding_D, expected_D, atol=1e-6, rtol=0)


@pytest.mark.parametrize("name", NAMED)
def test_a_named_encoder_is_restored_exactly_from_a_checkpoint(
    folders: dict[str, Path], tmp_path: Path, name: str
) -> None:
    folder = shutil.copytree(folders[NAMED[name][0]], tmp_path / name)
    trained = named(name, folder, "backbone.encoder.dimensions=13")
    file = io.BytesIO()
    torch.save({"assets": trained.assets(), "state_dict": trained.state_dict()}, file)
    shutil.rmtree(folder)
    file.seek(0)
    held = torch.load(file, weights_only=True)
    cfg = composed(f"backbone={name}", f"backbone.name={folder}", *PLAIN, "backbone.encoder.dimensions=13")
    restored = instantiate(cfg.backbone.encoder)
    restored.load_assets(held["assets"])
    restored = exact(restored)
    restored.load_state_dict(held["state_dict"])
    for before, after in [(trained.queries, restored.queries), (trained.codes, restored.codes)]:
        assert before(TEXTS)["input_ids"].tolist() == after(TEXTS)["input_ids"].tolist()
        with torch.no_grad():
            assert torch.equal(trained(before(TEXTS)), restored(after(TEXTS)))


@pytest.mark.parametrize("name", NAMED)
def test_a_named_encoder_is_compared_by_cosine(name: str) -> None:
    assert composed(f"backbone={name}").model.similarity == "cosine"


def test_the_end_token_of_qwen3_survives_truncation_and_is_not_masked_as_padding(folders: dict[str, Path]) -> None:
    encoder = named("qwen3_embedding", folders["qwen3"], "backbone.encoder.max_code_tokens=7")
    end = encoder.tokenizer.get_vocab()["<|endoftext|>"]
    assert encoder.tokenizer.pad_token_id == end
    features = encoder.codes(["read a file " * 9, "x"])
    assert features["input_ids"].shape == (2, 7)
    lengths = features["attention_mask"].sum(dim=1).tolist()
    assert lengths == [7, 2]
    for ids_L, length in zip(features["input_ids"].tolist(), lengths):
        assert ids_L[length - 1] == end
        assert end not in ids_L[: length - 1]


def test_an_end_token_that_the_template_lacks_is_added(folders: dict[str, Path]) -> None:
    ended = named("qwen3_embedding", folders["qwen2"])
    expected = named("qwen3_embedding", folders["qwen3"])
    assert ended.codes(TEXTS)["input_ids"].tolist() == expected.codes(TEXTS)["input_ids"].tolist()


@pytest.mark.parametrize(
    ("kind", "token", "said"),
    [("qwen2", "<|end|>", "does not know it as one token"), ("roberta", "<mask>", "ends texts with '</s>'")],
)
def test_an_invalid_end_token_is_refused(folders: dict[str, Path], kind: str, token: str, said: str) -> None:
    with pytest.raises(InputError, match=r"end_token=") as caught:
        TransformerEncoder(str(folders[kind]), "last", 17, 23, end_token=token).fit([])
    assert said in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(("kind", "pooling"), [("roberta", "pooler"), ("bert", "mean"), ("qwen3", "last")])
def test_truncated_embeddings_are_the_first_dimensions(folders: dict[str, Path], kind: str, pooling: str) -> None:
    whole = TransformerEncoder(str(folders[kind]), pooling, 17, 23)
    short = TransformerEncoder(str(folders[kind]), pooling, 17, 23, dimensions=5)
    for encoder in (whole, short):
        encoder.fit([])
        encoder.eval()
    assert short.embedding_size == 5
    with torch.no_grad():
        assert torch.equal(short(short.codes(TEXTS)), whole(whole.codes(TEXTS))[:, :5])


@pytest.mark.parametrize(("dimensions", "said"), [(HIDDEN + 1, f"have {HIDDEN}")])
def test_dimensions_that_the_model_lacks_are_refused(folders: dict[str, Path], dimensions: int, said: str) -> None:
    with pytest.raises(InputError, match=rf"dimensions.*{said}"):
        TransformerEncoder(str(folders["bert"]), dimensions=dimensions).fit([])


@pytest.mark.parametrize("path", sorted(CONF.glob("backbone/*.yaml")), ids=lambda path: path.stem)
def test_every_pretrained_backbone_has_the_same_adaptation_keys(path: Path) -> None:
    if path.stem in ("tiny", "two_towers"):
        pytest.skip("holds no pretrained transformer of its own")
    with initialize_config_dir(str(CONF), version_base=None):
        backbone = OmegaConf.to_container(compose("train", overrides=[f"backbone={path.stem}"]).backbone)
    adaptation = {"lora", "frozen_layers", "gradient_checkpointing", "attn_implementation", "dtype"}
    assert {*adaptation, "dropout", "dimensions"} <= backbone["encoder"].keys()
    assert backbone["lora"].keys() == {"rank", "alpha", "dropout", "targets"}
