"""What an exported model is called in its file, shared by the export and the runtime."""

from __future__ import annotations

METADATA = "keyslice"
"""Key of the JSON in the metadata of a graph."""

FINDER = "keyslice_finder"
"""Key of the graph that finds regions, base64, in the metadata of a graph; so that a model is one file."""

VOLUMES = "volumes"
MASKS = ("lesion_segmentation", "cell_segmentation")
CLASSES = "lesion_classification"
DISCS = "disc_labeling"
"""Names of the tasks."""
