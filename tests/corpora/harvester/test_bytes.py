"""Tabs, text outside of ASCII, Windows line ends, a byte order mark: in every language the cut is where it was."""

from __future__ import annotations

import pytest

from src.corpora.harvester.languages import LANGUAGES
from tests.corpora.harvester.cases import only

# Language -> what stands before the function, the function with comments, its code.
FILES = {
    "go": (
        'package größe\n\nvar ä = "日本 // 🙂" // ö\n\n// Opens the “file”.\n',
        'func (ö *Ö) Open(\n\tπ string, // ü 🙂\n) string {\n\t/* é\n\té */\n\treturn "ß // 🙂" + `\n\tü`\n}\n',
        'func (ö *Ö) Open(\n\tπ string,\n) string {\n\treturn "ß // 🙂" + `\n\tü`\n}',
    ),
    "java": (
        'class Größe {\n\tString ä = "日本 /* 🙂"; // ö\n\n\t/**\n\t * Opens the “file”.\n\t */\n',
        '\t@Ü("ß // 🙂")\n\tString open(\n\t\tString π // ü 🙂\n\t) {\n\t\t/* é\n\t\té */\n'
        '\t\treturn "ß // 🙂" + """\n\t\t\tü""";\n\t}\n}\n',
        '@Ü("ß // 🙂")\nString open(\n\tString π\n) {\n\treturn "ß // 🙂" + """\n\t\t\tü""";\n}',
    ),
    "javascript": (
        "#!/usr/bin/env node\nconst ä = '日本 /* 🙂'; // ö\nclass Größe {\n\t/**\n\t * Opens the “file”.\n\t */\n",
        "\topen = async (\n\t\tπ = 'ß // 🙂', // ü 🙂\n\t) => {\n\t\t/* é\n\t\té */\n"
        "\t\treturn `ß // ${π /* ö */}\n\t\tü`\n\t}\n}\n",
        "open = async (\n\tπ = 'ß // 🙂',\n) => {\n\treturn `ß // ${π /* ö */}\n\t\tü`\n}",
    ),
    "php": (
        "<p>größe 🙂</p>\n<?php\n$ä = '日本 /* 🙂'; // ö\nclass Größe {\n\t/**\n\t * Opens the “file”.\n\t */\n",
        "\tfunction open(\n\t\t$π = 'ß # 🙂', # ü 🙂\n\t) {\n\t\t/* é\n\t\té */\n"
        "\t\treturn $π . <<<Ü\n\t\t\tß // 🙂\n\t\t\tÜ;\n\t}\n}\n",
        "function open(\n\t$π = 'ß # 🙂',\n) {\n\treturn $π . <<<Ü\n\t\t\tß // 🙂\n\t\t\tÜ;\n}",
    ),
    "python": (
        "ä = '日本 # 🙂'  # ö\nclass Größe:\n\t@ü('ß # 🙂')\n",
        "\tdef open(\n\t\tself, π='ß # 🙂',  # ü 🙂\n\t):\n\t\t'''Opens the “file”.\n\n\t\té\n\t\t'''\n\t\t# é\n"
        "\t\treturn π + f'''ß # {π}\n\t\tü'''\n",
        "def open(\n\tself, π='ß # 🙂',\n):\n\treturn π + f'''ß # {π}\n\t\tü'''",
    ),
    "ruby": (
        "ä = '日本 # 🙂' # ö\nclass Größe\n\t# Opens the “file”.\n",
        "\tdef open(\n\t\tπ = 'ß # 🙂', # ü 🙂\n\t\t&ö\n\t)\n=begin\né 🙂\n=end\n"
        "\t\tπ + <<~TEXT # é\n\t\t\tß # #{π} 🙂\n\t\tTEXT\n\tend\nend\n",
        "def open(\n\tπ = 'ß # 🙂',\n\t&ö\n)\n\tπ + <<~TEXT\n\t\t\tß # #{π} 🙂\n\t\tTEXT\nend",
    ),
}


@pytest.mark.parametrize("language", LANGUAGES)
def test_tabs_and_multibyte_characters_leave_the_cut_in_place(language: str) -> None:
    before, function, code = FILES[language]
    found = only(language, before + function)
    assert found.query == 'Opens the "file".'
    assert found.code == code


@pytest.mark.parametrize("language", LANGUAGES)
def test_windows_line_ends_and_a_byte_order_mark_change_no_function(language: str) -> None:
    before, function, _ = FILES[language]
    source = before + function
    expected = only(language, source)
    assert only(language, b"\xef\xbb\xbf" + source.encode()) == expected
    assert only(language, source.replace("\n", "\r\n").encode()) == expected
    assert only(language, b"\xef\xbb\xbf" + source.replace("\n", "\r\n").encode()) == expected
