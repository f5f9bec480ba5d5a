"""Squashed photos changed as another day, camera and framing would have changed them, boxes along with them."""

from dataclasses import dataclass

import cv2
import numpy as np

from pipeline.records import Float32Array, UInt8Array
from training.segmenter.squashed import Animals

_LUMA = np.array([0.299, 0.587, 0.114], np.float32)  # ITU-R BT.601
_TRIES = 10
_NEW_ASPECT = 0.2


@dataclass(frozen=True, slots=True)
class PhotoAugmentation:
    """How far photos are changed; probabilities, and spreads around "unchanged".

    Attributes:
        flip: probability of a mirrored photo. A detector's answer does not depend on the side.
        zoom: probability of a random window of the photo, enlarged to the whole square.
        least_window: smallest side of that window, as a share of the square's.
        least_visible: share of each animal's box that the window keeps at least.
        brightness: added, as a share of white.
        contrast: factor around the mean, as an exponent of e.
        saturation: distance from grey, likewise.
        colour_cast: factor of each channel, likewise.
        blur: probability of a Gaussian blur.
        most_blur_px: its largest standard deviation.
        noise: probability of Gaussian noise.
        most_noise: its largest standard deviation, as a share of white.
    """

    flip: float = 0.5
    zoom: float = 0.6
    least_window: float = 0.6
    least_visible: float = 0.8
    brightness: float = 0.12
    contrast: float = 0.3
    saturation: float = 0.4
    colour_cast: float = 0.08
    blur: float = 0.25
    most_blur_px: float = 1.2
    noise: float = 0.25
    most_noise: float = 0.04


UNCHANGED = PhotoAugmentation(0.0, 0.0, 1.0, 1.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0)
"""No augmentation."""


@dataclass(frozen=True, slots=True)
class Window:
    """A part of a squashed photo that becomes the whole square.

    Attributes:
        left_px: of the window in the photo.
        top_px: likewise.
        width_px: of the window.
        height_px: likewise.
        mirrored: whether left and right change places.
    """

    left_px: float
    top_px: float
    width_px: float
    height_px: float
    mirrored: bool


def augment(
    picture: UInt8Array, animals: Animals, chance: np.random.Generator, strength: PhotoAugmentation
) -> tuple[UInt8Array, Animals]:
    """Change one photo at random.

    Args:
        picture: (s, s, 3) uint8 RGB.
        animals: in it.
        chance: decides everything.
        strength: how far.

    Returns:
        Another picture of the same shape, and the same animals where they are now.
    """
    window = choose_window(picture.shape[0], animals.boxes_px, chance, strength)
    boxes_px = move_boxes(animals.boxes_px, window, picture.shape[0])
    return change_colours(cut_window(picture, window), chance, strength), Animals(boxes_px, animals.classes)


def choose_window(
    side_px: int, boxes_px: Float32Array, chance: np.random.Generator, strength: PhotoAugmentation
) -> Window:
    """Choose a window that keeps every animal.

    Args:
        side_px: of the photo.
        boxes_px: (k, 4) float32 in it.
        chance: decides.
        strength: how far.

    Returns:
        A window that shows at least `strength.least_visible` of each box; the whole photo where none was found.
    """
    mirrored = bool(chance.random() < strength.flip)
    if chance.random() < strength.zoom:
        for _ in range(_TRIES):
            scale = chance.uniform(strength.least_window, 1.0)
            stretch = np.exp(chance.uniform(-_NEW_ASPECT, _NEW_ASPECT))
            width_px, height_px = np.clip([scale * stretch, scale / stretch], strength.least_window, 1.0) * side_px
            left_px, top_px = chance.random(2) * (side_px - width_px, side_px - height_px)
            window = Window(float(left_px), float(top_px), float(width_px), float(height_px), mirrored)
            if np.all(visible_shares(boxes_px, window) >= strength.least_visible):
                return window
    return Window(0.0, 0.0, float(side_px), float(side_px), mirrored)


def visible_shares(boxes_px: Float32Array, window: Window) -> Float32Array:
    """Return which share of each box's area a window shows.

    Args:
        boxes_px: (k, 4) float32, none of them empty.
        window: in the same photo.

    Returns:
        (k,) float32 in [0, 1].
    """
    low = np.array([window.left_px, window.top_px])
    high = low + np.array([window.width_px, window.height_px])
    shown = np.minimum(boxes_px[:, 2:], high) - np.maximum(boxes_px[:, :2], low)
    shares: Float32Array = np.prod(np.maximum(shown, 0.0), axis=1) / np.prod(boxes_px[:, 2:] - boxes_px[:, :2], axis=1)
    return shares


def move_boxes(boxes_px: Float32Array, window: Window, side_px: int) -> Float32Array:
    """Return where boxes are in the square that shows a window, cut off at its edges.

    Args:
        boxes_px: (k, 4) float32 in the photo.
        window: what is shown.
        side_px: of the square.

    Returns:
        (k, 4) float32.
    """
    scale = np.array([side_px / window.width_px, side_px / window.height_px] * 2)
    moved = (boxes_px - np.array([window.left_px, window.top_px] * 2)) * scale
    if window.mirrored:
        moved[:, [0, 2]] = side_px - moved[:, [2, 0]]
    cut: Float32Array = np.clip(moved, 0.0, side_px).astype(np.float32)
    return cut


def cut_window(picture: UInt8Array, window: Window) -> UInt8Array:
    """Enlarge a window to the whole square, bilinearly.

    Args:
        picture: (s, s, 3) uint8 RGB.
        window: what to show of it.

    Returns:
        (s, s, 3) uint8 RGB.
    """
    side_px = picture.shape[0]
    x_step, y_step = window.width_px / side_px, window.height_px / side_px
    x_start = window.left_px
    if window.mirrored:
        x_step, x_start = -x_step, window.left_px + window.width_px
    # OpenCV counts from the centre of the first pixel, boxes from its edge: hence the halves.
    to_photo = np.array(
        [[x_step, 0.0, x_start + 0.5 * x_step - 0.5], [0.0, y_step, window.top_px + 0.5 * y_step - 0.5]]
    )
    flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
    cut = cv2.warpAffine(picture, to_photo, (side_px, side_px), flags=flags, borderMode=cv2.BORDER_REPLICATE)
    return np.asarray(cut, np.uint8)


def change_colours(picture: UInt8Array, chance: np.random.Generator, strength: PhotoAugmentation) -> UInt8Array:
    """Change light, colours and sharpness at random; nothing moves.

    Args:
        picture: (s, s, 3) uint8 RGB.
        chance: decides.
        strength: how far.

    Returns:
        (s, s, 3) uint8 RGB.
    """
    changed = _change_light(picture.astype(np.float32), chance, strength)
    if chance.random() < strength.blur:
        sigma_px = chance.uniform(0.0, strength.most_blur_px)
        changed = np.asarray(cv2.GaussianBlur(changed, (0, 0), max(sigma_px, 0.1)), np.float32)
    if chance.random() < strength.noise:
        sigma = np.float32(255.0 * strength.most_noise * chance.random())
        changed += sigma * chance.standard_normal(changed.shape, np.float32)
    return np.clip(np.rint(changed), 0.0, 255.0).astype(np.uint8)


def _change_light(picture: Float32Array, chance: np.random.Generator, strength: PhotoAugmentation) -> Float32Array:
    """Change saturation, colour cast, contrast and brightness, in this order; float32 in [0, 255], unclipped."""
    grey: Float32Array = (picture @ _LUMA)[..., None]  # (s, s, 1)
    changed: Float32Array = grey + (picture - grey) * _factor(chance, strength.saturation)
    changed *= np.exp(chance.uniform(-1.0, 1.0, 3) * strength.colour_cast).astype(np.float32)
    mean, shift = float(changed.mean()), 255.0 * strength.brightness * float(chance.uniform(-1.0, 1.0))
    changed -= mean
    changed *= _factor(chance, strength.contrast)
    changed += mean + shift
    return changed


def _factor(chance: np.random.Generator, spread: float) -> np.float32:
    return np.float32(np.exp(chance.uniform(-spread, spread)))
