"""Recipes: everything that decides what an embedder learns from a photo."""

from dataclasses import dataclass, replace
from typing import Literal

from training.runs.plan import Optimisation

LossName = Literal["multi_similarity", "triplet", "batch_hard", "contrastive", "supcon", "circle"]
SamplerName = Literal["classes", "triplets"]
Mirror = Literal["auto", "never"]


@dataclass(frozen=True, slots=True)
class Recipe:
    """What is learnt and from which batches.

    Attributes:
        name: "default" or "seed".
        loss: a name of `training.embedder.losses`.
        sampler: "classes" draws P classes and K photos of each, "triplets" anchor, positive and negative at random.
        classes: P.
        photos_each: K.
        augmentation: whether photos are varied; without it the network sees the crops that the service makes.
        mirror: "auto" adds mirrored photos as further classes where that is right, see `training.embedder.classes`.
        optimisation: of the weights.
    """

    name: str
    loss: LossName
    sampler: SamplerName
    classes: int
    photos_each: int
    augmentation: bool
    mirror: Mirror
    optimisation: Optimisation

    @property
    def batch_photos(self) -> int:
        """Photos in a batch; of triplets as many whole ones as fit."""
        photos = self.classes * self.photos_each
        return photos if self.sampler == "classes" else photos - photos % 3


DEFAULT = Recipe("default", "multi_similarity", "classes", 16, 4, True, "auto", Optimisation())
"""Multi-similarity loss and miner (Wang et al. 2019), P-K batches, augmentation, AdamW with a cosine schedule."""

SEED = replace(
    DEFAULT,
    name="seed",
    loss="triplet",
    sampler="triplets",
    augmentation=False,
    mirror="never",
    optimisation=Optimisation("adam", 1e-3, 0.0, "constant", 0.0),
)
"""The original system's: random triplets, margin 1, Adam at 1e-3, photos as they are."""

RECIPES = {recipe.name: recipe for recipe in (DEFAULT, SEED)}
