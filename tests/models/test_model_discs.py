"""The shipped weights of disc labeling on spines that are cut, turned and sampled in all ways."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
from helpers.phantoms import noise, rotation, write_nifti
from monai.bundle import create_workflow
from nibabel.affines import apply_affine

from bundle import ROOT
from bundle.phantoms.spine.spine_grid import reorient
from bundle.phantoms.spine.spine_phantom import draw_spine_phantom

WEIGHTS = Path(ROOT, "models", "disc_labeling", "model.pt")
SPINES = {"lumbar": 3, "cervical": 5}
"""Field of view and seed of the phantoms; drawn in cubes of 1 mm, from which all others are made."""

pytestmark = [
    pytest.mark.slow,
    pytest.mark.xdist_group("model"),
    pytest.mark.skipif(not WEIGHTS.is_file(), reason=f"the weights are not at {WEIGHTS}"),
]


@dataclass(frozen=True)
class Scan:
    """A volume and, of the spine that it was made of, the world mm of the volume from those of the spine."""

    voxels: np.ndarray
    affine: np.ndarray
    to_world: np.ndarray


def thick(scan: Scan, axis: int, count: int) -> Scan:
    """Average ``count`` voxels along an axis to one."""
    voxels = np.moveaxis(scan.voxels, axis, 0)
    voxels = voxels[: len(voxels) // count * count]
    voxels = voxels.reshape(-1, count, *voxels.shape[1:]).mean(1)
    steps, start = np.ones(4), np.zeros(4)
    steps[axis], start[axis] = count, (count - 1) / 2
    affine = scan.affine @ np.diag(steps)
    affine[:3, 3] = apply_affine(scan.affine, start[:3])
    return Scan(np.moveaxis(voxels, 0, axis), affine, scan.to_world)


def thin(scan: Scan) -> Scan:
    """Interpolate to sagittal slices of half the thickness."""
    voxels = np.repeat(scan.voxels, 2, axis=0)[:-1]
    voxels[1::2] = (scan.voxels[:-1] + scan.voxels[1:]) / 2
    return Scan(voxels, scan.affine @ np.diag([0.5, 1, 1, 1]), scan.to_world)


def cropped(scan: Scan, low: Sequence[float], high: Sequence[float]) -> Scan:
    """Cut out the voxels between two corners in voxels."""
    first = np.clip(np.round(low), 0, None).astype(int)
    last = np.clip(np.round(high), None, scan.voxels.shape).astype(int)
    affine = scan.affine.copy()
    affine[:3, 3] = apply_affine(affine, first)
    return Scan(scan.voxels[tuple(slice(a, b) for a, b in zip(first, last, strict=True))], affine, scan.to_world)


def turned(scan: Scan, codes: str) -> Scan:
    """Order the axes of the array anew; the voxels stay where they are in the world."""
    return Scan(*reorient(scan.voxels, scan.affine, codes), scan.to_world)


def moved(scan: Scan, motion: np.ndarray) -> Scan:
    """Put the volume elsewhere in the world."""
    return Scan(scan.voxels, motion @ scan.affine, motion @ scan.to_world)


def around(scan: Scan, point: np.ndarray, reach: float) -> Scan:
    """Cut the volume to what is nearer than ``reach`` mm to a point along S."""
    place = apply_affine(np.linalg.inv(scan.affine), point)[2]
    size = scan.voxels.shape
    return cropped(scan, [0, 0, place - reach], [size[0], size[1], place + reach])


def variants(scan: Scan, points: np.ndarray) -> dict[str, Scan]:
    """Return the volume in all ways that it may come in."""
    plain, size = thick(scan, 0, 4), scan.voxels.shape
    back = apply_affine(np.linalg.inv(scan.affine), points[:, 1:])[:, 1].min()
    return {
        "plain": plain,
        "upside down": turned(plain, "RAI"),
        "axes in another order": turned(plain, "SPL"),
        "oblique": moved(plain, rotation(12, 8, -9)),
        "far away": moved(plain, np.array([[1, 0, 0, 400], [0, 1, 0, -300], [0, 0, 1, 900], [0, 0, 0, 1.0]])),
        "mirrored": moved(plain, np.diag([-1.0, 1, 1, 1])),
        "slices of 0.5 mm": thin(scan),
        "slices of 1 mm": scan,
        "slices of 6 mm": thick(scan, 0, 6),
        "axial slices of 4 mm": thick(scan, 2, 4),
        "coronal slices of 3 mm": thick(scan, 1, 3),
        "the last disc": around(plain, points[-1, 1:], 15),
        "the back": cropped(plain, [0, 0, 0], [99, back - 25, size[2]]),
    }


@dataclass(frozen=True)
class Answers:
    """What was found: for a spine and a variant, the places of the discs by value, in the spine's own mm."""

    known: dict[str, dict[int, np.ndarray]]
    found: dict[tuple[str, str], dict[int, np.ndarray]]
    summary: dict


def shift(points: dict[int, np.ndarray], others: dict[int, np.ndarray]) -> np.ndarray:
    """Return the differences ``(n, 3)`` in mm of the levels that both have."""
    both = sorted(points.keys() & others.keys())
    return np.array([points[value] - others[value] for value in both]).reshape(-1, 3)


@pytest.fixture(scope="module")
def answers(tmp_path_factory: pytest.TempPathFactory) -> Answers:
    """Label all volumes in one run."""
    folder, known, back = tmp_path_factory.mktemp("scans"), {}, {}
    for name, seed in SPINES.items():
        phantom = draw_spine_phantom(
            seed=seed, field_of_view=name, shape=(64, 150, 230), spacing=(1, 1, 1), orientation="RAS", contrast="t2"
        )
        known[name] = {int(row[0]): row[1:] for row in phantom.points}
        scan = Scan(phantom.voxels * 1000, phantom.affine, np.eye(4))
        for kind, variant in variants(scan, phantom.points).items():
            path = folder / "in" / f"{name} {kind}.nii.gz"
            write_nifti(path, np.round(variant.voxels).astype(np.int16), variant.affine)
            back[name, kind] = np.linalg.inv(variant.to_world)
    write_nifti(folder / "in" / "noise.nii.gz", noise((16, 150, 200), dtype=np.int16), np.diag([4.0, 1, 1, 1]))
    write_nifti(folder / "in" / "nothing.nii.gz", np.full((16, 150, 200), 7, np.int16), np.diag([4.0, 1, 1, 1]))
    workflow = create_workflow(
        config_file=str(Path(ROOT, "configs", "disc_labeling", "inference.json")),
        workflow_type="infer",
        logging_file=False,
        input=str(folder / "in"),
        output_dir=str(folder / "out"),
        figure=False,
        device="cpu",
    )
    workflow.run()
    found = {}
    for path in (folder / "in").glob("*.nii.gz"):
        stem = path.name.removesuffix(".nii.gz")
        name, _, kind = stem.partition(" ")
        content = json.loads((folder / "out" / f"{stem}.json").read_text())
        motion = back.get((name, kind), np.eye(4))
        found[name, kind] = {d["value"]: apply_affine(motion, d["position"]) for d in content["discs"]}
        labels = nib.load(folder / "out" / f"{stem}_label-discs_dlabel.nii.gz")
        assert labels.shape == nib.load(path).shape
    return Answers(known, found, json.loads((folder / "out" / "summary.json").read_text()))


@pytest.mark.parametrize("spine", SPINES)
def test_every_disc_in_view_is_found_at_its_level(spine: str, answers: Answers) -> None:
    known, found = answers.known[spine], answers.found[spine, "plain"]
    assert found.keys() == known.keys()
    assert (np.linalg.norm(shift(found, known)[:, 1:], axis=1) < 5).all()


@pytest.mark.parametrize("spine", SPINES)
@pytest.mark.parametrize("kind", ["upside down", "axes in another order", "far away", "oblique"])
def test_the_order_of_the_axes_and_the_place_in_the_world_do_not_matter(
    spine: str, kind: str, answers: Answers
) -> None:
    plain, found = answers.found[spine, "plain"], answers.found[spine, kind]
    assert found.keys() == plain.keys()
    np.testing.assert_allclose(shift(found, plain), 0, atol=0.01)


@pytest.mark.parametrize("spine", SPINES)
@pytest.mark.parametrize(
    "kind",
    [
        "slices of 0.5 mm",
        "slices of 1 mm",
        "slices of 6 mm",
        "axial slices of 4 mm",
        "coronal slices of 3 mm",
    ],
)
def test_another_acquisition_of_the_same_spine_has_the_same_discs(spine: str, kind: str, answers: Answers) -> None:
    plain, found = answers.found[spine, "plain"], answers.found[spine, kind]
    assert found.keys() == plain.keys()
    assert (np.linalg.norm(shift(found, plain)[:, 1:], axis=1) < 4).all()


@pytest.mark.parametrize("spine", SPINES)
def test_a_mirrored_spine_has_the_mirrored_discs(spine: str, answers: Answers) -> None:
    plain, found = answers.found[spine, "plain"], answers.found[spine, "mirrored"]
    assert found.keys() == plain.keys()
    np.testing.assert_allclose(shift(found, plain)[:, 1:], 0, atol=2)
    np.testing.assert_allclose(shift(found, plain)[:, 0], 0, atol=5)


@pytest.mark.parametrize("spine", SPINES)
def test_a_single_disc_in_view_is_found(spine: str, answers: Answers) -> None:
    assert len(answers.found[spine, "the last disc"]) == 1


@pytest.mark.parametrize("spine", SPINES)
def test_a_single_disc_in_view_is_nowhere_else(spine: str, answers: Answers) -> None:
    known = answers.known[spine]
    found = answers.found[spine, "the last disc"]
    assert len(found) <= 1
    for place in found.values():
        assert np.linalg.norm((place - known[max(known)])[1:]) < 6


@pytest.mark.parametrize("case", [("noise", ""), ("nothing", ""), ("lumbar", "the back"), ("cervical", "the back")])
def test_volumes_without_a_disc_have_no_prediction(case: tuple[str, str], answers: Answers) -> None:
    assert answers.found[case] == {}


def test_no_volume_is_skipped(answers: Answers) -> None:
    assert answers.summary["failures"] == []
