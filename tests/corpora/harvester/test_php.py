"""PHP: PHPDoc, heredocs, attributes, and HTML around it all."""

from __future__ import annotations

from tests.corpora.harvester.cases import dropped, functions, names, only

BODY = "{\n    $x = 1;\n    return $x;\n}"


def test_html_around_the_code_is_not_taken_for_code() -> None:
    html = "?>\n  <td>// no <?= $a ?></td>\n\n<?php\n"
    source = (
        "<html>/** No code. */ function f() { }</html>\n<?php\n/** Prints a row of it. */\nfunction row($a)\n{\n"
        f"    if ($a) {{ # yes\n{html}    }}\n    // yes ?>\n<p>#no</p>\n<?php }}\n"
    )
    found = only("php", source)
    assert found.query == "Prints a row of it."
    assert found.code == f"function row($a)\n{{\n    if ($a) {{\n{html}    }}\n    ?>\n<p>#no</p>\n<?php }}"


def test_a_comment_sign_inside_a_string_is_kept() -> None:
    code = (
        "function f(string $a = '#'): string\n{\n    $h = <<<HTML\n        // no {$a['/*']}\n\n      # no\n    HTML;\n"
        "    $n = <<<'EOT'\n/* no */\nEOT;\n    return \"// $h\" . '# no' . `ls # no`;\n}"
    )
    commented = code.replace("HTML;\n", "HTML; # yes\n    // yes\n").replace("EOT;\n", "EOT; /* yes\n\n */\n")
    found = only("php", f"<?php\n\n/** Returns a heredoc. */\n{commented}\n")
    assert found.code == code
    assert found.tokens[:9] == ["function", "f", "(", "string", "$a", "=", "'#'", ")", ":"]


def test_attributes_and_modifiers_are_kept() -> None:
    method = (
        "#[Route('/a', methods: ['GET'])]\nfinal public static function find(\n    private ?int $id = null,\n"
        "    Foo|Bar &...$more,\n): ?self {\n    return null;\n}"
    )
    doc = "/**\n * Finds the {@see Foo::bar()} by its id.\n *\n * @param int|null $id\n * @return static\n */\n"
    found = only("php", f"<?php\nnamespace A\\B;\nabstract class C implements D {{\n{doc}{method}\n}}\n")
    assert (found.name, found.query, found.code) == ("C.find", "Finds the Foo::bar() by its id.", method)


def test_functions_of_traits_enums_and_conditions_are_found() -> None:
    function = f"/** Does the right thing. */\nfunction f() {BODY}\n"
    scopes = "trait T", "enum E: int", "if (!function_exists('f'))"
    source = "<?php\n" + "\n".join(f"{scope} {{ {function} }}" for scope in scopes)
    assert names("php", source) == ["T.f", "E.f", "f"]


def test_magic_methods_and_bodiless_ones_are_left_out() -> None:
    source = (
        f"<?php\nclass A {{\n/** Makes a new one of it. */\nfunction __construct() {BODY}\n"
        "/** Is defined further down. */\nabstract function f(\n  $a,\n  $b\n);\n}\n"
    )
    assert dropped("php", source) == {"constructor, standard method or test": 1}


def test_a_comment_of_something_else_documents_no_function() -> None:
    for comment in (
        "/** @var int The number of it. */",
        "/** Describes the constant. */\nconst A = 1;",
        "// Not a doc comment.",
    ):
        assert functions("php", f"<?php\nclass A {{\n{comment}\nfunction f() {BODY}\n}}\n") == []


def test_non_ascii_text_leaves_the_cut_in_place() -> None:
    source = f"<?php // größe\n$a = '日本';\n/** Returns 'it'. Twice as fast. */\nfunction été() {BODY}\n"
    found = only("php", source)
    assert (found.name, found.code) == ("été", f"function été() {BODY}")


def test_a_closure_or_nested_function_stays_inside_its_function() -> None:
    code = (
        "function outer(\n    callable $a, // why\n): callable {\n"
        "    /** Is named inside of it. */\n    function inner($b)\n    {\n        return $b;\n    }\n"
        "    $f = fn (int $c): int => $c; // why\n"
        "    $g = static function () use ($f) {\n        return $f(1); # why\n    };\n    return $g;\n}"
    )
    found = only("php", f"<?php\n/** Returns the closure of it. */\n{code}\n")
    expected = code.replace(" // why", "").replace(" # why", "").replace("    /** Is named inside of it. */\n", "")
    assert (found.name, found.code) == ("outer", expected)


def test_text_around_the_code_neither_documents_nor_ends_a_function() -> None:
    source = (
        "<!-- /** No doc. */ function no() {} -->\n<?= $title // why ?>\n<script>/** No php at all. */\n"
        "function f() {\n  return 1\n}</script>\n<?php if ($a): ?>\n<?php\n/** Prints one item of it. */\n"
        "function item($b) { ?>\n  <li title='# no'><?= $b /* why */ ?></li>\n<?php }\nendif ?>\n"
    )
    found = only("php", source)
    assert (found.name, found.query) == ("item", "Prints one item of it.")
    assert found.code == "function item($b) { ?>\n  <li title='# no'><?= $b  ?></li>\n<?php }"
