"""Short names for the numpy arrays that columns are made of."""

import numpy as np
import numpy.typing as npt

Int32s = npt.NDArray[np.int32]
Int64s = npt.NDArray[np.int64]
Mask = npt.NDArray[np.bool_]
"""One truth value per row: which rows are chosen, accepted or sound."""
Octets = npt.NDArray[np.uint8]
"""Raw bytes, many strings or payloads one after another."""
Words = npt.NDArray[np.uint64]
"""Eight bytes of each row as one little-endian number, or 64 bits to sort by."""
