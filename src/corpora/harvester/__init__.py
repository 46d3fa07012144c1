"""Source trees in, a cleaned corpus in CodeSearchNet's layout out: tree-sitter, one file per language."""
