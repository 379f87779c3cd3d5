"""Pictures and reports of results, and what explains them."""

from .activation import ActivationMaps, SaveActivationd
from .disc_case import SaveDiscPictured
from .disc_pictures import save_disc_picture
from .gates import GateProfiles, SaveGatesd
from .overlay import save_overlay
from .training_gif import TrainingGif

__all__ = [
    "ActivationMaps",
    "GateProfiles",
    "SaveActivationd",
    "SaveDiscPictured",
    "SaveGatesd",
    "TrainingGif",
    "save_disc_picture",
    "save_overlay",
]
