from __future__ import annotations

import json
import logging
import re
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from helpers.phantoms import write_nifti

from bundle.data import DatalistError, load_datalist
from bundle.data.datalist_file import write_datalist
from bundle.inference.bids_derivative import BidsDerivative, write_bids_derivative
from bundle.tasks.spine.discs import Disc, read_discs
from bundle.tasks.spine.discs.disc_label_map import write_label_map, write_sidecar
from bundle.tasks.spine.discs.levels import Numbering
from bundle.tasks.spine.spine_generic import prepare_spine_generic
from bundle.utils.write_json import write_json

NEW, OTHER, OLD = "_label-discs_dlabel", "_space-other_label-discs_dlabel", "_labels-disc-manual"


def add_scan(root: Path, subject: str, contrast: str = "T2w", labels: tuple[str, ...] = (OLD,)) -> None:
    folders = root / subject / "anat", root / "derivatives" / "labels" / subject / "anat"
    write_nifti(folders[0] / f"{subject}_{contrast}.nii.gz", np.zeros((4, 5, 20), np.uint8))
    folders[1].mkdir(parents=True, exist_ok=True)
    for label in labels:
        write_nifti(folders[1] / f"{subject}_{contrast}{label}.nii.gz", points(3, 4))


def points(*values: int) -> np.ndarray:
    """Return a label map with one voxel per value, from top to bottom."""
    label = np.zeros((4, 5, 20), np.uint8)
    for place, value in enumerate(values):
        label[2, 1, 18 - 5 * place] = value
    return label


def add_sites(root: Path, **sizes: int) -> None:
    for site, size in sizes.items():
        for number in range(1, size + 1):
            for contrast in ("T1w", "T2w"):
                add_scan(root, f"sub-{site}{number:02}", contrast)


def parts(content: dict[str, Any]) -> dict[str, set[Any]]:
    """Return the parts that the scans of every subject are in."""
    found: dict[str, set[Any]] = {}
    for case in content["training"] + content["test"]:
        found.setdefault(Path(case["image"]).parts[0], set()).add(case.get("fold", "test"))
    return found


@pytest.mark.parametrize(
    ("labels", "taken"), [((OLD,), OLD), ((OLD, NEW), NEW), ((OTHER,), OTHER), ((OLD, OTHER), OTHER)]
)
def test_labels_are_found_under_their_old_and_new_names(tmp_path: Path, labels: tuple[str, ...], taken: str) -> None:
    for number in range(2):
        add_scan(tmp_path, f"sub-amu{number:02}", labels=labels)
    content = prepare_spine_generic(tmp_path, test_share=0.0, folds=2)
    assert content["training"][0] == {
        "image": "sub-amu00/anat/sub-amu00_T2w.nii.gz",
        "label": f"derivatives/labels/sub-amu00/anat/sub-amu00_T2w{taken}.nii.gz",
        "patient": "sub-amu00",
        "subset": "T2w",
        "complete": False,
        "fold": content["training"][0]["fold"],
    }


def test_body_labels_are_not_disc_labels_and_missing_labels_are_logged(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    add_sites(tmp_path, amu=2)
    add_scan(tmp_path, "sub-amu03", labels=("_RPI_r_labels-manual",))
    add_scan(tmp_path, "sub-amu04", labels=())
    add_scan(tmp_path, "sub-amu05")
    image = tmp_path / "sub-amu05" / "anat" / "sub-amu05_T2w.nii.gz"
    image.unlink()
    image.symlink_to("../../.git/annex/objects/none")
    add_scan(tmp_path, "sub-amu06")
    (tmp_path / "sub-amu06" / "anat" / "sub-amu06_T2w.nii.gz").unlink()
    with caplog.at_level(logging.WARNING):
        content = prepare_spine_generic(tmp_path, contrasts=("T2w",), test_share=0.0, folds=2)
    assert sorted(parts(content)) == ["sub-amu01", "sub-amu02"]
    logged = "\n".join(record.message for record in caplog.records)
    assert "sub-amu03_T2w: skipped, since it has no disc labels, only those of vertebral bodies." in logged
    assert "sub-amu04_T2w: skipped, since it has no disc labels." in logged
    assert "sub-amu05_T2w.nii.gz is a broken link; fetch it (git annex get)." in logged
    assert "sub-amu06_T2w.nii.gz does not exist." in logged


def test_a_label_that_was_not_fetched_is_logged(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    add_sites(tmp_path, amu=2)
    label = tmp_path / "derivatives/labels/sub-amu01/anat/sub-amu01_T1w_labels-disc-manual.nii.gz"
    label.unlink()
    label.symlink_to("nothing")
    content = prepare_spine_generic(tmp_path, test_share=0.0, folds=2)
    assert len(content["training"]) == 3
    assert "is a broken link" in caplog.text


@pytest.mark.parametrize("split_by", ["subject", "site"])
def test_no_subject_is_in_two_parts_and_all_parts_have_their_share(tmp_path: Path, split_by: str) -> None:
    add_sites(tmp_path, amu=5, brnoUhb=5, tokyo750w=4, ucl=6)
    content = prepare_spine_generic(tmp_path, split_by=split_by, test_share=0.25, folds=3, seed=1)
    found = parts(content)
    assert len(found) == 20
    assert all(len(part) == 1 for part in found.values())
    sizes = Counter(next(iter(part)) for part in found.values())
    if split_by == "subject":
        assert sizes == {"test": 5, 0: 5, 1: 5, 2: 5}
    else:
        sites = {(name[4:-2], next(iter(part))) for name, part in found.items()}
        assert len(sites) == 4
        assert set(sizes) == {"test", 0, 1, 2}


def test_the_split_depends_on_the_seed_alone(tmp_path: Path) -> None:
    add_sites(tmp_path, amu=8)
    first = prepare_spine_generic(tmp_path, folds=2, seed=3)
    assert prepare_spine_generic(tmp_path, folds=2, seed=3) == first
    assert parts(prepare_spine_generic(tmp_path, folds=2, seed=4)) != parts(first)


def test_the_datalist_can_be_trained_with(tmp_path: Path) -> None:
    add_sites(tmp_path, amu=6)
    write_datalist(prepare_spine_generic(tmp_path, folds=2), tmp_path / "dataset.json")
    lists = load_datalist(tmp_path)
    assert len(lists["training"]) + len(lists["test"]) == 12
    assert all(Path(case["image"]).is_file() and Path(case["label"]).is_file() for case in lists["training"])
    assert {case["subset"] for case in lists["test"]} == {"T1w", "T2w"}
    assert json.loads((tmp_path / "dataset.json").read_text())["seed"] == 0


def test_unusable_folders_and_numbers_are_refused(tmp_path: Path) -> None:
    with pytest.raises(DatalistError, match="is not a folder"):
        prepare_spine_generic(tmp_path / "none")
    with pytest.raises(DatalistError, match=r"no scan T1w or T2w with disc labels.*git annex get"):
        prepare_spine_generic(tmp_path)
    add_sites(tmp_path, amu=3)
    with pytest.raises(DatalistError, match="too few sites for 2 folds"):
        prepare_spine_generic(tmp_path, split_by="site", folds=2)
    for options in ({"split_by": "scanner"}, {"test_share": 1.0}, {"folds": 1}):
        with pytest.raises(DatalistError, match="split_by must be one of subject, site"):
            prepare_spine_generic(tmp_path, **options)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("broken", "error", "message"),
    [
        ("image cut off", "UnreadableFileError", r"sub-amu03_T2w\.nii\.gz: cannot be read as NIfTI"),
        ("label cut off", "DiscFileError", r"sub-amu03_T2w_labels-disc-manual\.nii\.gz: "),
        ("label without discs", "DiscFileError", r"manual\.nii\.gz: holds no disc; label the discs"),
        (
            "label elsewhere",
            "GridMismatchError",
            r"manual\.nii\.gz: C2-C3, C3-C4 lie outside of the image .*T2w\.nii\.gz",
        ),
        ("image in two places", "ConflictingGeometryError", r"sub-amu03_T2w\.nii\.gz: has an sform and a qform"),
    ],
)
def test_a_scan_that_cannot_be_used_is_skipped_by_name(tmp_path: Path, broken: str, error: str, message: str) -> None:
    add_sites(tmp_path, amu=2)
    add_scan(tmp_path, "sub-amu03")
    image = tmp_path / "sub-amu03/anat/sub-amu03_T2w.nii.gz"
    label = tmp_path / "derivatives/labels/sub-amu03/anat/sub-amu03_T2w_labels-disc-manual.nii.gz"
    moved = np.array([[1, 0, 0, 0], [0, 1, 0, 0], [0, 0, 1, 120], [0, 0, 0, 1]])
    if broken.endswith("cut off"):
        file = image if broken.startswith("image") else label
        file.write_bytes(file.read_bytes()[:40])
    elif broken == "image in two places":
        write_nifti(image, points(), qform=moved)
    else:
        write_nifti(label, points() if broken == "label without discs" else points(3, 4), moved)
    content = prepare_spine_generic(tmp_path, test_share=0.0, folds=2)
    assert sorted(parts(content)) == ["sub-amu01", "sub-amu02"]
    (skipped,) = content["skipped"]
    assert (skipped["case"], skipped["error"]) == ("sub-amu03_T2w", error)
    assert re.search(message, skipped["message"])


def test_without_a_scan_that_can_be_used_there_is_no_datalist(tmp_path: Path) -> None:
    add_scan(tmp_path, "sub-amu01")
    (tmp_path / "sub-amu01/anat/sub-amu01_T2w.nii.gz").write_bytes(b"/annex/objects/MD5E-s1.nii.gz")
    with pytest.raises(
        DatalistError, match=r"no scan can be used; the first: .*sub-amu01_T2w\.nii\.gz: cannot be read"
    ):
        prepare_spine_generic(tmp_path, test_share=0.0, folds=2)


def test_a_label_may_have_another_grid_than_its_image(tmp_path: Path) -> None:
    add_sites(tmp_path, amu=2)
    label = tmp_path / "derivatives/labels/sub-amu01/anat/sub-amu01_T1w_labels-disc-manual.nii.gz"
    write_nifti(label, points(3, 4)[:, :, :19], np.diag([0.8, 0.8, 0.8, 1]))
    assert "skipped" not in prepare_spine_generic(tmp_path, test_share=0.0, folds=2)


def test_sessions_of_a_subject_are_listed_and_stay_together(tmp_path: Path) -> None:
    for subject, session in (("sub-a01", "ses-1"), ("sub-a01", "ses-2"), ("sub-a02", "ses-1")):
        for root, name in ((tmp_path, "T2w"), (tmp_path / "derivatives" / "labels", "T2w_label-discs_dlabel")):
            scan = np.zeros((4, 5, 20), np.uint8) if name == "T2w" else points(3, 4)
            write_nifti(root / subject / session / "anat" / f"{subject}_{session}_{name}.nii.gz", scan)
    content = prepare_spine_generic(tmp_path, test_share=0.0, folds=2)
    places = {case["image"]: case["fold"] for case in content["training"]}
    assert sorted(places) == [
        "sub-a01/ses-1/anat/sub-a01_ses-1_T2w.nii.gz",
        "sub-a01/ses-2/anat/sub-a01_ses-2_T2w.nii.gz",
        "sub-a02/ses-1/anat/sub-a02_ses-1_T2w.nii.gz",
    ]
    assert len(set(list(places.values())[:2])) == 1


@pytest.mark.parametrize("numbering", ["sct", "verse"])
def test_results_that_were_written_to_a_derivative_are_read_back(tmp_path: Path, numbering: Numbering) -> None:
    """Label maps of a run are copied to the dataset of its images, and listed as its labels with the same discs."""
    discs = [Disc(21, (2.0, 1.0, 15.0)), Disc(22, (1.0, 2.0, 4.0))]
    run, places = tmp_path / "run", ("sub-a01/anat/sub-a01_T2w", "sub-a02/ses-1/anat/sub-a02_ses-1_T1w")
    run.mkdir()
    for place in places:
        image, name = tmp_path / f"{place}.nii.gz", Path(place).name
        write_nifti(image, np.zeros((4, 5, 20), np.uint8))
        target = run / f"{name}{NEW}.nii.gz"
        write_label_map(discs, target, image, numbering=numbering)
        files = {target.name: "", write_sidecar(target, numbering=numbering).name: ""}
        write_json(run / f"{name}.json", {"case": name, "input": str(image), "files": files})
    assert write_bids_derivative(run, tmp_path / "derivatives" / "keyslice") == BidsDerivative(2)
    content = prepare_spine_generic(tmp_path, derivative="keyslice", test_share=0.0, folds=2)
    assert {case["image"] for case in content["training"]} == {f"{place}.nii.gz" for place in places}
    for case in content["training"]:
        assert read_discs(tmp_path / case["label"]) == discs
