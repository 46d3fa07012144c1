"""Reads finished runs and says which difference is real."""
