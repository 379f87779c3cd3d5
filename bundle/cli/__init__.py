"""The commands of ``keyslice`` and ``python -m bundle``."""
