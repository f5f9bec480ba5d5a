"""Weather and light of an encounter: sun, sky, water colour, haze. Decides appearance only, never ground truth."""

from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

Float32 = npt.NDArray[np.float32]
Colour = tuple[float, float, float]

WEATHERS = ("clear", "fair", "overcast", "dull", "golden", "fog")
_WEIGHTS = (0.26, 0.26, 0.21, 0.12, 0.09, 0.06)
_HORIZON = {
    "clear": (0.50, 0.63, 0.76),
    "fair": (0.62, 0.70, 0.77),
    "overcast": (0.66, 0.69, 0.71),
    "dull": (0.40, 0.44, 0.48),
    "golden": (0.95, 0.66, 0.40),
    "fog": (0.62, 0.65, 0.67),
}
_ZENITH = {
    "clear": (0.10, 0.24, 0.52),
    "fair": (0.22, 0.36, 0.58),
    "overcast": (0.42, 0.46, 0.50),
    "dull": (0.22, 0.25, 0.29),
    "golden": (0.26, 0.33, 0.46),
    "fog": (0.52, 0.55, 0.57),
}
_SUN = {"clear": 1.0, "fair": 0.75, "overcast": 0.06, "dull": 0.0, "golden": 0.75, "fog": 0.03}
_CLOUDS = {"clear": 0.12, "fair": 0.65, "overcast": 0.5, "dull": 0.6, "golden": 0.6, "fog": 0.08}
_VISIBILITY_M = {"clear": 22e3, "fair": 16e3, "overcast": 9e3, "dull": 5e3, "golden": 9e3, "fog": 700.0}
_WATERS: tuple[Colour, ...] = (
    (0.006, 0.030, 0.062),
    (0.008, 0.040, 0.062),
    (0.012, 0.040, 0.040),
    (0.018, 0.031, 0.027),
    (0.014, 0.026, 0.032),
)


@dataclass(frozen=True, slots=True)
class Light:
    """What lights a scene; colours are linear RGB radiance with a white overcast sky near 0.7.

    Attributes:
        weather: one of WEATHERS.
        sun: unit vector to the sun: right, up, away from the camera.
        sun_rgb: radiance of a white surface facing the sun, from the sun alone.
        horizon_rgb: sky at the horizon.
        zenith_rgb: sky overhead.
        water_rgb: light coming up from within the water.
        visibility_m: distance at which contrast falls to 1/e.
        clouds: 0 for an even sky, 1 for strong clouds.
    """

    weather: str
    sun: tuple[float, float, float]
    sun_rgb: Colour
    horizon_rgb: Colour
    zenith_rgb: Colour
    water_rgb: Colour
    visibility_m: float
    clouds: float

    def balanced(self, factors: Colour) -> "Light":
        """Return the same light with its red, green and blue multiplied, as a camera's white balance does."""
        return replace(
            self,
            sun_rgb=_colour(np.multiply(self.sun_rgb, factors)),
            horizon_rgb=_colour(np.multiply(self.horizon_rgb, factors)),
            zenith_rgb=_colour(np.multiply(self.zenith_rgb, factors)),
            water_rgb=_colour(np.multiply(self.water_rgb, factors)),
        )

    def ambient_rgb(self) -> Float32:
        """Return the radiance of a white surface lit by the sky alone."""
        return np.asarray(self.horizon_rgb, np.float32) * 0.5 + np.asarray(self.zenith_rgb, np.float32) * 0.5


def draw_light(rng: np.random.Generator) -> Light:
    """Draw the light of one encounter; the sun's direction is relative to the camera."""
    weather = str(rng.choice(WEATHERS, p=_WEIGHTS))
    height = rng.uniform(0.12, 0.3) if weather == "golden" else rng.uniform(0.3, 1.15)
    azimuth = rng.uniform(-np.pi, np.pi)
    tint = rng.normal(1.0, 0.025, 3)
    level = float(np.exp(rng.normal(0.0, 0.12)))
    warm = np.asarray((1.0, 0.93, 0.82)) if weather != "golden" else np.asarray((1.0, 0.72, 0.42))
    water = np.asarray(_WATERS[rng.integers(len(_WATERS))]) * np.exp(rng.normal(0.0, 0.25, 3))
    return Light(
        weather=weather,
        sun=(
            float(np.cos(height) * np.sin(azimuth)),
            float(np.sin(height)),
            float(np.cos(height) * np.cos(azimuth)),
        ),
        sun_rgb=_colour(warm * _SUN[weather] * rng.uniform(0.8, 1.6) * level),
        horizon_rgb=_colour(np.asarray(_HORIZON[weather]) * tint * level),
        zenith_rgb=_colour(np.asarray(_ZENITH[weather]) * tint * level),
        water_rgb=_colour(water * level * (0.6 + 0.9 * _SUN[weather])),
        visibility_m=float(_VISIBILITY_M[weather] * np.exp(rng.normal(0.0, 0.5))),
        clouds=float(np.clip(_CLOUDS[weather] * rng.uniform(0.5, 1.4), 0.0, 1.0)),
    )


def _colour(values: npt.NDArray[np.float64]) -> Colour:
    """Return an RGB array as a tuple of floats."""
    return (float(values[0]), float(values[1]), float(values[2]))
