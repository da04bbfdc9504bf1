"""Why a mask may be poor, and the way out: what is most unlike the masks that turned out well."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

__all__ = ["REASONS", "Reason"]

_ADAPT = "adapt to your images with one annotated slice (vessels adapt)"


@dataclass(frozen=True)
class Reason:
    """A reason.

    Args:
        words: what is said.
        signs: features that show it, and in which direction: 1 if they are large then, −1 if small.
        remedy: what to try, of an "image" and of a "stack"; the reason is none of a kind that is not named.
    """

    words: str
    signs: Mapping[str, int]
    remedy: Mapping[str, str]

    def strength(self, unusual: Mapping[str, float]) -> float:
        """How strongly it speaks.

        Args:
            unusual: each feature, in standard deviations of the masks that turned out well.
        """
        return max(sign * unusual[name] for name, sign in self.signs.items())


REASONS = (
    Reason(
        "its vessels are wider than those the weights know",
        {"depth": 1, "wide": 1},
        {"image": "try --scale auto or --scale 0.5", "stack": "try --scale auto or --scale 0.5"},
    ),
    Reason(
        "its vessels are thinner than those the weights know",
        {"depth": -1, "thin": 1},
        {"image": "try --scale 2", "stack": "try --scale 2"},
    ),
    Reason(
        "it is in many small pieces: noise or background may have been taken for vessels",
        {"pieces": 1},
        {"image": f"raise --high to 0.99, or {_ADAPT}", "stack": f"raise --high to 0.99, or {_ADAPT}"},
    ),
    Reason(
        "noise is as strong as the vessels",
        {"noise": 1},
        {"image": "average or bin the image, or try --scale 0.5", "stack": "try --mode fused, or --scale 0.5"},
    ),
    Reason(
        "the vessels hardly stand out from what is around them",
        {"contrast": -1, "contrast afar": -1, "blur": 1, "unevenness afar": 1},
        {
            "image": f"choose the channel of the stain, or {_ADAPT}; of a stack try --mode both",
            "stack": f"try --mode both or --contrast volume, or {_ADAPT}",
        },
    ),
    Reason(
        "the two cascades disagree, or are not sure of what they found",
        {"agreement": -1, "disagreement on vessels": 1, "doubt on vessels": 1, "steepness": -1, "expected overlap": -1},
        {"image": _ADAPT, "stack": f"try --mode both, or {_ADAPT}"},
    ),
    Reason(
        "vessels that are not in focus in their slice may have been drawn",
        {"in focus": -1, "sharp": -1},
        {"stack": "try --mode both, or --mode fused if one image is enough"},
    ),
    Reason(
        "much that is as bright as the vessels was left out, or they are not the brightest there",
        {"bright beside": 1, "bright found": -1, "bright overlap": -1},
        {
            "image": f"lower --low and --high, choose the channel of the stain, or {_ADAPT}",
            "stack": f"lower --low and --high, choose the channel of the stain, or {_ADAPT}",
        },
    ),
)
