"""Tables on a terminal, and counts with their nouns."""

import io

from rich.console import Console

from src.utils.tables import Table, number_of, print_tables


def test_a_count_has_the_right_form_of_its_noun():
    assert [number_of(n, "epoch") for n in (0, 1, 1200)] == ["0 epochs", "1 epoch", "1,200 epochs"]
    assert number_of(2, "copy", "copies") == "2 copies"


def test_a_table_that_is_too_wide_continues_below_with_the_names_of_its_rows():
    table = Table("title", ["", "first", "second"], [["name of a row", "0.123456789", "+0.0082 to +0.0158"]])
    for width, lines in ((60, 1), (40, 2)):
        page = io.StringIO()
        print_tables([table], console=Console(file=page, width=width))
        rows = [line.split() for line in page.getvalue().splitlines() if "name of a row" in line]
        assert len(rows) == lines
        assert [word for row in rows for word in row[4:]] == ["0.123456789", "+0.0082", "to", "+0.0158"]
        assert page.getvalue().count("title") == 1
