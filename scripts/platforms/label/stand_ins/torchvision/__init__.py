"""Stands in for torchvision, of which MONAI Label's server imports two functions that nothing here calls."""
