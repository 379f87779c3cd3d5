"""Engines that configs name."""

from .case_evaluator import CaseEvaluator

__all__ = ["CaseEvaluator"]
