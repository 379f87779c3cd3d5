"""Class activation maps, gates and key slices."""

from .activation import ActivationMaps
from .class_activation import ClassMaps, SaveClassMapsd
from .gates import GateProfiles
from .save_activation import SaveActivationd
from .save_gates import SaveGatesd

__all__ = [
    "ActivationMaps",
    "ClassMaps",
    "GateProfiles",
    "SaveActivationd",
    "SaveClassMapsd",
    "SaveGatesd",
]
