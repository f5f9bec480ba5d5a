"""The camera's place over the sea: what decides where things stand in the picture."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Optics:
    """A camera over a flat sea, at the size of the picture.

    The small roll of a hand-held camera is a shear: the horizon's row changes from column to column.

    Attributes:
        width_px: picture width.
        height_px: picture height.
        focal_px: focal length.
        eye_m: height of the lens over the water.
        horizon_px: row of the horizon at the picture's middle column; may lie above the picture.
        tilt: rows the horizon falls per column to the right.
    """

    width_px: int
    height_px: int
    focal_px: float
    eye_m: float
    horizon_px: float
    tilt: float

    def horizon_at(self, column_px: float) -> float:
        """Return the row of the horizon at a column."""
        return self.horizon_px + self.tilt * (column_px - self.width_px / 2.0)

    def distance_m(self, below_px: float) -> float:
        """Return the distance of the water seen this many rows below the horizon."""
        return self.eye_m * self.focal_px / below_px
