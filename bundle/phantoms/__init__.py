"""Simulated data with exact labels."""
