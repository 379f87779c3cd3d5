"""Inference over many cases on many machines, and the summary of the results in a folder."""
