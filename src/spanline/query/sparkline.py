"""Series as lines of text."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

_LEVELS = "▁▂▃▄▅▆▇█"
_NOTHING = " "


def sparkline(values: npt.NDArray[np.float64], width: int) -> str:
    """float64[n], NaN where nothing is known, as at most `width` characters from nothing to the most there is.

    Neighbours that share a character are averaged. Only 0 and below is the lowest one: what is little can be seen.
    """
    if not len(values):
        return ""
    parts = np.array_split(values, min(width, len(values)))
    means = np.array([np.nan if np.isnan(part).all() else np.nanmean(part) for part in parts])
    most = np.nanmax(means) if not np.isnan(means).all() else 0.0
    steps = np.ceil(np.nan_to_num(means) / most * (len(_LEVELS) - 1)) if most > 0 else np.zeros(len(means))
    return "".join(
        _NOTHING if np.isnan(mean) else _LEVELS[min(max(int(step), 0), len(_LEVELS) - 1)]
        for mean, step in zip(means, steps, strict=True)
    )
