"""The MONAI Label app: the tasks of this bundle, served to 3D Slicer and REST clients.

Only :mod:`.start_command`, which ``python -m bundle label`` runs, works in the main environment. The other modules need
MONAI Label and run in the server's environment, ``.venv-label``.
"""
