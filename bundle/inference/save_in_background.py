"""Writing of results by transforms that run in the thread of a writer."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Mapping, Sequence
from typing import Any

from monai.transforms import Compose, Transform

from .background_writer import BackgroundWriter


class SaveInBackgroundd(Transform):
    """Run transforms that write the result of a case in the thread of a writer, while the next case is computed.

    Args:
        transforms: transforms that write; one of them adds the record of the case as ``data["result"]``.
        writer: writer that runs them and keeps the records as ``results``; None runs them before the call returns.
    """

    def __init__(self, transforms: Sequence[Callable[..., Any]], *, writer: BackgroundWriter | None = None) -> None:
        super().__init__()
        self.transforms, self.writer = Compose(transforms), writer

    def __call__(self, data: Mapping[Hashable, Any]) -> dict[Hashable, Any]:
        """Return ``data``, with ``"result"`` if there is no writer."""
        d = dict(data)
        if self.writer is None:
            return self.transforms(d)
        image = d["image"].meta["filename_or_obj"]
        self.writer.submit({"case": d["case"], "image": image}, lambda: self.transforms(d)["result"])
        return d
