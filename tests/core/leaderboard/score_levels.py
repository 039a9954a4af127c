"""Scores of twelve perturbations at three levels far apart."""

from __future__ import annotations

import numpy as np

HIGH = tuple((0.8 + 0.01 * np.arange(12)).tolist())
MIDDLE = tuple((0.5 + 0.01 * np.arange(12)).tolist())
LOW = tuple((0.1 + 0.01 * np.arange(12)).tolist())
