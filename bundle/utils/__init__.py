"""Helpers without a subject of their own: errors, atomic writes, digests, versions, parsing of options."""
