"""The validation split of a detector's photos: no individual is in both parts."""

from collections.abc import Mapping, Sequence
from pathlib import Path

from training.photos.records import BoxedPhoto, LabelledPhoto
from training.photos.splits import split_individuals

BoxedPhotos = tuple[BoxedPhoto, ...]


def split_boxed_photos(
    photos: Sequence[BoxedPhoto], share: float, seed: int, digests: Mapping[Path, str]
) -> tuple[BoxedPhotos, BoxedPhotos]:
    """Hold photos out for validation, with and without animals alike.

    Individuals that share a photo, and copies, stay together where that is possible; photos that show individuals of
    both parts are in neither. A photo in which nobody is named stands for itself.

    Args:
        photos: with individuals where the data has them.
        share: of the individuals, and of the empty photos, to hold out; above 0 and below 1.
        seed: of the choice.
        digests: sha256 of each photo's bytes.

    Returns:
        The photos to train on and those held out, each in the order of `photos`.

    Raises:
        TrainingDataError: there are not two photos with animals that share no individual.
    """
    with_animals = [photo for photo in photos if photo.boxes]
    empty = [photo for photo in photos if not photo.boxes]
    trained, held = _split(with_animals, share, seed, digests)
    if len({digests[photo.path] for photo in empty}) > 1:
        seas_trained, seas_held = _split(empty, share, seed, digests)
    else:
        seas_trained, seas_held = {photo.path for photo in empty}, set()
    training = tuple(photo for photo in photos if photo.path in trained | seas_trained)
    return training, tuple(photo for photo in photos if photo.path in held | seas_held)


def _split(
    photos: Sequence[BoxedPhoto], share: float, seed: int, digests: Mapping[Path, str]
) -> tuple[set[Path], set[Path]]:
    """Return the paths of one kind of photo to train on, and those to hold out."""
    named = [one for photo in photos for one in _individuals(photo, digests[photo.path])]
    training, held = split_individuals(named, share, seed, digests)
    return {photo.path for photo in training}, {photo.path for photo in held}


def _individuals(photo: BoxedPhoto, digest: str) -> list[LabelledPhoto]:
    """Return who is in a photo; its own content, where nobody is named."""
    names = {box.individual for box in photo.boxes if box.individual} or {f"photo {digest}"}
    return [LabelledPhoto(photo.path, name, "") for name in sorted(names)]
