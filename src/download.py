"""Download a public corpus: python -m src.download corpus=codesearchnet lang=ruby"""

import json
import logging
from collections import Counter
from collections.abc import Mapping
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from hydra.utils import instantiate
from omegaconf import DictConfig, OmegaConf

from src import cli
from src.config.checks import check
from src.corpora.codesearchnet import CodeSearchNetCorpus
from src.corpora.fetch import Fetcher, Remote
from src.corpora.sources import Source, read_url_lists
from src.utils.console import print_facts
from src.utils.errors import InputError
from src.utils.files import replacing

log = logging.getLogger(__name__)


def main(cfg: DictConfig) -> None:
    """Fetches the files of the source, filters them and leaves out/LANGUAGE/*.jsonl, which corpus=... then reads."""
    check(cfg, "download")
    source: Source = instantiate(cfg.source.rows)
    if cfg.lang.name not in source.languages:
        raise InputError(f"this corpus has {', '.join(source.languages)}, found lang={cfg.lang.name}")
    out = Path(cfg.out)
    fetcher = Fetcher(out / "downloads", cfg.attempts, cfg.pause, cfg.timeout, log_and_print)
    lists = url_lists(cfg, fetcher)
    files = {str(name): fetcher.fetch(remote(file)) for name, file in cfg.source.files.items()}

    counts: Counter[str] = Counter()
    written = write(source.rows(files, cfg.lang.name, lists, counts), out / cfg.lang.name)
    if lists is not None:
        counts |= {f"missing: urls of {name}.txt": max(0, len(lists[name]) - written[name]) for name in lists}
    report(out, cfg.lang.name, written, counts)


def url_lists(cfg: DictConfig, fetcher: Fetcher) -> dict[str, set[str]] | None:
    """The lists of corpus.url_lists: those of a folder or archive, or with `true` those of the source."""
    given = cfg.corpus.url_lists
    if given is None or given is False:
        return None
    if "url_lists" not in cfg.source:
        raise InputError("corpus.url_lists is for corpus=codesearchnet: the other corpora have splits of their own")
    if given is not True:
        return read_url_lists(Path(str(given)).expanduser(), cfg.lang.name)
    return read_url_lists(fetcher.fetch(remote(cfg.source.url_lists)), cfg.lang.name)


def remote(node: DictConfig) -> Remote:
    plain: Any = OmegaConf.to_container(node, resolve=True)
    return Remote(**plain)


def write(rows: Any, folder: Path) -> Counter[str]:
    """Writes rows to folder/NAME.jsonl; all files appear once all are complete. Returns the lines of each."""
    folder.mkdir(parents=True, exist_ok=True)
    lines: Counter[str] = Counter()
    streams: dict[str, Any] = {}
    with ExitStack() as stack:
        for name, row in rows:
            if name not in streams:
                part = stack.enter_context(replacing(folder / f"{name}.jsonl"))
                streams[name] = stack.enter_context(part.open("w", encoding="utf-8"))
            streams[name].write(json.dumps(row, ensure_ascii=False) + "\n")
            lines[name] += 1
    return lines


def report(out: Path, language: str, written: Mapping[str, int], counts: Mapping[str, int]) -> None:
    """Reads the corpus as a training would, and prints its sizes and what was left out, and why."""
    corpus = CodeSearchNetCorpus(out, language)
    sizes = {name: len(corpus.split(name)) for name in ("train", "valid", "test")}
    facts = {name: f"{number:,}" for name, number in {**sizes, **written, **counts}.items() if number}
    (out / language / "about.json").write_text(
        json.dumps({"written": written, **counts}, indent=2) + "\n", encoding="utf-8"
    )
    log.info("%s", facts)
    print_facts({**facts, "corpus": f"corpus=codesearchnet corpus.root={out} lang={language}"})


def log_and_print(message: str) -> None:
    """Writes the message to the log and to the terminal."""
    log.info("%s", message)
    print_facts({"file": message})


if __name__ == "__main__":
    cli.run(main, "download")
