"""Every tissue of a phantom has gray values and labels."""

from __future__ import annotations

import pytest

from bundle.data.malc import TABLES
from bundle.io.label_tables import expand
from bundle.phantoms.volumes import volume_anatomy as volume_phantom_anatomy
from bundle.phantoms.volumes.volume_anatomy import STRUCTURES, Anatomy

ANATOMIES = {name: value for name, value in vars(volume_phantom_anatomy).items() if isinstance(value, Anatomy)}


@pytest.mark.parametrize("name", ANATOMIES)
def test_every_tissue_has_a_gray_value_in_every_modality(name: str) -> None:
    anatomy = ANATOMIES[name]
    tissues = {ellipsoid.tissue for ellipsoid in anatomy.ellipsoids}
    assert set(anatomy.labels) <= tissues
    for values in anatomy.contrasts.values():
        assert set(values) - {""} == tissues
        labeled = [values[tissue] for tissue in anatomy.labels]
        assert len(set(labeled)) == len(labeled)


def test_values_of_brain_structures_are_those_of_the_table_of_malc() -> None:
    table = expand(TABLES["neuromorphometrics"])
    values = {
        value for label in STRUCTURES.labels.values() for value in (label if isinstance(label, tuple) else (label,))
    }
    assert all(values & set(wanted) for wanted in table.values())
