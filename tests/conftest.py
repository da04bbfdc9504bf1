"""What several files of tests share."""

from __future__ import annotations

import logging
import signal
from collections.abc import Callable, Sequence

import pytest
import torch
from torch import nn

from bundle.networks import CascadeEnsemble

# a shell that runs the tests in the background has them ignore Ctrl-C, and the programs that they start inherit that
signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture(autouse=True)
def _logging():
    """A command takes the package's log to the terminal; other tests want to catch it."""
    logger = logging.getLogger("bundle")
    before = (logger.handlers, logger.level, logger.propagate)
    yield
    logger.handlers, logger.level, logger.propagate = before


@pytest.fixture(scope="module")
def one_thread():
    """Sums of floats depend on the number of threads, and two on so little wait for each other on a busy machine."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.fixture(scope="session")
def random_ensemble() -> Callable[[Sequence[int], int], CascadeEnsemble]:
    """Makes an ensemble of random weights, its norms fitted to noise, so that probabilities differ visibly.

    With batch normalisation: random weights that normalise every image raise the rounding of noise to visible steps.
    """

    def make(channels: Sequence[int], seed: int) -> CascadeEnsemble:
        torch.manual_seed(seed)
        network = CascadeEnsemble(channels=channels, dbac_scale=1.0, shuffle=2)
        for module in network.modules():
            if isinstance(module, nn.BatchNorm2d):
                module.momentum = None  # the plain mean of what was seen
        with torch.no_grad():
            network.train()(torch.rand(4, 1, 64, 64))
        return network.eval()

    return make
