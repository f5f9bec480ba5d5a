"""What the camera does to the light: focus, motion, exposure, noise, tone, JPEG, date."""

from dataclasses import dataclass
from datetime import datetime
from functools import lru_cache

import cv2
import numpy as np
import numpy.typing as npt

Float32 = npt.NDArray[np.float32]
UInt8 = npt.NDArray[np.uint8]

LEVELS = 4096
WHITE = 3.0
NOISE_SIDE = 512
MID_GREY = 0.33


@dataclass(frozen=True, slots=True)
class Exposure:
    """One shot's settings.

    Attributes:
        gain: exposure relative to a well exposed photo.
        white_balance: factors on red, green, blue.
        contrast: strength of the tone curve's shoulders, 0.6..1.4.
        blur: standard deviation of the defocus, as a part of the picture's width.
        motion: (right, down) length of the motion blur, as parts of the picture's width.
        noise: sensor noise as a part of full scale at mid grey.
        quality: JPEG quality.
    """

    gain: float
    white_balance: tuple[float, float, float]
    contrast: float
    blur: float
    motion: tuple[float, float]
    noise: float
    quality: int


def draw_exposure(rng: np.random.Generator) -> Exposure:
    """Draw one shot's settings: most photos are sharp, some are not."""
    blur = float(rng.exponential(0.0011)) if rng.random() < 0.35 else 0.0
    length = float(rng.exponential(0.0035)) if rng.random() < 0.25 else 0.0
    angle = rng.uniform(0.0, np.pi)
    balance = np.exp(rng.normal(0.0, 0.03, 3))
    return Exposure(
        gain=float(np.exp(rng.normal(0.0, 0.22))),
        white_balance=(float(balance[0]), float(balance[1]), float(balance[2])),
        contrast=float(rng.uniform(0.75, 1.35)),
        blur=min(blur, 0.004),
        motion=(min(length, 0.012) * float(np.cos(angle)), min(length, 0.012) * float(np.sin(angle))),
        noise=float(np.exp(rng.normal(np.log(0.008), 0.55))),
        quality=int(rng.integers(62, 97)),
    )


def expose(picture: Float32, shot: Exposure, rng: np.random.Generator) -> UInt8:
    """Turn linear radiance into an 8-bit picture.

    Args:
        picture: (h, w, 3) float32 linear RGB; used up.
        shot: the settings.
        rng: for noise.

    Returns:
        (h, w, 3) uint8 RGB.
    """
    picture = _soften(picture, shot)
    small = cv2.resize(picture, (32, 24), interpolation=cv2.INTER_AREA)
    middle = float(np.exp(np.mean(np.log(np.maximum(small @ [0.25, 0.6, 0.15], 1e-4)))))
    scale = MID_GREY * shot.gain / middle * (LEVELS - 1) / WHITE
    picture *= np.float32(scale)
    index = np.minimum(picture, np.float32(LEVELS - 1)).astype(np.uint16)
    toned = np.take(_tone_curve(round(shot.contrast, 2)), index)
    # What a demosaicing camera does to edges one pixel wide; on bytes, where it costs least.
    soft = np.asarray(cv2.GaussianBlur(toned, (3, 3), 0.55), np.uint8)
    return _add_noise(soft, shot.noise, rng)


def _soften(picture: Float32, shot: Exposure) -> Float32:
    """Apply defocus and motion blur."""
    width = picture.shape[1]
    sigma = shot.blur * width
    if sigma > 0.3:
        picture = np.asarray(cv2.GaussianBlur(picture, (0, 0), sigma), np.float32)
    right, down = shot.motion[0] * width, shot.motion[1] * width
    if max(abs(right), abs(down)) < 0.8:
        return picture
    side = int(max(abs(right), abs(down))) // 2 * 2 + 3
    kernel = np.zeros((side, side), np.uint8)
    middle = side * 8 - 8
    start = (middle - round(right * 8), middle - round(down * 8))
    cv2.line(kernel, start, (middle + round(right * 8), middle + round(down * 8)), 255, 1, cv2.LINE_AA, 4)
    moved = cv2.filter2D(picture, -1, kernel.astype(np.float32) / np.float32(kernel.sum()))
    return np.asarray(moved, np.float32)


@lru_cache(maxsize=128)
def _tone_curve(contrast: float) -> UInt8:
    """Return the table from linear level to 8 bits: a film-like shoulder, gamma, and an S around the middle."""
    light = np.arange(LEVELS) / (LEVELS - 1) * WHITE
    shoulder = light * (1.0 + light / WHITE**2 * 1.2) / (1.0 + light * 0.62)
    grey = np.clip(shoulder / shoulder[-1] * 1.12, 0.0, 1.0) ** (1 / 2.2)
    curve = grey + (contrast - 0.55) * 0.55 * (grey - 0.47) * grey * (1.0 - grey) * 4.0
    return np.asarray(np.rint(np.clip(curve, 0.0, 1.0) * 255), np.uint8)


@lru_cache(maxsize=1)
def _noise_field() -> npt.NDArray[np.int8]:
    """Return one square of sensor noise, (n, n, 3) int8 with standard deviation 24; grain wider than a pixel."""
    rng = np.random.Generator(np.random.PCG64(20))
    raw = rng.standard_normal((NOISE_SIDE, NOISE_SIDE, 3), np.float32)
    chroma = raw.mean(axis=2, keepdims=True) * 1.2 + 0.55 * raw
    soft = cv2.GaussianBlur(chroma, (0, 0), 0.55, borderType=cv2.BORDER_REFLECT)
    return np.asarray(np.clip(soft / soft.std() * 24, -127, 127), np.int8)


def _add_noise(picture: UInt8, amount: float, rng: np.random.Generator) -> UInt8:
    """Add sensor noise of a standard deviation of `amount` of full scale."""
    height, width = picture.shape[:2]
    field = _noise_field()
    tall, wide = height // NOISE_SIDE + 2, width // NOISE_SIDE + 2
    row, column = (int(value) for value in rng.integers(0, NOISE_SIDE, 2))
    tiled = np.tile(field, (tall, wide, 1))[row : row + height, column : column + width]
    scaled = cv2.addWeighted(picture, 1.0, tiled, amount * 255 / 24, 0.0, dtype=cv2.CV_8U)
    return np.asarray(scaled, np.uint8)


def encode_jpeg(picture: UInt8, quality: int, taken: datetime) -> bytes:
    """Return an RGB picture as a JPEG file with the date in its EXIF block.

    Args:
        picture: (h, w, 3) uint8 RGB.
        quality: 1..100.
        taken: local time, to the second.
    """
    done, data = cv2.imencode(".jpg", cv2.cvtColor(picture, cv2.COLOR_RGB2BGR), [cv2.IMWRITE_JPEG_QUALITY, quality])
    if not done:
        raise RuntimeError("OpenCV could not encode a JPEG")
    jpeg = data.tobytes()
    return jpeg[:2] + _exif_segment(taken) + jpeg[2:]


def _exif_segment(taken: datetime) -> bytes:
    """Return an APP1 segment with DateTime, DateTimeOriginal and DateTimeDigitized (Exif 2.3, big-endian TIFF)."""
    stamp = taken.strftime("%Y:%m:%d %H:%M:%S").encode("ascii") + b"\0"
    first = 8
    exif = first + 2 + 2 * 12 + 4
    text = exif + 2 + 2 * 12 + 4

    def entry(tag: int, kind: int, count: int, value: int) -> bytes:
        return tag.to_bytes(2) + kind.to_bytes(2) + count.to_bytes(4) + value.to_bytes(4)

    directory = (2).to_bytes(2) + entry(0x0132, 2, 20, text) + entry(0x8769, 4, 1, exif) + bytes(4)
    inner = (2).to_bytes(2) + entry(0x9003, 2, 20, text) + entry(0x9004, 2, 20, text) + bytes(4)
    body = b"Exif\0\0" + b"MM\0*" + first.to_bytes(4) + directory + inner + stamp
    return b"\xff\xe1" + (len(body) + 2).to_bytes(2) + body
