"""Anatomies of the phantoms of volumetric datasets: ellipsoids of tissue, gray values per modality, and labels.

Coordinates are from -1 to 1 along every axis of the volume, to the right, to anterior and to superior. The phantoms are
strongly simplified, for tests of workflows; results on them do not transfer to patients.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

Point = tuple[float, float, float]


@dataclass(frozen=True)
class Ellipsoid:
    """An ellipsoid of one tissue, which covers previous ones.

    Attributes:
        tissue: name of the tissue.
        center: its center.
        radii: its radii.
        paired: whether there is a mirrored one on the other side.
    """

    tissue: str
    center: Point
    radii: Point
    paired: bool = False


@dataclass(frozen=True)
class Anatomy:
    """The anatomy of a phantom.

    Attributes:
        ellipsoids: from the outermost to the innermost.
        contrasts: gray value of every tissue by modality; ``""`` is the background of the ellipsoids, 0 by default.
        labels: value in the label map by tissue, or its values on the left and on the right; other tissues are 0.
        spacing: voxel size in mm.
        axes: directions of the axes of the files.
        air: whether there is noise around the ellipsoids.
    """

    ellipsoids: tuple[Ellipsoid, ...]
    contrasts: Mapping[str, Mapping[str, float]]
    labels: Mapping[str, int | tuple[int, int]]
    spacing: Point = (1.0, 1.0, 1.0)
    axes: str = "RAS"
    air: bool = True


_BRAIN = (
    Ellipsoid("cortex", (0, 0, 0), (0.86, 0.92, 0.86)),
    Ellipsoid("white matter", (0, 0, 0.04), (0.7, 0.78, 0.7)),
)

HIPPOCAMPUS = Anatomy(
    (
        Ellipsoid("brain", (0, 0, 0), (3, 3, 3)),
        Ellipsoid("fluid", (-0.1, -0.1, 0.5), (0.2, 0.6, 0.15)),
        Ellipsoid("posterior", (0, -0.3, 0), (0.3, 0.45, 0.28)),
        Ellipsoid("anterior", (0, 0.3, 0), (0.4, 0.32, 0.34)),
    ),
    {"MRI": {"brain": 110, "fluid": 30, "posterior": 160, "anterior": 200}},
    {"anterior": 1, "posterior": 2},
)

GLIOMA = Anatomy(
    (
        *_BRAIN,
        Ellipsoid("ventricle", (0.14, 0.05, 0.15), (0.1, 0.32, 0.14), paired=True),
        Ellipsoid("edema", (0.32, 0.25, 0.1), (0.4, 0.42, 0.4)),
        Ellipsoid("enhancing", (0.32, 0.25, 0.1), (0.27, 0.29, 0.27)),
        Ellipsoid("necrotic", (0.32, 0.25, 0.1), (0.15, 0.16, 0.15)),
    ),
    {
        "flair": {"cortex": 210, "white matter": 180, "ventricle": 60, "edema": 420, "enhancing": 330, "necrotic": 260},
        "t1": {"cortex": 260, "white matter": 340, "ventricle": 90, "edema": 220, "enhancing": 230, "necrotic": 140},
        "t1ce": {"cortex": 270, "white matter": 350, "ventricle": 95, "edema": 230, "enhancing": 620, "necrotic": 150},
        "t2": {"cortex": 280, "white matter": 200, "ventricle": 560, "edema": 430, "enhancing": 370, "necrotic": 500},
    },
    {"necrotic": 1, "edema": 2, "enhancing": 4},
    axes="LPS",
    air=False,
)

STRUCTURES = Anatomy(
    (
        *_BRAIN,
        Ellipsoid("cerebellum", (0.28, -0.55, -0.62), (0.3, 0.28, 0.24), paired=True),
        Ellipsoid("cerebellum white matter", (0.28, -0.55, -0.62), (0.18, 0.16, 0.13), paired=True),
        Ellipsoid("brain stem", (0, -0.2, -0.65), (0.14, 0.15, 0.34)),
        Ellipsoid("ventricle", (0.14, 0.08, 0.26), (0.1, 0.34, 0.14), paired=True),
        Ellipsoid("caudate", (0.3, 0.28, 0.16), (0.1, 0.2, 0.12), paired=True),
        Ellipsoid("putamen", (0.46, 0.1, 0), (0.12, 0.24, 0.16), paired=True),
        Ellipsoid("pallidum", (0.3, 0.06, -0.06), (0.1, 0.15, 0.11), paired=True),
        Ellipsoid("thalamus", (0.15, -0.2, 0), (0.13, 0.17, 0.14), paired=True),
        Ellipsoid("hippocampus", (0.38, -0.22, -0.32), (0.12, 0.26, 0.11), paired=True),
    ),
    {
        "T1w": {
            **{"": 8, "cortex": 105, "white matter": 165, "cerebellum": 95, "cerebellum white matter": 150},
            **{"brain stem": 140, "ventricle": 30, "caudate": 112, "putamen": 120, "pallidum": 145},
            **{"thalamus": 130, "hippocampus": 100},
        }
    },
    {
        **{"white matter": (45, 44), "cortex": (109, 108), "ventricle": (52, 51), "cerebellum": (39, 38)},
        **{"cerebellum white matter": (41, 40), "caudate": (37, 36), "putamen": (58, 57)},
        **{"pallidum": (56, 55), "thalamus": (60, 59), "hippocampus": (48, 47), "brain stem": 35},
    },
)
"""Values of the Neuromorphometrics protocol, left and right."""

HEART = Anatomy(
    (
        Ellipsoid("chest", (0, 0, 0), (1.1, 0.95, 1.4)),
        Ellipsoid("lung", (0.75, -0.1, 0), (0.3, 0.6, 0.9), paired=True),
        Ellipsoid("blood", (0.05, 0.1, 0.5), (0.15, 0.15, 0.45)),
        Ellipsoid("myocardium", (0, 0, -0.1), (0.52, 0.5, 0.55)),
        Ellipsoid("blood", (-0.18, 0.1, -0.1), (0.2, 0.26, 0.34)),
        Ellipsoid("blood", (0.24, -0.05, -0.1), (0.15, 0.24, 0.32)),
    ),
    {"MRI": {"": 10, "chest": 90, "lung": 20, "myocardium": 150, "blood": 320}},
    {"myocardium": 1, "blood": 2},
    spacing=(0.9, 0.9, 0.85),
)

TISSUES = Anatomy(
    (*_BRAIN, Ellipsoid("ventricle", (0.16, 0.05, 0.15), (0.12, 0.36, 0.18), paired=True)),
    {
        "T1w": {"": 5, "cortex": 105, "white matter": 165, "ventricle": 30},
        "FLAIR": {"": 5, "cortex": 140, "white matter": 110, "ventricle": 25},
    },
    {"cortex": 1, "white matter": 2, "ventricle": 3},
    spacing=(1.0, 1.0, 1.2),
)

ABDOMEN = Anatomy(
    (
        Ellipsoid("body", (0, 0, 0), (3, 3, 3)),
        Ellipsoid("liver", (0.4, 0.1, 0), (0.38, 0.45, 0.6)),
        Ellipsoid("spleen", (-0.5, -0.25, 0.1), (0.22, 0.3, 0.4)),
    ),
    {"CT": {"body": 40, "liver": 110, "spleen": 180}},
    {"liver": 1, "spleen": 2},
    spacing=(1.2, 1.2, 2.0),
)
