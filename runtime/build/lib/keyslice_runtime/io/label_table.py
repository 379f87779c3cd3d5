"""Tables of the values of a label map, in the form of BIDS."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from keyslice_runtime.utils.atomic_write import atomic_write


def write_label_table(path: str | Path, label_names: Mapping[str, int]) -> None:
    """Write the columns ``index`` and ``name``, tab-separated, as BIDS has them for ``dseg.tsv``.

    Args:
        path: file to write.
        label_names: value of every structure by its name; the background, 0, is added.
    """
    rows = [("index", "name"), (0, "background"), *((value, name) for name, value in label_names.items())]
    with atomic_write(Path(path)) as file:
        file.write_text("".join(f"{index}\t{name}\n" for index, name in rows), encoding="utf-8")
