"""Dual-encoder code search with Soft-InfoNCE and its rivals.

Shape letters, used as suffixes of names everywhere: B queries of a batch (rows), C candidate codes (columns),
N queries and M candidates of an evaluation, D embedding size, L tokens.
"""
