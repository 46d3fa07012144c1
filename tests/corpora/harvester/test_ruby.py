"""Ruby: comment lines, =begin blocks, heredocs, RDoc and YARD."""

from __future__ import annotations

import pytest

from tests.corpora.harvester.cases import dropped, functions, names, only

BODY = "\n  x = 1\n  x\nend\n"


def test_a_comment_sign_inside_a_literal_is_kept() -> None:
    code = (
        'def f(a, sep: "#")\n  sql = run(<<~SQL, <<-\'RAW\', 1)\n    # no #{a + "#"}\n\n    no\n  SQL\n  #no\n  RAW\n'
        '  b = %w[a #b] + %i[# c] + [:"#", ?#]\n  c = %q(# no) =~ /#x/ ? `ls # no` : "#{b} # no"\n  c\nend'
    )
    commented = (
        code.replace("1)\n", "1) # yes\n")
        .replace("  b =", "  # yes\n\n  b =")
        .replace("  c\n", "=begin\nyes\n=end\n  c\n")
    )
    found = only("ruby", f"# Returns the result of it.\n{commented}\n")
    assert found.code == code
    assert (found.start_line, found.end_line) == (2, 18)


def test_a_begin_block_is_a_doc_comment() -> None:
    found = only("ruby", f"class A\n=begin\nReturns it all at once.\n\nMore.\n=end\n  def f?{BODY}end\n")
    assert (found.name, found.query) == ("A.f?", "Returns it all at once.")


@pytest.mark.parametrize(
    ("comment", "query"),
    [
        ("##\n# Opens the +file+ at <tt>path</tt>.\n#\n# More.\n", "Opens the file at path."),
        ("# Opens the file.\n# @param path [String] where\n# @return [File]\n", "Opens the file."),
        ("# call-seq:\n#   open(path) -> file\n#   open { |f| } -> nil\n#\n# Opens the file.\n", "Opens the file."),
        ("# :call-seq:\n#   open(path) -> file\n#\n#   open -> nil\n#\n# Opens the file.\n", "Opens the file."),
        ("#--\n# TODO: rename all of it\n#++\n# Opens the file.\n", "Opens the file."),
        ("# frozen_string_literal: true\n# Opens the file.\n# :nodoc:\n", "Opens the file."),
        ("# Opens \\File at {the path}[rdoc-ref:Path], _always_:\n#\n#   open(1)\n", "Opens File at the path, always:"),
        ("# open(path) => file\n#\n# Opens the file.\n", "Opens the file."),
        ("# == Open\n#\n#   open 1\n#\n# Opens the file.\n", "Opens the file."),
    ],
)
def test_tags_and_markup_do_not_reach_the_query(comment: str, query: str) -> None:
    assert only("ruby", f"x = 1\n\n{comment}def open(path){BODY}").query == query


@pytest.mark.parametrize(
    "source",
    [
        f"# Too far away from it.\n\ndef f{BODY}",
        f"x = 1 # Describes another thing entirely.\ndef f{BODY}",
        f"# -*- coding: utf-8 of this file -*-\ndef f{BODY}",
        f"# rubocop:disable all of the cops\ndef f{BODY}",
        "__END__\n# Is data and no code.\ndef f\n  1\nend\n",
    ],
)
def test_a_comment_of_something_else_documents_no_method(source: str) -> None:
    assert functions("ruby", source) == []


def test_every_way_to_write_a_method_is_found() -> None:
    doc = "# Does the right thing.\n"
    source = (
        f"module A::B\n  class C < D\n{doc}  def self.f{BODY}{doc}  private def g=(v){BODY}"
        f"    class << self\n{doc}    def h(a, *b, c: 1, **d, &e){BODY}    end\n{doc}  def [](i){BODY}  end\nend\n"
    )
    assert names("ruby", source) == ["A::B.C.f", "A::B.C.g=", "A::B.C.h", "A::B.C.[]"]
    assert functions("ruby", source)[1].code.startswith("private def g=(v)\n")


def test_standard_methods_are_left_out() -> None:
    source = f"class A\n# Makes a new one of it.\ndef initialize{BODY}# Returns text for people.\ndef to_s{BODY}end\n"
    assert dropped("ruby", source) == {"constructor, standard method or test": 2}


def test_variables_numbers_and_most_operators_are_single_tokens() -> None:
    found = only("ruby", "# Changes all of it.\ndef f!\n  @a ||= @@b&.c <=> $d\n  A::B.new(1.5)\nend\n")
    assert found.tokens == [
        *[
            "def",
            "f",
            "!",
            "@a",
            "||=",
            "@@b",
            "&",
            ".",
            "c",
            "<=>",
            "$d",
            "A",
            "::",
            "B",
            ".",
            "new",
            "(",
            "1.5",
            ")",
            "end",
        ]
    ]


def test_a_nested_method_stays_inside_its_method() -> None:
    code = (
        "def outer(\n  a, # why\n  b = {},\n  *rest,\n  key:\n)\n  # Is documented too.\n  def inner(c)\n    c\n  end\n"
        "  each { |d| d + 1 } # why\n  define_method(:g) do |e|\n    e\n  end\nend"
    )
    found = only("ruby", f"# Defines another one in it.\n{code}\n")
    assert (found.name, found.code) == ("outer", code.replace(" # why", "").replace("  # Is documented too.\n", ""))


def test_an_endless_method_does_not_include_the_next_one() -> None:
    first, second = "def add(a, b) =\n  a +\n  b", "def take(a, b)\n  a - b\nend"
    source = f"# Adds the two of them.\n{first}\n\n# Takes one from the other.\n{second}\n"
    assert [(found.name, found.code) for found in functions("ruby", source)] == [("add", first), ("take", second)]
