"""Which images belong together, and how often each is seen: datasets for training, validation and inference."""

from .crops import CropDataset, CropSampler
from .inputs import FAILURE, InputDataset
from .listing import fingerprint, labelled_images

__all__ = ["FAILURE", "CropDataset", "CropSampler", "InputDataset", "fingerprint", "labelled_images"]
