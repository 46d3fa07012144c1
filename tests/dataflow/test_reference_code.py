"""Against GraphCodeBERT's published extractor (tests/golden/dataflow_cases.jsonl.gz), 60 functions a language.

Left out are those on which that extractor raised (4 in php). The rules were found on two thirds of the cases; every
third case of a language was held out and is counted apart.
"""

from __future__ import annotations

import gzip
import json
from pathlib import Path

import pytest

from src.dataflow import LANGUAGES, extract_dataflow

GOLDEN = Path(__file__).parents[1] / "golden" / "dataflow_cases.jsonl.gz"
# the published extractor joins the lines of a token that spans several; byte-exact tokens keep their line ends
JOINED = {"mxeval/MBRBP/86"}


@pytest.fixture(scope="module")
def cases():
    with gzip.open(GOLDEN, "rt", encoding="utf-8") as lines:
        every = [json.loads(line) for line in lines]
    usable = [case for case in every if not case["parse_error"] and not case["reference_failed"]]
    return {language: [case for case in usable if case["language"] == language] for language in LANGUAGES}


@pytest.mark.parametrize("language", LANGUAGES)
def test_edges_equal_those_of_the_published_extractor(language, cases, capsys):
    found = [(case["id"], extract_dataflow(case["code"], language)[1] == case["edges"]) for case in cases[language]]
    held_out = found[2::3]
    unequal = [name for name, equal in found if not equal]
    with capsys.disabled():
        print(
            f"\ndata flow {language}: {len(found)} compared, {len(found) - len(unequal)} equal; "
            f"of {len(held_out)} held out, {sum(equal for _, equal in held_out)}; unequal: {unequal or 'none'}"
        )
    assert len(found) >= 56
    assert len(unequal) <= 0.03 * len(found)
    assert not unequal  # none is known; name and explain one here before allowing it


@pytest.mark.parametrize("language", LANGUAGES)
def test_tokens_equal_those_of_the_published_extractor(language, cases):
    for case in cases[language]:
        tokens = extract_dataflow(case["code"], language)[0]
        if case["id"] in JOINED:
            tokens = ["".join(token.split("\n")) for token in tokens]
        assert tokens == case["code_tokens"], case["id"]


def test_two_runs_agree(cases):
    for language, group in cases.items():
        for case in group[:20]:
            assert extract_dataflow(case["code"], language) == extract_dataflow(case["code"], language)


@pytest.mark.parametrize("language", LANGUAGES)
def test_windows_line_ends_do_not_change_the_flow(language, cases):
    for case in cases[language]:
        if "\n" not in "".join(case["code_tokens"]) and case["id"] not in JOINED:
            windows = extract_dataflow(case["code"].replace("\n", "\r\n"), language)
            assert windows == extract_dataflow(case["code"], language), case["id"]
