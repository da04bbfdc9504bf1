"""Images within animals by a mixed model: a second opinion beside the animals' means."""

from __future__ import annotations

import math
import warnings
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from ..errors import InputError

__all__ = ["Mixed", "mixed_model"]


class Mixed(NamedTuple):
    """What the model says of a difference between two groups.

    Args:
        difference: of the second group against the first; NaN where the model has no answer.
        low: lower end of its interval.
        high: upper end.
        p: of Wald's test, which takes few animals for many: below some ten a group it is too small.
        remark: why there is no answer, or what to doubt in it; none if nothing.
    """

    difference: float
    low: float
    high: float
    p: float
    remark: str = ""


def mixed_model(values: np.ndarray, second: np.ndarray, animals: Sequence[str], confidence: float = 0.95) -> Mixed:
    """Fit value = group + animal + image by restricted maximum likelihood, the animal being the random effect.

    Args:
        values: one per image, ``[N]``, finite.
        second: whether the image is of the second group, bool ``[N]``.
        animals: of each image, ``[N]``.
        confidence: of the interval.

    Raises:
        InputError: statsmodels is not installed.

    Source: Laird and Ware, Random-effects models for longitudinal data, Biometrics 1982,
    https://doi.org/10.2307/2529876
    """
    try:
        from statsmodels.regression.mixed_linear_model import MixedLM
        from statsmodels.tools.sm_exceptions import ConvergenceWarning
    except ImportError as error:
        remedy = "pip install -c constraints.txt -e '.[stats]' in the folder that was cloned"
        raise InputError(None, "a mixed model needs the package statsmodels", remedy) from error
    none = math.nan
    if len(set(animals)) == len(animals):
        remark = "one image of each animal: images within animals cannot be told apart"
        return Mixed(none, none, none, none, remark)
    scale = float(np.std(values)) or 1.0  # of a unit in which the optimiser's steps are neither large nor small
    design = np.column_stack([np.ones(len(values)), np.asarray(second, float)])
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        try:
            fit = MixedLM(np.asarray(values) / scale, design, groups=np.asarray(animals)).fit(reml=True)
        except np.linalg.LinAlgError:
            return Mixed(none, none, none, none, "the mixed model has no solution")
    low, high = fit.conf_int(1 - confidence)[1]
    doubtful = not fit.converged or any(issubclass(one.category, ConvergenceWarning) for one in caught)
    remark = "the mixed model is at its border: animals differ no more than their images" if doubtful else ""
    difference = float(fit.params[1]) * scale
    return Mixed(difference, float(low) * scale, float(high) * scale, float(fit.pvalues[1]), remark)
