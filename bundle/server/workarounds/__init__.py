"""Workarounds for faults of MONAI Label, one per module, with the version that has the fault.

A test of each module fails when MONAI Label no longer has the fault; the module can then be deleted.
"""
