"""Small phantoms of the volumetric datasets, in the layouts of their folders."""
