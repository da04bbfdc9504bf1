"""Stands in for numpymaxflow, which MONAI Label's server imports for scribbles, which nothing here draws."""
