"""Corpora: one file each, every one yields the splits of base.py."""
