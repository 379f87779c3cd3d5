"""The MONAI Label app: the tasks of this bundle behind the server that 3D Slicer talks to.

Only :mod:`.command`, which ``python -m bundle label`` runs, is made for the usual environment; the rest runs in that of
the server, ``make label-server``.
"""
