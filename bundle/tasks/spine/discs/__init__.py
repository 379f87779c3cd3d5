"""Intervertebral discs as points: numbering, files, heat maps, skeleton search. NumPy and PyTorch only."""

from .disc_csv import read_disc_csv, write_disc_csv
from .disc_errors import DiscFileError, DiscPlacementError
from .disc_json import describe_discs, read_disc_json, write_disc_json
from .disc_label_map import draw_label_map, nearest_voxel, read_label_map, write_label_map, write_sidecar
from .disc_points import Disc, from_array, one_per_level, to_array
from .disc_pois import read_disc_pois, write_disc_pois
from .disc_reader import read_discs
from .discs_from_masks import disc_below, discs_from_disc_mask, discs_from_vertebra_masks
from .heatmaps import make_heatmaps
from .levels import LEVEL_NAMES, from_totalspineseg, level_name, level_number, to_totalspineseg
from .markups import read_markups, write_markups
from .peak_candidates import Candidates, find_candidates
from .skeleton import SkeletonFileError, SkeletonPrior
from .skeleton_search import SkeletonMatch, anchored_search, search_skeleton
from .snap import snap_candidates

__all__ = [
    "LEVEL_NAMES",
    "Candidates",
    "Disc",
    "DiscFileError",
    "DiscPlacementError",
    "SkeletonFileError",
    "SkeletonMatch",
    "SkeletonPrior",
    "anchored_search",
    "describe_discs",
    "disc_below",
    "discs_from_disc_mask",
    "discs_from_vertebra_masks",
    "draw_label_map",
    "find_candidates",
    "from_array",
    "from_totalspineseg",
    "level_name",
    "level_number",
    "make_heatmaps",
    "nearest_voxel",
    "one_per_level",
    "read_disc_csv",
    "read_disc_json",
    "read_disc_pois",
    "read_discs",
    "read_label_map",
    "read_markups",
    "search_skeleton",
    "snap_candidates",
    "to_array",
    "to_totalspineseg",
    "write_disc_csv",
    "write_disc_json",
    "write_disc_pois",
    "write_label_map",
    "write_markups",
    "write_sidecar",
]
