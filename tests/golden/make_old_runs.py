"""What an older version left on disk, for tests/runs/test_old_runs.py: runs, a sweep, an index, a cache, mined pairs.

    git worktree add ../old acf4669
    .venv/bin/python tests/golden/make_old_runs.py ../old tests/golden/acf4669

The commands are those of that version, typed in a folder where the data is too: the paths that are kept are relative.
Where one is absolute all the same, it is made relative afterwards. Made once; newer versions only read it.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import tarfile
import tempfile
from pathlib import Path

ARCHIVES = {
    "data": ("corpus", "many", "tree"),
    "runs": ("outputs/old", "mined.jsonl"),
    "sweep": ("outputs/sweeps",),
    "index": ("index",),
    "cache": ("cache",),
}
LEFT_OUT = ("wandb", "typed")  # W&B's own folder names the machine; what else was typed left no run
NAMED = re.compile(r"^\s*_target_:\s*([\w.]+)\s*$", re.MULTILINE)
PLATFORM = re.compile(r'("platform": ")[^"]*')
TEXTS = (".json", ".yaml", ".log", ".md", ".csv")
SMALL = (  # a checkpoint of kilobytes, three epochs of four steps
    *("backbone.encoder.embedding_size=8", "backbone.encoder.buckets=128", "data.batch_size=16"),
    *("trainer.max_epochs=3", "trainer.accelerator=cpu", "data.num_workers=0", "cache=cache"),
)
CORPUS = ("corpus=codesearchnet", "corpus.root=corpus", *SMALL)
SIMILAR = ("loss=soft_infonce", "weights=bm25", "batching=similar", "logger=csv", *CORPUS)
TEACHERS = [f"weights.parts.{name}.training={{max_epochs: 1, batch_size: 16}}" for name in ("simcse", "trained_model")]
MADE = {
    "finished": ("train", *SIMILAR),
    # W&B's logger, and all three estimators: two have models and embeddings in the cache.
    "logged": ("train", "loss=soft_infonce", "weights=mixture", "compare_infonce=false", *TEACHERS, *CORPUS),
    "harvest": (
        *("train", "loss=infonce", "logger=csv", "corpus=harvest", "corpus.roots=[tree]", "corpus.dedup=none"),
        *("corpus.workers=0", *SMALL),
    ),
    # More than 1,000 texts: their tokens are in the cache. The run itself is not kept.
    "typed/many": (
        *("train", "loss=infonce", "logger=csv", "corpus=codesearchnet", "corpus.root=many"),
        *(*SMALL, "trainer.max_epochs=1", "data.batch_size=256"),
    ),
    "typed/index": ("index", "run=outputs/old/finished", "roots=[tree]", "out=index", "workers=0"),
    "typed/mine": ("mine", "run=outputs/old/finished", "out=mined.jsonl"),
}
SWEEP = ("train", "-m", "loss=infonce,soft_infonce", "weights=bm25", "logger=csv", *CORPUS)
STEP = 6  # of 12, in the second epoch of three: where the interrupted run is asked to stop
STOPPED = f"""
import os, runpy, signal, sys
from src.module import CodeSearchModule

steps, step = iter(range(1, 100)), CodeSearchModule.training_step

def training_step(self, *given):
    if next(steps) == {STEP}:
        os.kill(os.getpid(), signal.SIGTERM)
    return step(self, *given)

CodeSearchModule.training_step = training_step
sys.argv[0] = "src/train.py"
runpy.run_module("src.train", run_name="__main__")
"""

VERBS = ("water", "prune", "label", "harvest", "repot", "measure", "compost", "graft")
THINGS = ("tomato", "bean", "fern", "rose", "hedge", "apple", "leek", "moss", "vine", "pear", "kale", "herb", "tulip")
GO = """package shed

// TidyShelf puts every tool back where it hangs.
func TidyShelf(tools []Tool) {
\tfor _, tool := range tools {
\t\ttool.Hang()
\t}
}
"""


def main() -> None:
    checkout, to = (Path(given).resolve() for given in sys.argv[1:])
    with tempfile.TemporaryDirectory() as folder:
        here = Path(folder).resolve()
        write_data(here)
        for name, command in MADE.items():
            typed(checkout, here, ["-m", f"src.{command[0]}", *command[1:], f"hydra.run.dir=outputs/old/{name}"])
        interrupted = ["-c", STOPPED, *SIMILAR, "hydra.run.dir=outputs/old/interrupted"]
        typed(checkout, here, interrupted, status=75)  # as a scheduler reads it: try again
        typed(checkout, here, ["-m", f"src.{SWEEP[0]}", *SWEEP[1:]])
        cut_paths(here, checkout)
        to.mkdir(parents=True, exist_ok=True)
        (to / "targets.txt").write_text("\n".join(targets(checkout)) + "\n", encoding="utf-8")
        for name, members in ARCHIVES.items():
            pack(here, members, to / f"{name}.tar.xz")


def typed(checkout: Path, here: Path, words: list[str], status: int = 0) -> None:
    """A command of the checkout, typed in `here`; W&B is offline."""
    environment = {**os.environ, "PYTHONPATH": str(checkout), "WANDB_MODE": "offline", "HF_HUB_OFFLINE": "1"}
    ended = subprocess.run([sys.executable, *words], cwd=here, env=environment)
    assert ended.returncode == status, (ended.returncode, words)


def write_data(here: Path) -> None:
    """A corpus of 64 training pairs, one of 1,040 short ones, and a source tree in two languages."""
    pairs = [(verb, thing) for thing in THINGS for verb in VERBS]
    rows = [row(i, verb, thing) for i, (verb, thing) in enumerate(pairs)]
    write_splits(here / "corpus" / "python", rows[:64], rows[64:84], rows[84:])
    many = [row(i, verb, f"{thing} {i}") for i, (verb, thing) in enumerate(pairs * 10)]
    write_splits(here / "many" / "python", many, rows[:5], rows[5:10])
    for thing in THINGS:
        write(here / "tree" / "garden" / f"{thing}.py", "\n\n".join(map(function, VERBS[:4], [thing] * 4)))
    write(here / "tree" / "shed" / "shelf.go", GO)


def row(number: int, verb: str, thing: str) -> dict[str, str]:
    query = f"{verb.title()} the {thing} in bed {number} before noon."
    return {"docstring": query, "code": function(verb, thing), "url": f"garden/{number}", "language": "python"}


def function(verb: str, thing: str) -> str:
    name = thing.replace(" ", "_")
    return (
        f"def {verb}_{name}(bed, day):\n"
        f'    """{verb.title()} each {thing} of a bed that needs it on that day."""\n'
        f"    for plant in bed.find('{thing}'):\n"
        f"        plant.{verb}(day)\n"
        f"    return bed.{name}_done(day)\n"
    )


def write_splits(folder: Path, train: list, valid: list, test: list) -> None:
    for name, rows in {"train": train, "valid": valid, "test": test, "codebase": valid + test}.items():
        write(folder / f"{name}.jsonl", "".join(json.dumps(row) + "\n" for row in rows))


def write(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")
    os.utime(path, (1_700_000_000, 1_700_000_000))  # an index and a harvest look at it, and an archive keeps seconds


def cut_paths(here: Path, checkout: Path) -> None:
    """Takes this machine's folders out of what is read by people; the cache's entries are summed, and have none."""
    for path in here.rglob("*"):
        if path.suffix in TEXTS and "cache" not in path.relative_to(here).parts:
            text = path.read_text(encoding="utf-8")
            cut = text.replace(f"{here}/", "").replace(f"{checkout}/", "")
            cut = cut.replace(str(here), ".").replace(str(checkout), ".")
            path.write_text(PLATFORM.sub(r"\1Linux", cut), encoding="utf-8")


def targets(checkout: Path) -> list[str]:
    """The names of all that a configuration of the checkout could build, Hydra's own parts apart."""
    files = [path for path in (checkout / "conf").rglob("*.yaml") if "hydra" not in path.parts]
    return sorted({name for path in files for name in NAMED.findall(path.read_text(encoding="utf-8"))})


def pack(here: Path, members: tuple[str, ...], to: Path) -> None:
    def anonymous(member: tarfile.TarInfo) -> tarfile.TarInfo | None:
        member.uid = member.gid = 0
        member.uname = member.gname = ""
        return None if set(Path(member.name).parts) & set(LEFT_OUT) else member

    with tarfile.open(to, "w:xz", preset=9) as archive:
        for member in members:
            archive.add(here / member, member, filter=anonymous)


if __name__ == "__main__":
    main()
