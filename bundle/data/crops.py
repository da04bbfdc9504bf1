"""Random crops whose randomness is a function of their number, so that a resumed run draws what it would have drawn."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

import numpy as np
from monai.data import CacheDataset
from monai.transforms import Compose, RandomizableTrait
from torch.utils.data import Dataset, DistributedSampler

__all__ = ["CropDataset", "CropSampler", "crop_transforms"]


def crop_transforms(
    reading: Sequence[Callable],
    targets: Sequence[Callable],
    optics: Sequence[Callable],
    augmentation: Sequence[Callable],
    enhance_crops: bool = False,
) -> Compose:
    """From a file to an augmented crop, for :class:`CropDataset`.

    Args:
        reading: from the file to the network's input, as for validation; the last of them enhances the contrast.
        targets: what the network learns, made of the whole mask.
        optics: cut a crop, and change its sharpness.
        augmentation: what else is random.
        enhance_crops: enhance the contrast of each crop behind its optics, since a blurred crop must look as a blurred
            image does after its contrast was enhanced; else once, of each image.
    """
    *opening, contrast = reading
    if enhance_crops:
        return Compose([*opening, *targets, *optics, contrast, *augmentation])
    return Compose([*opening, contrast, *targets, *optics, *augmentation])


class CropDataset(CacheDataset):
    """An endless sequence of augmented crops, of which an epoch takes ``crops_per_image`` of each image.

    Crop number ``k`` shows image ``k % number of images``, changed by random transforms whose seed is ``(seed, k)``:
    neither the order in which crops are asked for, nor the process that makes them, nor a restart changes one. What
    comes before the first random transform is done once and kept in memory.

    Args:
        data: an entry for each image.
        transform: deterministic transforms, then random ones.
        crops_per_image: crops of each image in an epoch.
        seed: of the random transforms.
        progress: whether reading shows its progress.
    """

    def __init__(
        self,
        data: Sequence[dict],
        transform: Callable,
        crops_per_image: int = 1,
        seed: int = 0,
        progress: bool = True,
    ) -> None:
        self.crops_per_image = crops_per_image
        self.seed = seed
        super().__init__(data, transform, progress=progress)

    def __len__(self) -> int:
        return len(self.data) * self.crops_per_image

    def unaugmented(self) -> Sequence[dict]:
        """Every image without what is random, whole."""
        steps = self.transform.transforms
        cached = self.transform.get_index_of_first(_is_random)
        certain = Compose([] if cached is None else [step for step in steps[cached:] if not _is_random(step)])
        return [certain(dict(item)) for item in self._cache]

    def __getitem__(self, number: int) -> dict:
        seed = np.random.SeedSequence([self.seed, number]).generate_state(1)[0]
        self.transform.set_random_state(seed=int(seed))
        return super().__getitem__(number % len(self.data))


class CropSampler(DistributedSampler):
    """The numbers of an epoch's crops, shuffled, and shared out among processes.

    Epoch ``e`` takes the numbers from ``e · n`` to ``(e + 1) · n``, where ``n`` is the dataset's length. MONAI's
    engines tell a ``DistributedSampler`` the epoch.

    Args:
        dataset: a :class:`CropDataset`.
        num_replicas: number of processes.
        rank: which of them this is.
        seed: of the shuffling.
    """

    def __init__(self, dataset: Dataset, num_replicas: int = 1, rank: int = 0, seed: int = 0) -> None:
        super().__init__(dataset, num_replicas, rank, shuffle=True, seed=seed)

    def __iter__(self) -> Iterator[int]:
        return (self.epoch * len(self.dataset) + number for number in super().__iter__())


def _is_random(step: Callable) -> bool:
    return isinstance(step, RandomizableTrait)
