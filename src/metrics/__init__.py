"""Ranks, retrieval metrics, the lexical baseline and intervals."""
