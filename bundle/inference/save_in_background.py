"""Transforms that write in a background thread."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Mapping, Sequence
from functools import partial
from typing import Any

from monai.transforms import Compose, Transform

from .background_writer import BackgroundWriter, run_or_submit
from .case_record import RECORD, record_of_data


class SaveInBackgroundd(Transform):
    """Run transforms that write the result of a case in a background thread, while the next case is computed.

    All data of the case stay in memory until they are written. :class:`bundle.inference.SaveSegmentationd` and
    :class:`bundle.tasks.images.SaveMaskd`, whose images are large, have a ``writer`` that keeps the results alone.

    Args:
        transforms: transforms that write; one of them completes the record of the case, ``data["record"]``.
        writer: background thread; None runs the transforms before the call returns.
        image_key: key of the image; its metadata names the file.
    """

    def __init__(
        self,
        transforms: Sequence[Callable[..., Any]],
        *,
        writer: BackgroundWriter | None = None,
        image_key: str = "image",
    ) -> None:
        super().__init__()
        self.transforms, self.writer, self.image_key = Compose(transforms), writer, image_key

    def __call__(self, data: Mapping[Hashable, Any]) -> dict[Hashable, Any]:
        """Return ``data`` with the record of the case."""
        d = dict(data)
        d[RECORD] = record = record_of_data(d, self.image_key)
        run_or_submit(self.writer, record, partial(self.transforms, d))
        return d
