"""The commands of ``python -m bundle``."""
