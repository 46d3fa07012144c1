"""Write a finished run's model for other libraries to load: python -m src.export run=DIR format=onnx out=DIR"""

import importlib.util
import os
import shutil
from pathlib import Path

from huggingface_hub import HfApi
from huggingface_hub.errors import HFValidationError
from huggingface_hub.utils import validate_repo_id
from hydra.core.hydra_config import HydraConfig
from omegaconf import DictConfig

from src import cli
from src.config import checks
from src.deploy.export import hf_format, onnx_format, st_format
from src.deploy.export.parity import check
from src.module import CodeSearchModule
from src.runs.directory import RunDirectory, relative
from src.runs.model_card import card
from src.runs.restore import find_checkpoint
from src.training.build import read_module
from src.utils.console import print_facts
from src.utils.errors import InputError, first_line

FORMATS = {"sentence_transformers": st_format, "hf": hf_format, "onnx": onnx_format}
# Packages that a format needs in addition to the project's own.
PACKAGES = {"sentence_transformers": ("sentence_transformers",), "onnx": ("onnx", "onnxscript", "onnxruntime")}
# The library that reads a format, and its name as a hub's tag.
READERS = {"sentence_transformers": "sentence-transformers", "hf": "transformers", "onnx": "onnxruntime"}
LIBRARIES = {**READERS, "onnx": "onnx"}


def main(cfg: DictConfig) -> None:
    """Writes the folder, reads it back and compares it, and only then moves it to `out`; pushes it where asked."""
    checks.check(cfg, "export")
    check_format(cfg)
    if cfg.run is None:
        raise InputError("nothing to export: expected run=DIR, a finished run's directory")
    checkpoint = find_checkpoint(cfg.run, finished=True)
    run = checkpoint.parents[1]
    own = RunDirectory(HydraConfig.get().runtime.output_dir)
    out = Path(cfg.out).expanduser() if cfg.out else own.path / "model"
    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise InputError(f"out={out} is not empty: give a new folder, or remove it first")
    with own.recording():
        module = read_module(checkpoint).cpu().eval()
        out.parent.mkdir(parents=True, exist_ok=True)
        making = out.with_name(f".{out.name}.part")
        shutil.rmtree(making, ignore_errors=True)
        try:
            most = write(cfg.format, module, making)
            (making / "README.md").write_text(model_card(cfg, run, module), encoding="utf-8")
            if out.exists():
                out.rmdir()
            making.rename(out)
        finally:
            shutil.rmtree(making, ignore_errors=True)
        size = sum(path.stat().st_size for path in out.rglob("*") if path.is_file()) / 1e6
        facts = {
            "format": f"{cfg.format}, {size:.1f} MB",
            "checked": f"read back by {READERS[cfg.format]}, embeddings differ by at most {most:.1e}",
            "out": str(relative(out.absolute())),
        }
        if cfg.push:
            facts["pushed"] = push(out, cfg.push, cfg.private)
        own.write_json("export.json", {"run": str(run), "largest_difference": most, "megabytes": size, **facts})
        print_facts(facts)


def check_format(cfg: DictConfig) -> None:
    """Raises InputError where the format cannot be written, or `push` is no name on the hub."""
    if missing := [name for name in PACKAGES.get(cfg.format, ()) if importlib.util.find_spec(name) is None]:
        raise InputError(
            f"format={cfg.format} needs {' and '.join(missing)}, an optional extra: pip install -e '.[export]'"
        )
    if cfg.push:
        check_name(cfg.push)


def check_name(repository: str) -> None:
    """Raises InputError where a repository's name is not owner/name."""
    try:
        validate_repo_id(repository)
        if repository.count("/") != 1:
            raise HFValidationError("expected one slash")
    except HFValidationError as error:
        raise InputError(f"push expects owner/name of the hub, found {repository!r}") from error


def write(format: str, module: CodeSearchModule, folder: Path) -> float:
    """Writes the folder and reads it back; the largest difference to our embeddings. Raises InputError above 1e-5."""
    FORMATS[format].write(module, folder)
    return check(module, FORMATS[format].reading(module, folder), f"format={format}")


def model_card(cfg: DictConfig, run: Path, module: CodeSearchModule) -> str:
    """The run's model card, with the code that loads this format."""
    code = FORMATS[cfg.format].snippet(module, cfg.push or ".")
    where = "" if cfg.push and cfg.format != "onnx" else "In this folder:\n\n"
    tail = ""
    if cfg.format == "sentence_transformers" and st_format.needs_trust(module.encoder):
        tail = "\n\n`trust_remote_code` runs `tiny_bag.py` of this folder: no module of the library computes this bag."
    return card(run, f"{where}```python\n{code}\n```{tail}", LIBRARIES[cfg.format])


def push(folder: Path, repository: str, private: bool) -> str:
    """Uploads the folder as one commit, to the Hugging Face hub or the server in HF_ENDPOINT; returns its address.

    The repository is created if necessary. Raises InputError on failure; the folder is kept.
    """
    api = HfApi(endpoint=os.environ.get("HF_ENDPOINT"))
    try:
        api.create_repo(repository, private=private, exist_ok=True)
        api.upload_folder(repo_id=repository, folder_path=folder, commit_message="Export of a training run")
    except Exception as error:  # the hub's client raises its own, the HTTP library's and the system's errors
        raise InputError(
            f"the export in {folder} is complete, but push={repository} failed ({first_line(error)}): once the hub "
            f"answers and `hf auth login` has been done, `hf upload {repository} {folder}` uploads it"
        ) from error
    return f"{api.endpoint}/{repository}"


if __name__ == "__main__":
    cli.run(main, "export")
