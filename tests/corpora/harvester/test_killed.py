"""A harvest that the system kills: what it leaves, and what the next one makes of it."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

from src.corpora.harvester import pipeline
from src.corpora.harvester.pipeline import harvest, plan
from tests.corpora.harvester.trees import go_tree, write

# Both workers hang in the middle of a file once they have made six shards.
SLOW = """
import os, sys, time
from pathlib import Path
from src.corpora.harvester import source_trees

def slow(tree, path, read=source_trees.Tree.read):
    if path[0] > "j" and sys.argv[0] != "-c":
        Path(os.environ["STUCK"], str(os.getpid())).touch()
        time.sleep(100)
    return read(tree, path)

source_trees.Tree.read = slow
"""
# Says which shards the parent asks for.
KEEPING = """
import os
from pathlib import Path
from src.corpora.harvester import workers

def noted(children, shard, make=workers._Children.make):
    with Path(os.environ["STUCK"], "made").open("a") as made:
        print(f"{shard.number:06d}", file=made)
    return make(children, shard)

workers._Children.make = noted
"""
# What the command does, without seconds of imports.
HARVEST = (
    "import sys; from src.corpora.harvester.pipeline import harvest, plan; "
    "harvest(plan('go', sys.argv[1:2]), sys.argv[2], 2)"
)
ONE_FILE = "from src.corpora.harvester import shards\nshards.FILES_PER_SHARD = 1\n"


def test_a_harvest_killed_by_the_system_resumes_and_leaves_no_workers(tmp_path: Path) -> None:
    root, stuck = go_tree(tmp_path / "src"), tmp_path / "stuck"
    stuck.mkdir()
    harvest(plan("go", [root]), tmp_path / "whole", 0)
    site = write(tmp_path / "site" / "sitecustomize.py", ONE_FILE + SLOW)
    command = [sys.executable, "-c", HARVEST, str(root), str(tmp_path / "out")]
    path = os.pathsep.join([str(site.parent), str(Path(pipeline.__file__).parents[3])])
    environment = {**os.environ, "PYTHONPATH": path, "STUCK": str(stuck)}
    process = subprocess.Popen(command, env=environment)
    try:
        assert eventually(lambda: len(list(stuck.iterdir())) == 2)
    finally:
        process.kill()
        process.wait()
    assert eventually(lambda: not any(map(alive, stuck.iterdir())))
    assert not (tmp_path / "out" / "go").exists()
    made = sorted(file.stem for file in (tmp_path / "out" / ".go.part" / "shards").glob("*.json"))
    assert made == [f"{number:06d}" for number in range(6)]

    site.write_text(ONE_FILE + KEEPING)
    subprocess.run(command, env=environment, check=True, capture_output=True)
    assert {path.name: path.read_bytes() for path in (tmp_path / "out" / "go").iterdir()} == {
        path.name: path.read_bytes() for path in (tmp_path / "whole" / "go").iterdir()
    }
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == [".go.lock", "go"]
    assert sorted((stuck / "made").read_text().split()) == [f"{number:06d}" for number in range(6, 20)]


def eventually(holds: Callable[[], bool], seconds: float = 60) -> bool:
    """Whether it does before so many seconds have passed."""
    end = time.monotonic() + seconds
    while not (held := holds()) and time.monotonic() < end:
        time.sleep(0.02)
    return held


def alive(process: Path) -> bool:
    """Whether the process of that number runs; one that nobody waits for has ended too."""
    try:
        status = Path("/proc", process.name, "stat").read_text()
    except OSError:
        return False
    return status.rpartition(")")[2].split()[0] != "Z"
