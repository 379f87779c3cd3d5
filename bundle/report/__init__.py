"""Pictures and reports of results, and what explains them."""

from .activation import ActivationMaps, SaveActivationd
from .curves import CurvePlots
from .disc_case import SaveDiscPictured
from .disc_pictures import save_disc_picture
from .gates import GateProfiles, SaveGatesd
from .overlay import save_overlay
from .preview import save_preview
from .training_gif import TrainingGif

__all__ = [
    "ActivationMaps",
    "CurvePlots",
    "GateProfiles",
    "SaveActivationd",
    "SaveDiscPictured",
    "SaveGatesd",
    "TrainingGif",
    "save_disc_picture",
    "save_overlay",
    "save_preview",
]
