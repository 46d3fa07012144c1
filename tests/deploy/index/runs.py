"""Finished runs that nobody trained, source trees, and indexes of them."""

from __future__ import annotations

import json
from pathlib import Path

import torch
from omegaconf import OmegaConf

from src.backbones.tiny import TinyEncoder
from src.config.compose import compose_config
from src.deploy.encoder import Model
from src.deploy.index.build import Options, Report, build
from tests.corpora.harvester.trees import write

SIZE, BUCKETS = 32, 211
OPTIONS = Options(workers=0)


def write_run(folder: Path, seed: int = 0, size: int = SIZE, status: str = "finished") -> Path:
    """A run directory with a tiny encoder of random weights, which is about a TF-IDF model."""
    cfg = compose_config("train", [f"backbone.encoder.embedding_size={size}", f"backbone.encoder.buckets={BUCKETS}"])
    OmegaConf.set_struct(cfg, False)
    cfg.choices = {"loss": "soft_infonce", "weights": "bm25", "backbone": "tiny"}
    torch.manual_seed(seed)
    encoder = TinyEncoder(size, BUCKETS)
    checkpoint = {
        "state_dict": {f"encoder.{name}": tensor for name, tensor in encoder.state_dict().items()},
        "encoder_assets": {},
        "run_config": OmegaConf.to_container(cfg, resolve=True),
    }
    (folder / "checkpoints").mkdir(parents=True)
    torch.save(checkpoint, folder / "checkpoints" / "best.ckpt")
    (folder / "status.json").write_text(json.dumps({"status": status}))
    return folder


def write_tree(root: Path) -> Path:
    """Seven functions of three languages, one of them twice."""
    write(
        root / "files.py",
        "def open_file(path):\n    return open(path)\n\n\ndef close_file(handle):\n    handle.close()\n",
    )
    write(root / "net" / "send.py", 'def send_packet(socket):\n    """Send one packet."""\n    socket.send(b"x")\n')
    write(root / "net" / "copy.py", 'def send_packet(socket):\n    """Send one packet."""\n    socket.send(b"x")\n')
    write(root / "main.go", "package main\n\n// Sorts rows by date.\nfunc SortRows(rows []Row) {\n\tsort(rows)\n}\n")
    write(
        root / "web" / "page.js",
        "export const drawImage = (image) => paint(image);\n\nfunction parseHeader(text) {\n}\n",
    )
    write(root / "README.md", "not a source")
    return root


def indexed(
    folder: Path, roots: list[Path] | None = None, options: Options = OPTIONS, run: Path | None = None
) -> Report:
    """`folder`/index of `folder`/tree or these roots with the model of `folder`/run; both are made where missing."""
    if run is None and not (run := folder / "run").exists():
        write_run(run)
    if roots is None and not (folder / "tree").exists():
        write_tree(folder / "tree")
    return build([str(root) for root in roots or [folder / "tree"]], folder / "index", Model.load(str(run)), options)
