"""Gives files and words that want to run a command, write elsewhere, or become part of a page."""

from __future__ import annotations

import contextlib
import io
import json
import os
import pickle
import subprocess
import tarfile
import zipfile
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch

from src.config.targets import check_typed_targets, from_outside
from src.corpora.archives import members
from src.corpora.harvester.languages import language_of
from src.corpora.harvester.source_trees import find_trees, source_files
from src.report.runs import read_run
from src.runs.restore import load_checkpoint
from src.training.build import read_module
from src.utils.disk_cache import Cache, key_of
from src.utils.errors import InputError
from src.weights.embedding import Embeddings
from tests.faults.harness import Fault, scratch
from tests.support.commands import QUICK, run_command
from tests.support.doubles import write_corpus

TITLE = "20 malicious inputs: pickles, _target_, YAML tags, archives, links, git, HTML"
PROMISE = "0 executions, nothing written or removed elsewhere, one line each"
FULL = 20


class Evil:
    """Unpickled, it runs a command."""

    def __init__(self, canary: Path) -> None:
        self.command = f"touch {canary}"

    def __reduce__(self) -> tuple[Any, ...]:
        return os.system, (self.command,)


def run(full: bool) -> Iterator[Fault]:
    with scratch() as folder:
        cases = [*in_python(folder), *(on_the_command_line(folder) if full else ())]
        for name, attack in cases:
            yield fault(folder, name, attack)
        yield from links(folder)
        yield a_page(folder)


def fault(folder: Path, name: str, attack: Callable[[], str]) -> Fault:
    """Survived: one line, and no canary. `attack` returns what was said, or raises it."""
    try:
        said = attack()
    except InputError as error:
        said = str(error)
    except Exception as error:
        return Fault(name, False, f"{type(error).__name__}: {error}")
    executed = (folder / "canary").exists()
    (folder / "canary").unlink(missing_ok=True)
    one_line = bool(said) and "\n" not in said.strip()
    return Fault(name, not executed and one_line, f"{'executed' if executed else 'not executed'}: {said[:300]!r}")


def in_python(folder: Path) -> Iterator[tuple[str, Callable[[], str]]]:
    """What can be given to a function."""
    canary = folder / "canary"
    command = f"touch {canary}"
    (folder / "raw.ckpt").write_bytes(pickle.dumps(Evil(canary)))
    yield "a pickle in place of a checkpoint", lambda: nothing(load_checkpoint(folder / "raw.ckpt"))
    torch.save({"state_dict": {}, "encoder_assets": {}, "run_config": {}, "more": Evil(canary)}, folder / "more.ckpt")
    yield "an object in a checkpoint", lambda: nothing(load_checkpoint(folder / "more.ckpt"))
    torch.save(
        {"state_dict": {"w": Evil(canary)}, "encoder_assets": {}, "run_config": {}},
        folder / "old.ckpt",
        _use_new_zipfile_serialization=False,
    )
    yield "an object in a checkpoint of the old format", lambda: nothing(load_checkpoint(folder / "old.ckpt"))

    np.save(folder / "evil.npy", np.array([Evil(canary)], dtype=object), allow_pickle=True)
    yield "an array of objects", lambda: refused(lambda: Embeddings(folder / "evil.npy", 1.0)[np.arange(1)])

    node = {"_target_": "os.system", "command": command}
    through = {"_target_": "src.runs.directory.subprocess.run", "args": ["touch", str(canary)]}
    spelled = "{_target_: os.system, command: " + command + "}"
    for name, config in {
        "a command as _target_": {"backbone": {"encoder": node}},
        "a command through a module of ours": {"loss": through},
        "a function of ours that writes": {
            "loss": {"_target_": "src.runs.directory._replace", "path": str(canary), "text": ""}
        },
        "a command through Lightning": {"trainer": {"_target_": "lightning.pytorch.trainer.trainer.os.system"}},
        "a _target_ out of pieces": {"a": "os", "loss": {"_target_": "${a}.system", "command": command}},
        "a node out of a text": {"loss": f"${{oc.decode:'{spelled}'}}"},
        "a hidden interpolation": {"loss": f"\\${{oc.decode:'{spelled}'}}"},
        "a _target_ in a list": {"trainer": {"plugins": [node]}},
        "arguments without names": {"loss": {"_target_": "src.losses.infonce.InfoNCE", "_args_": [command]}},
        "interpolations without an end": {"a": "${b}", "b": "${a}"},
    }.items():
        path = folder / f"{name.replace(' ', '-')}.ckpt"
        torch.save({"state_dict": {}, "encoder_assets": {}, "run_config": config}, path)
        yield f"{name}, in a checkpoint's configuration", lambda path=path: nothing(read_module(path))
        yield f"{name}, in a run's configuration", lambda config=config: nothing(from_outside(config, folder))

    run = folder / "run"
    run.mkdir()
    (run / "config.yaml").write_text(f"loss: !!python/object/apply:os.system ['{command}']\n")
    yield "a YAML tag in a run directory", lambda: nothing(read_run(run))

    options = folder / "options" / "experiment"
    options.mkdir(parents=True)
    (options / "tag.yaml").write_text(f"loss: !!python/object/apply:os.system ['{command}']\n")
    yield "a YAML tag in --config-dir", lambda: nothing(check_typed_targets(["--config-dir", str(folder / "options")]))
    (options / "tag.yaml").write_text(f"hydra: {{callbacks: {{x: {{_target_: os.system, command: {command}}}}}}}\n")
    yield (
        "a callback of Hydra in --config-dir",
        lambda: nothing(check_typed_targets([f"--config-dir={folder / 'options'}"])),
    )

    with zipfile.ZipFile(folder / "up.zip", "w") as archive:
        archive.writestr("../canary", "x")
    yield "a zip archive that leaves its folder", lambda: nothing(list(members(folder / "up.zip", lambda name: True)))
    with tarfile.open(folder / "root.tar", "w") as archive:
        archive.addfile(tarfile.TarInfo(str(canary)), io.BytesIO())
    yield "a tar archive with an absolute path", lambda: nothing(list(members(folder / "root.tar", lambda name: True)))


def on_the_command_line(folder: Path) -> Iterator[tuple[str, Callable[[], str]]]:
    """What can be typed, or given to a command."""
    root = write_corpus(folder / "corpus")
    small = (*QUICK, "corpus=codesearchnet", f"corpus.root={root}", "data.batch_size=16", "trainer.max_epochs=1")
    command = f"touch {folder / 'canary'}"
    for typed in (
        "loss._target_=os.system",
        f"+loss.x={{_target_:os.system,command:'{command}'}}",
        f"+hydra.callbacks={{x:{{_target_:os.system,command:'{command}'}}}}",
        f"checkpoint={folder / 'more.ckpt'}",
    ):
        yield typed.split("=")[0] + " of src.train", lambda typed=typed: line("train", folder, *small, typed)
    yield "a checkpoint given to src.eval", lambda: line("eval", folder, f"checkpoint={folder / 'raw.ckpt'}")
    checkpoint = folder / "a-command-as-_target_.ckpt"
    yield "a configuration given to src.eval", lambda: line("eval", folder, f"checkpoint={checkpoint}")


def links(folder: Path) -> Iterator[Fault]:
    """Links that lead elsewhere: what they point to is neither read, written nor removed."""
    victim = folder / "victim"
    victim.mkdir()
    (victim / "mine.py").write_text('def secret():\n    """Return the secret of everybody here."""\n    return 1\n')
    before = {path.name: path.read_bytes() for path in victim.iterdir()}

    def make(part: Path) -> None:
        (part / "mine.py").write_text("overwritten")

    for name, place in (("where it is made", ".{}.part"), ("where it will be", "{}")):
        link = folder / "cache" / "things" / place.format(key_of({"a": name}))
        link.parent.mkdir(parents=True, exist_ok=True)
        link.symlink_to(victim)
        entry = Cache(folder / "cache").get("things", {"a": name}, make, resumable=True)
        good = {path.name: path.read_bytes() for path in victim.iterdir()} == before and not entry.path.is_symlink()
        yield Fault(f"a link in the cache, {name} of an entry", good, f"{sorted(os.listdir(victim))}")
    cleared = folder / "cache" / "things" / "linked"
    cleared.symlink_to(victim)
    Cache(folder / "cache").clear(cleared)
    good = {path.name: path.read_bytes() for path in victim.iterdir()} == before
    yield Fault("a link in the cache that is cleared", good, f"{sorted(os.listdir(victim))}")

    tree = folder / "tree"
    tree.mkdir()
    (tree / "own.py").write_text("x = 1\n")
    (tree / "link.py").symlink_to(victim / "mine.py")
    (tree / "folder").symlink_to(victim)
    found = [file.path for file in source_files(find_trees([tree]), language_of("python"), Counter())]
    yield Fault("links out of a source tree", found == ["own.py"], f"read {found}")
    yield a_checkout(folder, tree)


def a_checkout(folder: Path, tree: Path) -> Fault:
    """A git checkout whose own configuration says how to fetch what is missing of it: by a command."""
    canary = folder / "canary"

    def git(*words: str) -> str:
        return subprocess.run(["git", "-C", str(tree), *words], capture_output=True, text=True, check=True).stdout

    git("init", "-q")
    git("add", "own.py")
    git("-c", "user.name=x", "-c", "user.email=x@x", "commit", "-q", "-m", "x")
    top = git("rev-parse", "HEAD^{tree}").strip()
    for key, value in {
        "core.repositoryformatversion": "1",
        "extensions.partialClone": "origin",
        "remote.origin.url": f"ext::sh -c touch% {canary}",
        "remote.origin.promisor": "true",
        "protocol.ext.allow": "always",
        "core.fsmonitor": f"touch {canary}",
    }.items():
        git("config", key, value)
    (tree / ".git" / "objects" / top[:2] / top[2:]).unlink()
    find_trees([tree])
    executed = canary.exists()
    canary.unlink(missing_ok=True)
    return Fault("a checkout that names commands", not executed, "a command of its configuration was run")


def a_page(folder: Path) -> Fault:
    """Docstrings and codes with HTML, and with marks of the terminal: shown, never interpreted."""
    root = write_corpus(folder / "marked")
    scripts = (
        "<script>alert(1)</script>",
        "<img src=x onerror=alert(1)>",
        "[/bold] [link=x] {{ 7*7 }} $\\evil$ </pre>",
    )
    for path in (root / "python").iterdir():
        rows = [json.loads(line) for line in path.read_text().splitlines()]
        for row in rows:
            mark = scripts[int(row["url"][1:]) % len(scripts)]
            row |= {
                "docstring": f"{row['docstring']} {mark}",
                "code": f"{row['code']}  # {mark}",
                "url": row["url"] + mark,
            }
        if path.stem in ("train", "codebase"):  # copies, so that there are examples to show
            rows += [{**row, "url": row["url"] + "again", "docstring": row["docstring"] + " again"} for row in rows[:5]]
        path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    with contextlib.ExitStack() as stack:
        stack.enter_context(contextlib.suppress(InputError))
        result = run_command("corpus_report", folder / "page", "corpus=codesearchnet", f"corpus.root={root}")
    page = (folder / "page" / "report.html").read_text() if result.status == 0 else ""
    shown = "&lt;script&gt;" in page
    bare = [mark for mark in ("<script>", "<img src=x", "onerror=alert(1)>") if mark in page]
    return Fault("HTML in docstrings and codes", shown and not bare, f"status {result.status} {result.errors} {bare}")


def line(command: str, folder: Path, *overrides: str) -> str:
    """What a command says where it fails as it must."""
    result = run_command(command, folder / "out", *overrides)
    return result.errors if result.status == 2 else f"\nstatus {result.status}\n{result.errors}"


def nothing(value: Any) -> str:
    """For what must have raised: no line."""
    return ""


def refused(attack: Callable[[], Any]) -> str:
    """The library's own refusal, of what no user names."""
    try:
        attack()
    except ValueError as error:
        return str(error).splitlines()[0]
    return ""
