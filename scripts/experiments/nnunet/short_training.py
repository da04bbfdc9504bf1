"""A training of nnU-Net that is as short as those of the tables; nnU-Net finds it by ``nnUNet_extTrainer``."""

from __future__ import annotations

import torch
from nnunetv2.training.nnUNetTrainer.nnUNetTrainer import nnUNetTrainer


class nnUNetTrainerShort(nnUNetTrainer):  # noqa: N801, a name that nnU-Net looks for
    """240 steps in twelve epochs, over which its learning rate falls to nothing as it does over a thousand."""

    # nnU-Net keeps the arguments under the names that stand here
    def __init__(self, plans: dict, configuration: str, fold: int, dataset_json: dict, device: torch.device) -> None:
        super().__init__(plans, configuration, fold, dataset_json, device)
        self.num_epochs = 12
        self.num_iterations_per_epoch = 20
        self.num_val_iterations_per_epoch = 1
