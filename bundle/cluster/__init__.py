"""Dask clusters: connection to a scheduler, and tasks whose worker may die."""
