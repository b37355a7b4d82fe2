"""The 16 levels that a coordinate has in 4 bits."""

from __future__ import annotations

import numpy as np

__all__ = ["LEVELS", "LEVEL_POLYNOMIAL"]

# The best 16 levels for numbers of a standard normal distribution (Max, 1960).
_POSITIVE = (0.1284, 0.3881, 0.6568, 0.9424, 1.2562, 1.6181, 2.0691, 2.7326)
LEVELS = np.asarray([*(-level for level in reversed(_POSITIVE)), *_POSITIVE], dtype=np.float32)
# The odd polynomial through them, of `(number - 7.5) / 7.5`: coefficients of its odd powers, the lowest first.
LEVEL_POLYNOMIAL = np.linalg.solve(
    (np.arange(1, 16, 2)[:, None] / 15) ** np.arange(1, 16, 2)[None], np.asarray(_POSITIVE)
).astype(np.float32)
