"""From what a user names (a picture, a folder of them, a ``dataset.json``) to lists of cases of pictures."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from pathlib import Path

from bundle.io.volume_files import files_of

from .datalist import Case, _away_from, _named, _read_json, _section, select_cases
from .datalist_error import DatalistError
from .image_folder import prepare_image_folder
from .image_lists import images_in

logger = logging.getLogger(__name__)


def list_images(
    input: str | Path,  # noqa: A002 - the config id that users set
    output_dir: str | Path | None = None,
) -> list[Case]:
    """List the pictures to work on, as :func:`bundle.data.list_cases` does volumes.

    Args:
        input: a picture, a folder of pictures, or a ``dataset.json`` (its ``test`` section; paths relative to it).
        output_dir: where results will go; no picture may lie in it.

    Returns:
        The cases ``{"case": name, "image": path}``, sorted by path. A path that does not exist is a case too: loading
        it reports what is wrong with it.

    Raises:
        DatalistError: when nothing is named, a folder holds no picture, a JSON file is no datalist, two pictures would
            write the same output, or one lies in ``output_dir``.
    """
    if not str(input):
        raise DatalistError("input is not set; pass --input with a picture, a folder of them, or a dataset.json.")
    path = Path(str(input))
    if path.is_dir():
        found = [{"image": str(file)} for file in images_in(path)]
        if not found:
            raise DatalistError(f"{path}: the folder holds no picture; pass --input FILE_OR_FOLDER.")
    elif path.suffix.lower() == ".json":
        found = [{"image": item["image"]} for item in _section(_read_json(path), "test", path)]
        if not found:
            raise DatalistError(f"{path}: the section 'test' lists no picture.")
    else:
        found = [{"image": str(path)}]
    return _away_from(images_by_name(found), output_dir)


def select_images(dataset_dir: str | Path, split: str, datalist: str | Path | None = None, fold: int = 0) -> list[Case]:
    """Return the pictures with masks of one split of a dataset, as :func:`bundle.data.select_cases` does volumes.

    Args:
        dataset_dir: folder of the dataset. Without ``datalist``, its ``dataset.json`` is read; without that, pictures
            and masks are paired by :func:`.prepare_image_folder`, and none is held out as test.
        split: ``"training"`` (all folds but ``fold``), ``"validation"`` (``fold``), ``"test"`` or ``"all"``.
        datalist: JSON file in MSD form.
        fold: the fold that is held out for validation.

    Raises:
        DatalistError: when the folder or file cannot be used, or the split is unknown or empty.
    """
    root = Path(dataset_dir)
    if datalist or not root.is_dir() or (root / "dataset.json").is_file():
        return images_by_name(select_cases(dataset_dir, split, datalist, fold))
    items = prepare_image_folder(root, test_share=0.0)["training"]
    chosen = {
        "training": [item for item in items if item["fold"] != fold],
        "validation": [item for item in items if item["fold"] == fold],
        "all": items,
    }
    if not chosen.get(split):
        raise DatalistError(
            f"{root}: has no dataset.json, so that there are the splits training, validation and all with the folds "
            f"0 to 4, but not {split!r} with fold {fold}; pass --datalist FILE."
        )
    logger.info("%s: %d pictures of the split %r (fold %d)", root, len(chosen[split]), split, fold)
    return images_by_name(
        [{**item, **{key: str(root / item[key]) for key in ("image", "label")}} for item in chosen[split]]
    )


def images_by_name(cases: Sequence[Case]) -> list[Case]:
    """Name every case after its picture, without the ending; where names meet, with those of the folders above.

    Raises:
        DatalistError: when two pictures would write the same output, or one is a list of files.
    """
    several = [case["image"] for case in cases if len(files_of(case["image"])) > 1]
    if several:
        raise DatalistError(f"{several[0]}: a picture is one file; channels of their own are for volumes alone.")
    names = [case["case"] for case in _named({"image": str(Path(case["image"]).with_suffix(""))} for case in cases)]
    return [{**case, "case": name} for name, case in zip(names, cases, strict=True)]
