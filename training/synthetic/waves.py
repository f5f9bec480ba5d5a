"""Wind waves as periodic tiles of height and slope, drawn by FFT from an ocean spectrum."""

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import numpy.typing as npt

Float32 = npt.NDArray[np.float32]
Floats = npt.NDArray[np.floating]

GRAVITY = 9.81
TILE_TEXELS = 256
TILE_SIZES_M = (97.0, 7.1, 0.83)
WIND_CLASSES_MPS = (1.5, 2.8, 4.2, 6.0, 8.0)
DIRECTIONS = 6

BANDS_PER_M = (2.0 * np.pi / 97.0, 4.4, 75.0, 700.0)
"""Wave numbers (rad/m) at which one scale hands over to the next; each scale holds five waves a tile or more."""


@dataclass(frozen=True, slots=True)
class WaveTile:
    """One periodic square of sea; axis 0 is depth (away from the camera), axis 1 is to the right.

    Attributes:
        size_m: edge length.
        heights: (n + 1, n) float32: running sum along depth of the height in metres, for box filters of any length.
        slopes: (n + 1, n, 2) float32: the same of the slopes to the right and away from the camera.
        slope_variance: mean square of both slopes.
        crest_m: greatest height.
    """

    size_m: float
    heights: Float32
    slopes: Float32
    slope_variance: float
    crest_m: float

    @property
    def texel_m(self) -> float:
        """Edge length of one texel."""
        return self.size_m / TILE_TEXELS


@lru_cache(maxsize=96)
def wave_tile(scale: int, wind_class: int, direction: int) -> WaveTile:
    """Return the tile of one scale (index of TILE_SIZES_M), wind class and wave direction (sixths of a half turn).

    The scales split the spectrum between them: each carries only the waves that the coarser one cannot hold.
    """
    size_m = TILE_SIZES_M[scale]
    rng = np.random.Generator(np.random.PCG64(np.random.SeedSequence((7, scale, wind_class, direction))))
    wave_y, wave_x = _wave_numbers(size_m)
    amplitude = _amplitudes(scale, WIND_CLASSES_MPS[wind_class], np.pi * direction / DIRECTIONS, wave_x, wave_y)
    phase = np.exp(2j * np.pi * rng.random(amplitude.shape))
    spectrum = amplitude * phase * np.sqrt(-np.log(1.0 - rng.random(amplitude.shape)))
    layers = [spectrum, 1j * wave_x * spectrum, 1j * wave_y * spectrum]
    shape = (TILE_TEXELS, TILE_TEXELS)
    fields = np.stack([np.fft.irfft2(layer, shape) for layer in layers], axis=-1) * TILE_TEXELS**2
    running = np.concatenate([np.zeros((1, *fields.shape[1:])), np.cumsum(fields, axis=0)]).astype(np.float32)
    variance = float(np.mean(fields[..., 1] ** 2 + fields[..., 2] ** 2))
    heights, slopes = np.ascontiguousarray(running[..., 0]), np.ascontiguousarray(running[..., 1:])
    return WaveTile(size_m, heights, slopes, variance, float(fields[..., 0].max()))


def _wave_numbers(size_m: float) -> tuple[Floats, Floats]:
    """Return wave numbers in rad/m: (n, 1) along depth and (1, n/2 + 1) to the right."""
    step = 2.0 * np.pi / size_m
    wave_y = np.fft.fftfreq(TILE_TEXELS, 1.0 / TILE_TEXELS) * step
    wave_x = np.fft.rfftfreq(TILE_TEXELS, 1.0 / TILE_TEXELS) * step
    return wave_y[:, None], wave_x[None, :]


def _amplitudes(scale: int, wind_mps: float, heading: float, wave_x: Floats, wave_y: Floats) -> Floats:
    """Return wave amplitudes in metres: Pierson-Moskowitz with a cosine-power spread, after Elfouhaily et al. 1997."""
    k = np.hypot(wave_x, wave_y)
    k_safe = np.maximum(k, 1e-6)
    peak = GRAVITY * (0.84 / wind_mps) ** 2
    shape = 0.0042 * k_safe**-4.0 * np.exp(-1.25 * (peak / k_safe) ** 2)
    along = (wave_x * np.sin(heading) + wave_y * np.cos(heading)) / k_safe
    spread = 0.12 + np.abs(along) ** 2 * np.where(k_safe < 4 * peak, along**2, 0.7)
    # Waves that run exactly sideways never average out with distance and would draw a fan of lines to the horizon.
    spread = spread * (wave_y != 0.0)
    step = 2.0 * np.pi / TILE_SIZES_M[scale]
    amplitude: Floats = np.sqrt(2.0 * shape * spread * _band(scale, k)) * step * 0.5
    return amplitude


def _band(scale: int, k: Floats) -> Floats:
    """Return 1 for the wave numbers this scale carries, else 0."""
    return ((k >= BANDS_PER_M[scale]) & (k < BANDS_PER_M[scale + 1])).astype(np.float64)
