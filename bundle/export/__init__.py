"""Bundles of single tasks, model cards, and the table of networks."""
