"""A model under retrieval benchmarks: mteb's, or corpora on this disk."""
