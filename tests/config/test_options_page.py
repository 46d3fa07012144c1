"""docs/options.md says what conf/ says."""

import subprocess

from tests.conftest import PROJECT
from tests.support.options_page import PAGE, described, page


def test_the_options_page_is_what_the_configuration_says():
    command = ["git", "ls-files", "--others", "conf"]
    found = subprocess.run(command, cwd=PROJECT, capture_output=True, text=True).stdout.split()
    mine = {PROJECT / path for path in found}  # an option that is not committed need not be on the page
    assert PAGE.read_text(encoding="utf-8") == page(mine), "bring it up to date: python -m tests.support.options_page"


def test_commands_follow_the_sentences_of_a_yaml(tmp_path):
    path = tmp_path / "option.yaml"
    path.write_text("# Says what it is.\n# python -m src.train a=b  (or c)\n# More | of it with d=e.\n\n# no more\n")
    assert described(path) == "Says what it is. More \\| of it with `d=e`. `python -m src.train a=b` (or c)"
