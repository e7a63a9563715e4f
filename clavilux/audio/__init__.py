"""Read a sound file, and compute its features and descriptors; the result is a `Song`."""

import numpy as np
from numpy.typing import NDArray

Float32 = NDArray[np.float32]
