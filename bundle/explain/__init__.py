"""Class activation maps, gates and key slices."""

from .activation import ActivationMaps, SaveActivationd
from .class_activation import ClassMaps, SaveClassMapsd
from .gates import GateProfiles, SaveGatesd

__all__ = [
    "ActivationMaps",
    "ClassMaps",
    "GateProfiles",
    "SaveActivationd",
    "SaveClassMapsd",
    "SaveGatesd",
]
