"""Part of Keyslice."""
