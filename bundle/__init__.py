"""Segmentation of blood vessels in confocal stacks and fluorescence images by an ensemble of two cascades.

The method is that of Wang et al., *Ensemble of Deep Learning Cascades for Segmentation of Blood Vessels in Confocal
Microscopy Images*. The rooms, from the ground up: ``io`` reads and writes microscope files, ``phantoms`` makes
synthetic ones, ``transforms`` changes arrays, ``networks`` and ``losses`` hold the cascades, ``metrics`` scores masks,
``engines`` trains and infers, ``commands`` is what ``python -m bundle`` runs. A room knows those before it, and none
after it.
"""

__version__ = "0.1.0"
