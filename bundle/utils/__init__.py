"""Helpers without a subject of their own: atomic writes, parsing of options."""
