"""Tests of src/corpora."""
