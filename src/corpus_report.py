"""Measure sizes, duplicates, leaks and languages of a corpus: python -m src.corpus_report corpus=stdlib"""

from hydra.core.hydra_config import HydraConfig
from hydra.utils import instantiate
from omegaconf import DictConfig, open_dict

from src import cli
from src.analysis.corpus.measure import combined, survey
from src.analysis.corpus.page import page
from src.analysis.corpus.tables import headlines, overview, tables
from src.config.checks import check
from src.corpora.base import Corpus
from src.corpora.multilanguage import MultiLanguageCorpus
from src.metrics.summary import pool_facts
from src.runs.directory import RunDirectory, environment, relative
from src.utils.console import print_facts
from src.utils.tables import print_tables


def main(cfg: DictConfig) -> None:
    """Measures a corpus as a training would read it; leaves report.json and report.html."""
    run = RunDirectory(HydraConfig.get().runtime.output_dir)
    with run.recording():
        check(cfg, "corpus_report")
        run.write_config(cfg)
        corpus: Corpus = instantiate(cfg.corpus)
        written = with_source_text(cfg, corpus)
        if isinstance(corpus, MultiLanguageCorpus) and isinstance(written, MultiLanguageCorpus):
            surveys = {
                language: survey(own, written.corpora[language], cfg.near, cfg.sample, cfg.seed)
                for language, own in corpus.corpora.items()
            }
            numbers = combined(surveys)
        else:
            surveys = {"": survey(corpus, written, cfg.near, cfg.sample, cfg.seed)}
            numbers = surveys[""].numbers
        test = corpus.split("test")
        about = {name: corpus.split(name).fingerprint for name in ("train", "valid", "test")}
        run.write_json("environment.json", environment(cfg.seed, corpus=about))

        name = f"{HydraConfig.get().runtime.choices['corpus']} {cfg.lang.name}"
        facts = {"corpus": name, **pool_facts(test), "near": f"Jaccard index of sub-token sets of {cfg.near:g} or more"}
        run.write_json("report.json", dict(sorted(numbers.items())))
        run.write_text("report.html", page(surveys, cfg.near, f"What is in {name}?", facts))
        print_tables(tables(surveys[""]) if "" in surveys else overview(surveys), headlines(surveys, cfg.near))
        print()
        print_facts({**facts, "page": str(relative(run.path / "report.html"))})


def with_source_text(cfg: DictConfig, corpus: Corpus) -> Corpus:
    """The same corpus with its codes as source text, which can be parsed, and not as joined tokens."""
    if cfg.corpus.get("text", "source") == "source":
        return corpus
    written = cfg.corpus.copy()
    with open_dict(written):
        written.text = "source"
    same: Corpus = instantiate(written)
    if isinstance(same, MultiLanguageCorpus):
        same.quiet = True
    return same


if __name__ == "__main__":
    cli.run(main, "corpus_report")
