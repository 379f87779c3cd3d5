"""Random spines as sagittal MR volumes, and candidate points drawn from spines."""
