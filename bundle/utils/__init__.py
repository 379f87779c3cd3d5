"""Helpers without a subject: errors, atomic writes, digests, versions, parsing of options."""
