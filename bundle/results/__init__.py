"""Results in a folder: summary and tables from the JSONs of the cases, without PyTorch."""
