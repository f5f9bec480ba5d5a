"""Names for the arrays that are passed around; shapes stand where they are used."""

import numpy as np
import numpy.typing as npt

BoolArray = npt.NDArray[np.bool_]
FloatArray = npt.NDArray[np.float64]
IntArray = npt.NDArray[np.intp]
"""Places and counts, as numpy itself makes them."""

Int64Array = npt.NDArray[np.int64]
"""What torch takes as classes, and what files hold."""
