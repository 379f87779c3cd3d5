"""Folder layouts of volumetric datasets, as released and as used by the original project, for phantoms."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import nibabel as nib

from bundle.utils.atomic_write import atomic_write
from bundle.utils.write_json import write_json

Images = dict[str, nib.Nifti1Image]
"""Images by modality."""

Cases = Sequence[tuple[Images, nib.Nifti1Image]]
"""Images and the label map of every case."""

MALC_TRAINING = (1000, 1001, 1002, 1006, 1007, 1008, 1009, 1010, 1011, 1012, 1013, 1014, 1015, 1017, 1036)
MALC_TEST = (1003, 1004, 1005, 1018, 1019, 1101, 1104, 1107, 1110, 1113, 1116, 1119, 1122, 1125, 1128)


def msd(folder: Path, cases: Cases, unlabeled: Images) -> None:
    """Write a task of the Medical Segmentation Decathlon, with one test image."""
    names = [f"phantom_{number:03}" for number in range(len(cases) + 1)]
    for name, (images, label) in zip(names, cases, strict=False):
        save(images["MRI"], folder / "imagesTr" / f"{name}.nii.gz")
        save(label, folder / "labelsTr" / f"{name}.nii.gz")
    save(unlabeled["MRI"], folder / "imagesTs" / f"{names[-1]}.nii.gz")
    content: dict[str, Any] = {
        "name": "Phantom",
        "description": "Phantom in the layout of the Medical Segmentation Decathlon",
        "tensorImageSize": "3D",
        "modality": {"0": "MRI"},
        "labels": {"0": "background", "1": "anterior", "2": "posterior"},
        "numTraining": len(cases),
        "numTest": 1,
        "training": [
            {"image": f"./imagesTr/{name}.nii.gz", "label": f"./labelsTr/{name}.nii.gz"} for name in names[:-1]
        ],
        "test": [f"./imagesTs/{names[-1]}.nii.gz"],
    }
    write_json(folder / "dataset.json", content, indent=4)


def brats2018(folder: Path, cases: Cases, unlabeled: Images) -> None:
    """Write training cases, a quarter of them low-grade, and one case of the validation part, without its label."""
    training = folder / "MICCAI_BraTS_2018_Data_Training"
    for number, (images, label) in enumerate(cases):
        name = f"Brats18_PHANTOM_{number}_1"
        place = training / ("LGG" if number % 4 == 3 else "HGG") / name
        _case(place, name, images, label)
    name = "Brats18_PHANTOM_V_1"
    _case(folder / "MICCAI_BraTS_2018_Data_Validation" / name, name, unlabeled, None)


def malc(folder: Path, cases: Cases, unlabeled: Images) -> None:
    """Write the folders of the MICCAI 2012 multi-atlas challenge; a third of the cases is the test set."""
    held = len(cases) // 3
    parts = (("training", MALC_TRAINING, cases[held:]), ("testing", MALC_TEST, cases[:held]))
    for part, numbers, chosen in parts:
        for place, (images, label) in enumerate(chosen):
            name = f"{numbers[place % len(numbers)] + 1000 * (place // len(numbers))}_3"
            save(images["T1w"], folder / f"{part}-images" / f"{name}.nii.gz")
            save(label, folder / f"{part}-labels" / f"{name}_glm.nii.gz")


def hvsmr(folder: Path, cases: Cases, unlabeled: Images) -> None:
    """Write the training set of the axial crops of HVSMR 2016, and one image of its test set."""
    place = folder / "Axial-cropped"
    for number, (images, label) in enumerate(cases):
        name = f"training_axial_crop_pat{number}"
        save(images["MRI"], place / "Training dataset" / f"{name}.nii.gz")
        save(label, place / "Ground truth" / f"{name}-label.nii.gz")
    name = f"testing_axial_crop_pat{len(cases)}"
    save(unlabeled["MRI"], place / "Test dataset" / f"{name}.nii.gz")


def bids(folder: Path, cases: Cases, unlabeled: Images) -> None:
    """Write subjects with T1w and FLAIR, and a derivative with their tissues; the first subject has two sessions."""
    derivative = folder / "derivatives" / "tissues"
    sessions = [("01", "01"), ("01", "02"), *((f"{number:02}", "01") for number in range(2, len(cases)))]
    for (subject, session), (images, label) in zip(sessions, cases, strict=True):
        below = Path(f"sub-{subject}", f"ses-{session}", "anat")
        name = f"sub-{subject}_ses-{session}"
        for modality, image in images.items():
            save(image, folder / below / f"{name}_{modality}.nii.gz")
        save(label, derivative / below / f"{name}_desc-manual_dseg.nii.gz")
    table = "index\tname\tabbreviation\n1\tGray Matter\tGM\n2\tWhite Matter\tWM\n3\tCerebrospinal Fluid\tCSF\n"
    (derivative / "desc-manual_dseg.tsv").write_text(table, encoding="utf-8")
    for place, kind in ((folder, "raw"), (derivative, "derivative")):
        generated_by: dict[str, Any] = {} if kind == "raw" else {"GeneratedBy": [{"Name": "keyslice"}]}
        content = {"Name": "Phantom", "BIDSVersion": "1.9.0", "DatasetType": kind, **generated_by}
        write_json(place / "dataset_description.json", content, indent=4)


def folder_pairs(folder: Path, cases: Cases, unlabeled: Images) -> None:
    """Write images and labels of the same names in ``images`` and ``labels``."""
    for number, (images, label) in enumerate(cases):
        save(images["CT"], folder / "images" / f"phantom_{number:03}.nii.gz")
        save(label, folder / "labels" / f"phantom_{number:03}.nii.gz")


def split_folders(folder: Path, cases: Cases, unlabeled: Images) -> None:
    """Write ``train`` and ``test`` as in the original project, a third of the cases in ``test``.

    With several modalities a case has a folder (BraTS), otherwise ``images`` and ``masks`` (MALC, HVSMR).
    """
    held = len(cases) // 3
    for number, (images, label) in enumerate(cases):
        part = folder / ("test" if number < held else "train")
        if len(images) > 1:
            name = f"Brats18_PHANTOM_{number}_1"
            _case(part / name, name, images, label)
        else:
            (image,) = images.values()
            save(image, part / "images" / f"phantom_{number:03}.nii.gz")
            save(label, part / "masks" / f"phantom_{number:03}.nii.gz")


def save(image: nib.Nifti1Image, path: Path) -> None:
    """Write a NIfTI file; its folder is created if missing."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with atomic_write(path) as partial:
        nib.save(image, partial)


def _case(folder: Path, name: str, images: Images, label: nib.Nifti1Image | None) -> None:
    for ending, image in {**images, "seg": label}.items():
        if image is not None:
            save(image, folder / f"{name}_{ending}.nii.gz")
