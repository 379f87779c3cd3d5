"""Apply exported Keyslice models to medical images."""

__version__ = "0.2.0"
