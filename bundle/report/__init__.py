"""Pictures and reports of results, and what explains them."""

from .activation import ActivationMaps, SaveActivationd
from .gates import GateProfiles, SaveGatesd
from .overlay import save_overlay

__all__ = ["ActivationMaps", "GateProfiles", "SaveActivationd", "SaveGatesd", "save_overlay"]
