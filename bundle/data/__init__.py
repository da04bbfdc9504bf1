"""Which images belong together, and how often each is seen: datasets for training, validation and inference."""

from .crops import CropDataset, CropSampler, crop_transforms
from .inputs import FAILURE, InputDataset
from .listing import fingerprint, labelled_images

__all__ = ["FAILURE", "CropDataset", "CropSampler", "InputDataset", "crop_transforms", "fingerprint", "labelled_images"]
