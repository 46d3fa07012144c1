"""Losses: one file each, every one keeps the contract of base.py."""
