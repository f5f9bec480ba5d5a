"""Models of random weights: they find boxes and rank individuals, and all of it is meaningless.

They stand in for trained models where only the machinery matters: a fresh clone's first start, tests, benchmarks.
"""

from training.random_models.make import Architecture, make_random_models

__all__ = ["Architecture", "make_random_models"]
