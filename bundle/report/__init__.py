"""Pictures and reports of results, and what explains them."""

from .activation import ActivationMaps, SaveActivationd
from .class_activation import ClassMaps, SaveClassMapsd
from .class_tables import ClassTables
from .curves import CurvePlots, draw_curves
from .disc_case import SaveDiscPictured
from .disc_pictures import save_disc_picture
from .gates import GateProfiles, SaveGatesd
from .overlay import save_overlay
from .preview import save_preview
from .training_gif import TrainingGif

__all__ = [
    "ActivationMaps",
    "ClassMaps",
    "ClassTables",
    "CurvePlots",
    "GateProfiles",
    "SaveActivationd",
    "SaveClassMapsd",
    "SaveDiscPictured",
    "SaveGatesd",
    "TrainingGif",
    "draw_curves",
    "save_disc_picture",
    "save_overlay",
    "save_preview",
]
