"""The parsers name the same choices as the packages, which they do not import."""

from __future__ import annotations

from typing import Any

import pytest

from bundle.attention import squeeze
from bundle.check import dataset_check
from bundle.cli import (
    check_command,
    convert_command,
    crossval_command,
    label_command,
    main,
    prepare_images,
    prepare_phantoms,
    prepare_spine,
    prepare_volumes,
)
from bundle.data import brats2018, hvsmr, isic, malc, segpc
from bundle.experiments.crossval import crossval_plan
from bundle.legacy import original_checkpoints
from bundle.phantoms.volumes import volume_phantoms
from bundle.server import label_tasks
from bundle.tasks.spine import corrected_points, mask_numbering, spine_generic


@pytest.mark.parametrize(
    ("shown", "known"),
    [
        (check_command.SPACING_RANGE, dataset_check.SPACING_RANGE),
        (convert_command.MODELS, original_checkpoints.MODELS),
        (convert_command.POOLINGS, squeeze.POOLINGS),
        (label_command.MODELS, [task.name for task in label_tasks.TASKS]),
        (prepare_images.SPLITS, isic.SPLITS),
        (prepare_images.TASKS, isic.TASKS),
        (prepare_images.TARGETS, segpc.LEVELS),
        (prepare_phantoms.LAYOUTS, volume_phantoms.LAYOUTS),
        (prepare_phantoms.PHANTOMS, volume_phantoms.PHANTOMS),
        (prepare_spine.POINTS_FORMATS, tuple(corrected_points.FORMATS)),
        (prepare_spine.NUMBERINGS, mask_numbering.MASK_NUMBERINGS),
        (prepare_spine.SPLITS_BY, spine_generic.SPLITS_BY),
        (prepare_volumes.MODALITIES, brats2018.MODALITIES),
        (prepare_volumes.TABLES, malc.TABLES),
        (prepare_volumes.VIEWS, hvsmr.VIEWS),
    ],
)
def test_choices_are_those_of_the_package(shown: Any, known: Any) -> None:
    assert list(shown) == list(known)


def test_the_default_config_of_a_cross_validation_is_that_of_the_package() -> None:
    parser = main.argparse.ArgumentParser()
    crossval_command.add_arguments(parser)
    assert parser.get_default("config_file") == str(crossval_plan.TRAIN)
