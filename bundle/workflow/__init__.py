"""Start of a workflow: the options that it was given, and the model folder that it uses."""

from .start_workflow import StartWorkflow

__all__ = ["StartWorkflow"]
