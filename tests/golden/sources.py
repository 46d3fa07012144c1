"""A source in each of six languages, of which two functions are kept; NAME is another word in each file of a tree."""

from __future__ import annotations

PYTHON = '''"""A module."""


class Shelf:
    """Holds NAMEs."""

    @property
    def NAME_rows(self, key="#id"):
        """Returns every NAME row that has :meth:`a key <get>`.  More of it
        follows here.

        Args:
            key: of the row.
        """
        # no part of the code
        text = f"# {key!r} of NAME"  # nor is this
        return [row for row in self.rows if row[text]]


def NAME(rows, /, *, seen=None):
    r"""Counts the NAME rows: e.g. those of `seen`."""

    def inner(row):
        """Is part of the outer one."""
        return row not in (seen or ())

    return sum(map(inner, rows))


def test_NAME(rows):
    """Is a test of NAME and left out."""
    rows.sort()
    return rows


def undocumented_NAME(rows):
    rows.sort()
    return rows
'''
JAVA = """package shelf;

/** Holds NAMEs. */
public class Shelf<T> {
    /**
     * Returns the NAME of {@link Shelf a shelf} or {@code null}. More of it.
     *
     * @param key of the row
     */
    @Override
    public T NAMERow(final String key) throws Exception {
        // no part of the code
        String text = "// " + key + '"'; /* nor is this */
        return this.rows.get(text);
    }

    /** Counts all rows of <b>NAME</b> &amp; others. */
    static int NAME(int... rows) {
        int sum = 0;
        for (int row : rows) { sum += row; }
        return sum;
    }

    /** Makes a new shelf of it. */
    Shelf() {
        this.rows = null;
        this.NAME();
    }
}
"""
JAVASCRIPT = """'use strict';

/**
 * Returns the NAME row of a `key`. More of it.
 *
 * @param {string} key of the row
 */
export async function NAMERow(key = '// no') {
  // no part of the code
  const text = `/* ${key} */`; /* nor is this */
  return await this.rows[text];
}

class Shelf {
  /** Counts all rows of NAME that match. */
  static *NAME(rows) {
    const found = rows.filter((row) => /[/*]#/.test(row));
    yield found.length;
  }

  /** Makes a new shelf of it. */
  constructor(rows) {
    this.rows = rows;
    this.count = 0;
  }
}
"""
PHP = """<?php
namespace Shelf;

class Shelf {
    /**
     * Returns the NAME of {@see Shelf::rows()} by its key. More of it.
     *
     * @param string $key
     */
    #[Pure]
    final public static function NAMERow(?string $key = '#'): ?self {
        // no part of the code
        $text = "// $key" . '/* no */'; # nor is this
        return self::$rows[$text];
    }
}

/** Counts all rows of NAME there. */
function NAME(array $rows) {
    $found = array_filter($rows, fn ($row) => $row);
    return count($found);
}

function undocumented_NAME() {
    $x = 1;
    return $x;
}
"""
RUBY = """# frozen_string_literal: true

class Shelf
  # Returns the +NAME+ of a {key}[rdoc-ref:Shelf]. More of it.
  #
  # @param key [String] of the row
  def NAME_row?(key = "#")
    # no part of the code
    text = "#{key} # no" # nor is this
    @rows[text]
  end

=begin
Counts all rows of NAME there.
=end
  def self.NAME(rows)
    found = rows.reject { |row| row =~ /#/ }
    found.size
  end

  # Makes a new shelf of it.
  def initialize(rows)
    @rows = rows
    @count = 0
  end
end
"""
GO = """// Package shelf holds rows.
package shelf

// NAMERow returns the row of [Shelf] by its key. More of it
// follows here.
func (s *Shelf[T]) NAMERow(key string) (row T, err error) {
\t// no part of the code
\ttext := "// " + key + `/* no */` /* nor is this */
\treturn s.rows[text], nil
}

// NAME counts all rows that match.
//
//go:noinline
func NAME(rows ...int) (sum int) {
\tfor _, row := range rows {
\t\tsum += row
\t}
\treturn
}
"""
SOURCES = {
    "python": (".py", PYTHON),
    "java": (".java", JAVA),
    "javascript": (".js", JAVASCRIPT),
    "php": (".php", PHP),
    "ruby": (".rb", RUBY),
    "go": (".go", GO),
}
