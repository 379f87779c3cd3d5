"""The error of datasets and datalists that cannot be used."""


class DatalistError(ValueError):
    """A dataset folder or datalist that cannot be used; the message names the file and says what to do."""
