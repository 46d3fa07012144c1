"""What each language's constructs mean, on cases small enough to draw by hand.

`x7<x3,x5` reads: the use of x at token 7 comes from its definitions at tokens 3 and 5; `x3=y5`: x at token 3 is
computed from y at token 5; `y5`: the value of y starts there. Tokens are counted from 0.
"""

from __future__ import annotations

import pytest

from src.dataflow import extract_dataflow

SIGNS = {"comesFrom": "<", "computedFrom": "="}
CASES = [
    # python
    ("python", "x = y\nx", "x0=y2 y2 x3<x0"),
    ("python", "x += y\nx", "x0=y2 y2 x3<x0"),
    ("python", "a, b = c, d", "a0=c4 b2=d6 c4 d6"),
    ("python", "a, b = f(c)", "a0=f4 b2=c6 f4 c6"),
    ("python", "a[i] = b[j]", "a0=b5 i2=j7 b5 j7"),
    ("python", "x: int = y", "x0=y4 y4"),
    ("python", "def f(a, b=c):\n    return a + b", "a3 b5<c7 c7 a11<a3 b13<b5"),
    ("python", "if a:\n    x = b\nelif c:\n    x = d\nx", "x3=b5 b5 x9=d11 d11 x12<x3,x9"),
    ("python", "if a:\n    x = b\nelse:\n    x = d\nx", "x3=b5 b5 x8=d10 d10 x11<x3,x8"),
    ("python", "x = a\nif x:\n    x = b\nx", "x0=a2 a2 x4<x0 x6=b8 b8 x9<x0,x6"),
    ("python", "for i in n:\n    s = s + i\ns", "i1=n3 n3<n3 s5=s7,i9 s7<s5 i9<i1 s10<s5"),
    ("python", "while a:\n    a = b\n    b = a", "a1<a3 a3=b5 b5<b6 b6=a8 a8<a3"),
    ("python", "[g(x) for x in y if x]", "x3<x6 x6=y8 y8 x10<x6"),
    ("python", "def f(a):\n    return lambda b: a + b", "a3 b8 a10<a3 b12<b8"),
    ("python", "for i in n:\n    a = i\nelse:\n    b = i", "i1=n3 n3<n3"),
    ("python", "for i, j in n:\n    i", "i1=n5 j3=n5 n5<n5 i7<i1"),
    # java
    ("java", "int f(int a) { int b = a + c; return b; }", "a4 b8<a10 b8<c12 a10<a4 c12 b15<b8"),
    ("java", "void f(int a) { a *= b; a++; g(a); }", "a7=b9 b9 a11=a11 a16<a11"),
    (
        "java",
        "void f() { int x; x = a; if (a) { x = b; } else { x = c; } g(x); }",
        "x8=a10 a10 a14<a10 x17=b19 b19 x24=c26 c26 x31<x8,x17,x24",
    ),
    (
        "java",
        "void f(int s) { for (int i = a; i < n; i++) s += i; g(s); }",
        "i10<a12 a12 i14<i10,i18 n16<n16 i18=i18 s21=i23 i23<i18 s27<s21",
    ),
    ("java", "void f() { for (T x : xs) y = x; }", "x8=xs10 xs10<xs10 y12=x14 x14<x8"),
    ("java", "void f() { while (a) a = b; }", "a7<a9 a9=b11 b11<b11"),
    ("java", "Runnable f(int a) { return () -> g(a); }", "a4 a13<a4"),
    # javascript
    ("javascript", "let x = y; x += z; g(x);", "x1<y3 y3 x5=z7 z7 x11<x5"),
    ("javascript", "x = y; g(x);", "x0 x6<x0"),
    (
        "javascript",
        "var x = a; if (b) { x += c; } else { x += d; } g(x);",
        "x1<a3 a3 x10=c12 c12 x17=d19 d19 x24<x1,x17",
    ),
    ("javascript", "for (var i = a; i < n; i++) g(i);", "i3<a5 a5 i7<i3,i11 n9<n9 i11=i11 g14<g14 i16<i11"),
    ("javascript", "for (let i = a; i < n; i++) g(i);", "i3<a5 a5 i7<i3 i11=i11 i16<i11"),
    ("javascript", "function f(a, b = c) { return () => a + b; }", "a3 b5=c7 c7 a14<a3 b16<b5"),
    ("javascript", "while (a) { a += b; }", "a2<a5 a5=b7 b7<b7"),
    # php
    ("php", "$x = $y; $x .= $z; f($x);", "x2=y5 y5 x8=z11 z11 x16<x8"),
    ("php", "function f($a, $b = C) { return $a . $b; }", "a5 b8<C10 C10 a15<a5 b18<b8"),
    ("php", "if ($a) { $x = $b; } else { $x = $c; } f($x);", "x8=b11 b11 x17=c20 c20 x26<x8,x17"),
    ("php", "foreach ($a as $k => $v) { $s += $v; }", "a4 k7=a4 v10=a4 s14=v17 v17<v10"),
    ("php", "for ($i = $a; $i < $n; $i++) { $s = $i; }", "i4=a7 a7 i10<i4,i16 i16=i16 s21=i24 i24<i16"),
    ("php", "while ($a) { $a = $b; }", "a4<a8 a8=b11 b11"),
    ("php", "$f = function ($x) use ($y) { return $x + $y; };", "f2=x7 f2=x17 f2=y12 f2=y20 x7 y12 x17<x7 y20"),
    # ruby
    ("ruby", "x = y\nx += z\nx", "x0=y2 y2 x3=z5 z5 x6<x3"),
    ("ruby", "a, b = c, d", "a0=c4 b2=d6 c4 d6"),
    ("ruby", "def f(a, b: c)\n  a + b\nend", "a3 b5<c7 c7 a9<a3 b11<b5"),
    ("ruby", "x = a\nif x\n  x = b\nelse\n  x = c\nend\nx", "x0=a2 a2 x4<x0 x5=b7 b7 x9=c11 c11 x13<x0,x5,x9"),
    ("ruby", "for i in n do\n  s = i\nend\ns", "i1=n3 n3<n3 s5=i7 i7<i1 s9<s5"),
    ("ruby", "until a do\n  a = b\nend", "a1<a3 a3=b5 b5<b5"),
    ("ruby", "xs.map { |x| x + y }", "x5 x7<x5"),
    # go
    (
        "go",
        "func f(a int) int { var b int = a; b = b + c; return b }",
        "a3 b9<a12 a12<a3 b14=b16 b14=c18 b16<b9 c18 b21<b14",
    ),
    (
        "go",
        "func f() { x := a; x++; if a { x = b } else { x = c }; g(x) }",
        "a7 x9=x9 a13<a7 x15=b17 b17 x21=c23 c23 x28<x9,x15,x21",
    ),
    ("go", "func f() { for i := a; i < n; i++ { s += i } }", "i6 i10<i6 i14=i14 s17=i19 i19<i14"),
    ("go", "func f() { for _, x := range xs { s = x } }", "x8 s13=x15 x15<x8"),
    ("go", "func f(a int) func() int { return func() int { return a } }", "a3 a18<a3"),
]


def drawn(code: str, language: str) -> str:
    tokens, edges = extract_dataflow(code, language)
    text = []
    for name, token, relation, names, parents in sorted(edges, key=lambda edge: (edge[1], edge)):
        assert tokens[token] == name
        assert {tokens[parent] for parent in parents} == set(names)
        text.append(
            f"{name}{token}" + (SIGNS[relation] + ",".join(f"{tokens[p]}{p}" for p in parents) if parents else "")
        )
    return " ".join(text)


@pytest.mark.parametrize(("language", "code", "expected"), CASES)
def test_each_construct_gives_the_expected_dependencies(language, code, expected):
    assert drawn(code, language) == expected


def test_a_definition_without_a_source_differs_from_a_use():
    edges = extract_dataflow("for key, value in rows.items():\n    print(value)", "python")[1]
    assert ["value", 3, "computedFrom", [], []] in edges  # rows.items() has two parts to the grammar: rows.items and ()
    assert ["key", 1, "computedFrom", ["items", "rows"], [5, 7]] in edges


def test_names_are_repeated_outside_loops_only():
    once = [edge for edge in extract_dataflow("x = y + y", "python")[1] if edge[0] == "x"]
    looped = [edge for edge in extract_dataflow("while True:\n    x = y + y\n    x", "python")[1] if edge[1] == 3]
    assert once == [["x", 0, "computedFrom", ["y", "y"], [2, 4]]]
    assert looped == [["x", 3, "computedFrom", ["y"], [5, 7]]]


def test_edges_are_sorted_by_name_then_token():
    edges = extract_dataflow("b = a\na = b\nb = a\na", "python")[1]
    assert edges == sorted(edges)
    assert [edge[:2] for edge in edges] == [["a", 2], ["a", 3], ["a", 8], ["a", 9], ["b", 0], ["b", 5], ["b", 6]]
