"""What gets round faults of MONAI Label, a module each, with the version it is for.

A test beside each one fails when MONAI Label no longer has the fault, so that the module can go.
"""
