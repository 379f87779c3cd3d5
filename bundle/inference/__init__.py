"""Inference and evaluation case by case: sliding windows, plans, records, writing, resuming."""

from .autocast import AutocastInferer
from .background_writer import BackgroundWriter
from .case_dataset import CaseCacheDataset, CaseDataset, collate_cases
from .case_evaluator import CaseEvaluator
from .case_findings import CaseFindings
from .case_metrics import CaseMetrics
from .case_record import CaseRecord
from .clean_stop import CleanStop, Stopped
from .completed_cases import CompletedCases
from .feature_distance import FeatureDistanceInferer
from .found_regions import Region
from .given_predictions import GivenPredictions
from .job_progress import JobProgress
from .plan import PlannedInferer
from .plausibility import Plausibility
from .prefetch import PrefetchLoader
from .prepare_crop import PrepareCropd
from .region_finder import RegionFinder, load_finder
from .region_inferer import RegionInferer
from .require_crop import RequireCropd
from .result_errors import ImplausibleResultError, NotACropError, NothingFoundError
from .result_features import FeatureAssembler
from .save_in_background import SaveInBackgroundd
from .save_segmentation import SaveSegmentationd
from .slab import SlabInferer
from .summary import RunSummary
from .volumes_table import VolumesTable

__all__ = [
    "AutocastInferer",
    "BackgroundWriter",
    "CaseCacheDataset",
    "CaseDataset",
    "CaseEvaluator",
    "CaseFindings",
    "CaseMetrics",
    "CaseRecord",
    "CleanStop",
    "CompletedCases",
    "FeatureAssembler",
    "FeatureDistanceInferer",
    "GivenPredictions",
    "ImplausibleResultError",
    "JobProgress",
    "NotACropError",
    "NothingFoundError",
    "PlannedInferer",
    "Plausibility",
    "PrefetchLoader",
    "PrepareCropd",
    "Region",
    "RegionFinder",
    "RegionInferer",
    "RequireCropd",
    "RunSummary",
    "SaveInBackgroundd",
    "SaveSegmentationd",
    "SlabInferer",
    "Stopped",
    "VolumesTable",
    "collate_cases",
    "load_finder",
]
