"""The tiny backbone for sentence-transformers, which has no module of this kind: the folder includes one."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

from torch import nn

from src.backbones.tiny import TinyEncoder

FILE = Path(__file__).with_name("tiny_bag.py")


def write(encoder: TinyEncoder, folder: Path, cosine: bool) -> None:
    """Writes the model, and tiny_bag.py, which its reader must allow with trust_remote_code=True."""
    from sentence_transformers import SentenceTransformer
    from sentence_transformers.sentence_transformer.modules import Normalize

    from src.deploy.export.tiny_bag import TinyBag

    bag = TinyBag(encoder.embedding_size, encoder.buckets, encoder.max_query_tokens, encoder.max_code_tokens)
    bag.load_state_dict(encoder.state_dict())
    modules: list[nn.Module] = [bag, Normalize()] if cosine else [bag]
    model = SentenceTransformer(modules=modules, similarity_fn_name="cosine" if cosine else "dot", device="cpu")
    model.save(str(folder), create_model_card=False)
    shutil.copyfile(FILE, folder / FILE.name)
    listed = folder / "modules.json"
    entries = json.loads(listed.read_text(encoding="utf-8"))
    entries[0]["type"] = f"{FILE.stem}.{TinyBag.__name__}"
    listed.write_text(json.dumps(entries, indent=2), encoding="utf-8")
