"""Other forms of the test by which facets are read, put to the same held-out scores.

All flip the signs of perturbations' gains, alike in all settings and in both scores, and ask for a
t above all but a share of the choices of signs. They differ in what a choice of signs has to offer:

* ``the rule``: the largest t of any setting under any penalty, each score by itself;
* ``penalties``: of each setting the t under the penalty that has its smallest error under these
  signs, and the largest of these;
* ``selection``: the t of the setting and penalty that have the smallest error under these signs,
  and only the setting of the smallest error competes;
* ``joint``, ``joint, penalties`` and ``joint, selection``: the same, with the smaller of the two t,
  of errors and of cosines, as one test, whose level holds where neither gains.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from dygenept.model.start.beyond_chance import N_FLIPS, ROUNDING, _signs
from dygenept.types import DoubleArray, IntArray

RULE = "the rule"
FORMS = (RULE, "joint", "penalties", "joint, penalties", "selection", "joint, selection")


@dataclass(frozen=True, slots=True)
class Scores:
    """How settings gain over the first one, by both scores, as measured and with flipped signs.

    Attributes:
        means: Mean squared error, (n_settings, n_penalties).
        own: t of each setting under its best penalty, (2, n_settings).
        flipped: t under each choice of signs, (2, N_FLIPS, n_settings, n_penalties).
        gains: Mean gain in squared error under each, (N_FLIPS, n_settings, n_penalties).
    """

    means: DoubleArray
    own: DoubleArray
    flipped: DoubleArray
    gains: DoubleArray

    @classmethod
    def of(cls, errors: DoubleArray, cosines: DoubleArray) -> Scores:
        """Flip signs; arguments are those of ``best_for_strong_and_weak``."""
        n, means = len(errors), errors.mean(axis=0)
        best = means.argmin(axis=1)
        settings = np.arange(len(best))
        own, flipped, gained = [], [], []
        for each in (errors, -cosines):
            reference = each[:, 0, best[0]]
            gains = reference[:, None, None] - each
            # A mean gain of rounding is none, as in the rule.
            gains[:, np.abs(gains.mean(axis=0)) <= ROUNDING * np.abs(reference).mean()] = 0.0
            flat = gains.reshape(n, -1)
            of_flips = _signs(n) @ flat / n
            own.append(_t(flat, flat.mean(axis=0)).reshape(means.shape)[settings, best])
            flipped.append(_t(flat, of_flips).reshape(-1, *means.shape))
            gained.append(of_flips.reshape(-1, *means.shape))
        return cls(means, np.stack(own), np.stack(flipped), gained[0])

    def chosen(self, form: str, level: float) -> int:
        """Return the setting that one of ``FORMS`` takes, 0 where it stays with the first."""
        own, offered = self.own, self._offered(form)
        if form.startswith("joint"):
            own = own.min(axis=0, keepdims=True)
        passed = np.ones(own.shape[1], dtype=bool)
        for of_setting, of_flips in zip(own, offered, strict=True):
            # A choice that ties but for rounding counts, and the data's own signs are one of them.
            least = np.where(of_setting > 0, of_setting * (1 - ROUNDING), of_setting)
            above = (of_flips[:, None] >= least).sum(axis=0)
            passed &= ((1 + above) / (1 + N_FLIPS) < level) & (of_setting > 0)
        errors = self.means.min(axis=1)
        if form.endswith("selection"):
            first = int(errors.argmin())
            return first if passed[first] else 0
        passed[0] = True
        return int(np.where(passed, errors, np.inf).argmin())

    def _offered(self, form: str) -> DoubleArray:
        """Return what chance offers under each choice of signs, (1 or 2, N_FLIPS)."""
        each = self.flipped.min(axis=0, keepdims=True) if form.startswith("joint") else self.flipped
        if form in (RULE, "joint"):
            largest: DoubleArray = each.reshape(*each.shape[:2], -1).max(axis=2)
            return largest
        penalty = self.gains.argmax(axis=2)  # (N_FLIPS, n_settings)
        of_best = _taken(each, np.broadcast_to(penalty, each.shape[:3]))[:, :, 1:]
        if form.endswith("penalties"):
            offered: DoubleArray = of_best.max(axis=2)
            return offered
        setting = self.gains.max(axis=2)[:, 1:].argmax(axis=1)  # (N_FLIPS,)
        return _taken(of_best, np.broadcast_to(setting, of_best.shape[:2]))


def _t(gains: DoubleArray, means: DoubleArray) -> DoubleArray:
    """Return t of gains, (n, k), whose signs may be flipped: their means are (..., k)."""
    squares = np.square(gains).mean(axis=0)
    spread = np.sqrt(np.maximum(squares - np.square(means), 0.0) / (len(gains) - 1))
    found: DoubleArray = np.divide(
        means, spread, out=np.where(means > 0, np.inf, -np.inf), where=spread > 0
    )
    return np.where(squares > 0, found, -np.inf)


def _taken(values: DoubleArray, at: IntArray) -> DoubleArray:
    """Take one value of the last axis each."""
    taken: DoubleArray = np.take_along_axis(values, at[..., None], axis=-1)[..., 0]
    return taken
