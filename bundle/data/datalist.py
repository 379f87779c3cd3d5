"""From what a user names (a file, a folder, a ``dataset.json``) to lists of cases.

A case is a dictionary ``{"case": name, "image": path}`` with ``"label"`` where there is one; an image of several files,
each a channel, is a list of paths. Names are unique in a list, since outputs are named after them.
"""

from __future__ import annotations

import json
import logging
import random
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from bundle.io.volume_files import files_of, is_dicom, series_in, stem_of, volumes_in

from .datalist_error import DatalistError as DatalistError
from .modalities import find_images, shared_name

logger = logging.getLogger(__name__)

FOLDERS = (("imagesTr", "labelsTr"), ("images", "labels"))
SUMMARY = "summary"
"""The name of no case: ``summary.json`` is that of the run."""
LABEL_MAP = "_seg.dcm"
"""How the names of label maps in DICOM end."""
SPLITS = ("training", "validation", "test", "all")
NOTES = ("fold", "group", "complete")
"""What an item may tell of its case beside the files: its fold, what it is counted with in an evaluation, and whether
its label names all that is in view."""

Case = dict[str, Any]


def list_cases(
    input: str | Path,  # noqa: A002 - the config id that users set
    output_dir: str | Path | None = None,
    *,
    modalities: Sequence[str] | None = None,
) -> list[Case]:
    """List the cases to segment.

    Args:
        input: a volume (NIfTI, NRRD, MetaImage, or a zip archive with a DICOM series), a folder, or a ``dataset.json``
            in MSD form (its ``test`` section; paths relative to the file). Of a folder count the volumes directly in it
            or, where there are none, the DICOM series that it holds, or that the folders in it hold.
        output_dir: where results will go; no image may lie in it. A folder of results in ``input`` is no case.
        modalities: names of the channels of an image, in their order. Where there are several, files
            ``<case>_<modality>``, or ``<modality>`` in a folder of the case, at whatever depth of the folder, are
            channels of one image.

    Returns:
        The cases, sorted by path. A path that does not exist is a case too: loading it reports what is wrong with it.

    Raises:
        DatalistError: when nothing is named, a folder holds no volume, a JSON file is no datalist, or an image lies
            in ``output_dir``.
    """
    if not str(input):
        raise DatalistError("input is not set; pass --input with a volume, a folder of them, or a dataset.json.")
    path = Path(str(input))
    if modalities is not None and len(modalities) > 1 and path.is_dir():
        found = find_images(path, modalities)
        if found:
            return _away_from(_named({"image": image.files} for image in found), output_dir)
        if not volumes_in(path):
            raise DatalistError(
                f"{path}: the folder holds no files whose names end with {', '.join(modalities)}; pass --input with a "
                "folder that does, of 4-D volumes, or a dataset.json."
            )
    cases = _list_images(path, output_dir)
    return _away_from(cases, output_dir)


def _list_images(path: Path, output_dir: str | Path | None) -> list[Case]:
    if path.is_dir():
        images = volumes_in(path) or [folder for folder in series_in(path) if not _holds_results(folder, output_dir)]
        if not images:
            raise DatalistError(
                f"{path}: the folder holds no .nii, .nii.gz, .nrrd, .mha, .mhd or .zip file and no DICOM series; "
                "pass --input FILE_OR_FOLDER."
            )
        return _named({"image": str(image)} for image in images)
    if path.suffix.lower() == ".json":
        items = _section(_read_json(path), "test", path)
        if not items:
            raise DatalistError(f"{path}: the section 'test' lists no image to segment.")
        return _named({"image": item["image"]} for item in items)
    return _named([{"image": str(path)}])


def _holds_results(folder: Path, output_dir: str | Path | None) -> bool:
    """Tell whether a folder is that of the results, with label maps as its only DICOM files."""
    if output_dir is None or folder.resolve() != Path(str(output_dir)).resolve():
        return False
    return all(file.name.endswith(LABEL_MAP) for file in folder.glob("*") if is_dicom(file))


def _away_from(cases: list[Case], output_dir: str | Path | None) -> list[Case]:
    """Return the cases; results beside an image could replace files of the user, and be taken for images later."""
    for case in cases:
        for file in files_of(case["image"]):
            image = Path(file).resolve()
            if output_dir is not None and Path(str(output_dir)).resolve() in (image.parent, image):
                raise DatalistError(f"{file}: lies in output_dir, among the results; pass another --output_dir.")
    return cases


def load_datalist(dataset_dir: str | Path, datalist: str | Path | None = None, folds: int = 5) -> dict[str, list[Case]]:
    """Read the labelled cases of a dataset as ``{"training": [...], "test": [...]}``; training cases have a ``fold``.

    Args:
        dataset_dir: folder of the dataset. Without ``datalist``, its ``dataset.json`` is read; without that, images and
            labels of the same name in ``imagesTr/labelsTr`` or ``images/labels`` are paired.
        datalist: JSON file in MSD form; its paths are relative to ``dataset_dir``. Training items may have a ``fold``;
            a section ``validation`` counts as fold 0. Test items count where they have a label.
        folds: number of folds dealt out, with a fixed seed, where the dataset names none.

    Raises:
        DatalistError: when the folder or file is missing or has another form, or an image has no label.
    """
    root = Path(dataset_dir)
    if not str(dataset_dir) or not root.is_dir():
        raise DatalistError(f"dataset_dir {str(dataset_dir)!r} is not a folder; pass --dataset_dir DIR.")
    path = Path(datalist) if datalist else root / "dataset.json"
    if not datalist and not path.is_file():
        return {"training": _deal(_pair(root), folds), "test": []}
    content = _read_json(path)
    training = _section(content, "training", path, root)
    validation = _section(content, "validation", path, root)
    test = [item for item in _section(content, "test", path, root) if "label" in item]
    for item in training + validation:
        if "label" not in item:
            raise DatalistError(f"{path}: {item['image']} has no label, but stands among the cases to train with.")
    for item in training:
        item["fold"] = _fold(item, path, 1 if validation else -1)
    training += [{**item, "fold": 0} for item in validation]
    undealt = [item["image"] for item in training if item["fold"] < 0]
    if undealt and len(undealt) < len(training):
        raise DatalistError(f"{path}: some cases have a 'fold' and others have none, the first of these: {undealt[0]}.")
    if undealt:
        training = _deal(training, folds)
    names = _named(training + test)
    return {"training": names[: len(training)], "test": names[len(training) :]}


def select_cases(
    dataset_dir: str | Path, split: str, datalist: str | Path | None = None, fold: int | None = 0
) -> list[Case]:
    """Return the labelled cases of one split of a dataset.

    Args:
        dataset_dir: folder of the dataset, see :func:`load_datalist`.
        split: ``"training"`` (all folds but ``fold``), ``"validation"`` (``fold``), ``"test"`` or ``"all"``.
        datalist: JSON file in MSD form, see :func:`load_datalist`.
        fold: the fold that is held out for validation; None to train with all of them.

    Raises:
        DatalistError: as :func:`load_datalist`; when the split is unknown or empty.
    """
    return choose_split(load_datalist(dataset_dir, datalist), split, fold, datalist or dataset_dir)


def choose_split(lists: Mapping[str, Sequence[Case]], split: str, fold: int | None, source: str | Path) -> list[Case]:
    """Return the cases of one split.

    Args:
        lists: cases by section, ``"training"`` with their ``"fold"`` and ``"test"``.
        split: as of :func:`select_cases`.
        fold: the fold that is held out for validation; None for none.
        source: what errors name.

    Raises:
        DatalistError: when there is no such split or fold, or it is empty.
    """
    if split not in SPLITS:
        raise DatalistError(f"split must be one of {', '.join(SPLITS)}, got {split!r}.")
    folds = sorted({case["fold"] for case in lists["training"]})
    if split in ("training", "validation") and folds and fold is not None and fold not in folds:
        raise DatalistError(f"{source}: has no fold {fold}, only {folds}; pass --fold.")
    chosen = {
        "training": [case for case in lists["training"] if case["fold"] != fold],
        "validation": [case for case in lists["training"] if case["fold"] == fold],
        "test": list(lists["test"]),
        "all": [*lists["training"], *lists["test"]],
    }
    if not chosen[split]:
        counts = ", ".join(f"{name} {len(cases)}" for name, cases in chosen.items())
        raise DatalistError(f"{source}: the split {split!r} (fold {fold}) holds no labelled case; there are: {counts}.")
    logger.info("%s: %d cases of the split %r (fold %s)", source, len(chosen[split]), split, fold)
    return chosen[split]


def _read_json(path: Path) -> Mapping[str, Any]:
    try:
        content = json.loads(path.read_text(encoding="utf-8-sig"))
    except OSError as error:
        raise DatalistError(f"{path}: cannot be read ({error.strerror}); pass --datalist FILE.") from error
    except ValueError as error:
        raise DatalistError(f"{path}: is not JSON ({error}).") from error
    if not isinstance(content, Mapping) or not any(name in content for name in SPLITS):
        raise DatalistError(
            f"{path}: is no MSD datalist; it needs the sections 'training' and, where there is one, 'test'."
        )
    return content


def _section(content: Mapping[str, Any], name: str, path: Path, root: Path | None = None) -> list[Case]:
    root = path.parent if root is None else root
    items = content.get(name, [])
    if not isinstance(items, list):
        raise DatalistError(f"{path}: the section {name!r} is no list of cases.")
    cases = []
    for item in items:
        entry = {"image": item} if isinstance(item, str) else item
        if not isinstance(entry, Mapping) or "image" not in entry:
            raise DatalistError(f"{path}: the section {name!r} holds {item!r}; an item needs an 'image'.")
        image = entry["image"]
        parts = image if isinstance(image, list) else [image]
        if not parts or not all(isinstance(part, str) for part in [*parts, entry.get("label", "")]):
            raise DatalistError(
                f"{path}: the section {name!r} holds {item!r}; 'image' is one path or a list of them, one a channel, "
                "and 'label' is one path."
            )
        paths = [str(root / part) for part in parts]
        files = {"image": paths if len(paths) > 1 else paths[0]}
        if "label" in entry:
            files["label"] = str(root / entry["label"])
        cases.append({**files, **{key: entry[key] for key in NOTES if key in entry}})
    return cases


def _fold(item: Case, path: Path, default: int) -> int:
    fold = item.get("fold", default)
    if not isinstance(fold, int) or isinstance(fold, bool):
        raise DatalistError(f"{path}: {item['image']} has the fold {fold!r}; a fold is a whole number.")
    return fold


def _pair(root: Path) -> list[Case]:
    for images, labels in FOLDERS:
        files = volumes_in(root / images)
        if files:
            missing = [file.name for file in files if not (root / labels / file.name).is_file()]
            if missing:
                raise DatalistError(f"{root / labels}: no label for {', '.join(missing)}; the names must be the same.")
            return _named({"image": str(file), "label": str(root / labels / file.name)} for file in files)
    known = " or ".join("/".join(pair) for pair in FOLDERS)
    raise DatalistError(f"{root}: holds neither a dataset.json nor NIfTI files in {known}.")


def _deal(cases: list[Case], folds: int) -> list[Case]:
    """Deal cases to folds, those of one ``group`` to the same one."""
    names = [case.get("group") or number for number, case in enumerate(cases)]
    units = list(dict.fromkeys(names))
    order = list(range(len(units)))
    random.Random(0).shuffle(order)
    fold_of = {units[index]: place % folds for place, index in enumerate(order)}
    return [{**case, "fold": fold_of[name]} for case, name in zip(cases, names, strict=True)]


def _named(items: Iterable[Case]) -> list[Case]:
    """Name every case after its image; where names meet, put the names of the folders above in front."""
    cases = list(items)
    parts = [_parts(files_of(case["image"])) for case in cases]
    depth = dict.fromkeys(range(len(cases)), 1)
    while True:
        names = ["_".join(part.strip("/") for part in parts[i][-depth[i] :]) for i in depth]
        counts = Counter([*names, SUMMARY])
        clashing = [i for i in depth if counts[names[i]] > 1 and depth[i] < len(parts[i])]
        if not clashing:
            break
        for i in clashing:
            depth[i] += 1
    doubles = [", ".join(files_of(case["image"])) for name, case in zip(names, cases, strict=True) if counts[name] > 1]
    if doubles:
        listed = ", ".join(doubles)
        raise DatalistError(f"these images would write the same output: {listed}; rename or remove all but one.")
    return [{"case": name, **case} for name, case in zip(names, cases, strict=True)]


def _parts(files: Sequence[str]) -> tuple[str, ...]:
    """Return the folders and the name of an image, of several files what their names share, else that of the folder."""
    folders = Path(files[0]).parts[:-1]
    stems = [stem_of(file) for file in files]
    if len(stems) == 1:
        return (*folders, stems[0])
    shared = shared_name(stems)
    return (*folders, shared) if shared else folders or tuple(stems[:1])
