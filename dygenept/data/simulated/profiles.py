"""What each simulated data set stands in for, and how it shrinks.

Counts of cells, genes and perturbations are those of the GEARS files of the five data sets.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from types import MappingProxyType
from typing import Literal

from dygenept.errors import ConfigError, nearest

Modality = Literal["activation", "interference", "knockout"]

# Raised whenever the same profile, scale and seed give other cells.
SIMULATION_VERSION = 4

# Genes and perturbations shrink slower than cells, so that small stand-ins stay informative: at
# scale 0.02, K562 keeps 3,255 cells, 393 genes and 58 perturbations.
GENE_EXPONENT = 0.65
PERTURBATION_EXPONENT = 0.75

MIN_GENES = 200
MIN_SINGLES = 20
MIN_DOUBLES = 6
MIN_CELLS_PER_PERTURBATION = 30
MIN_CONTROLS = 120


@dataclass(frozen=True, slots=True, kw_only=True)
class SimulationProfile:
    """Shape of a simulated data set.

    Attributes:
        name: Name after ``sim:``.
        n_cells: Cells in all, controls included.
        n_genes: Output genes.
        n_controls: Control cells.
        n_singles: Perturbations of one gene.
        n_doubles: Perturbations of two genes, both of which are also perturbed singly.
        cell_type: Name of the one cell type.
        modality: What a perturbation does to its own target's expression.
        stands_for: Citation of the data set whose shape this is.
        draw: Seed of the draw that ships at full size: the first of 0, 1, 2, ... all of whose
            statistics lie within the range of the real screens at hand, or, where none of 200
            does, the first that leaves the fewest outside. ``benchmarks/realism/choose_draw.py``
            finds it; to be found anew with each version.
    """

    name: str
    n_cells: int
    n_genes: int
    n_controls: int
    n_singles: int
    n_doubles: int = 0
    cell_type: str
    modality: Modality
    stands_for: str
    draw: int = 0

    @property
    def n_perturbations(self) -> int:
        """Single and double perturbations."""
        return self.n_singles + self.n_doubles

    @property
    def cells_per_perturbation(self) -> float:
        """Cells of a perturbation in the mean."""
        return (self.n_cells - self.n_controls) / self.n_perturbations

    def default_seed(self, scale: float) -> int:
        """Return the seed where none is asked for: that of ``draw`` at full size, else 0.

        Args:
            scale: In (0, 1]; 1 is full size.
        """
        return self.draw if scale == 1.0 else 0

    def scaled(self, scale: float) -> SimulationProfile:
        """Shrink the data set.

        Cells shrink with ``scale``, genes with ``scale**0.65`` and perturbations with
        ``scale**0.75``, none below what five folds, DE lists of 20 genes and cells enough for a
        mean need (200 genes, 20 singles, 6 doubles, 120 controls, 30 cells a perturbation).

        Args:
            scale: In (0, 1]; 1 is full size.

        Raises:
            ConfigError: If ``scale`` is outside (0, 1].
        """
        if not 0.0 < scale <= 1.0:
            raise ConfigError(f"scale of sim:{self.name} is {scale}; allowed: above 0, at most 1")
        shrink = scale**PERTURBATION_EXPONENT
        n_singles = min(self.n_singles, max(MIN_SINGLES, round(self.n_singles * shrink)))
        n_doubles = min(self.n_doubles, max(MIN_DOUBLES, round(self.n_doubles * shrink)))
        n_controls = min(self.n_controls, max(MIN_CONTROLS, round(self.n_controls * scale)))
        fewest = n_controls + MIN_CELLS_PER_PERTURBATION * (n_singles + n_doubles)
        return replace(
            self,
            n_cells=min(self.n_cells, max(fewest, round(self.n_cells * scale))),
            n_genes=min(self.n_genes, max(MIN_GENES, round(self.n_genes * scale**GENE_EXPONENT))),
            n_controls=n_controls,
            n_singles=n_singles,
            n_doubles=n_doubles,
        )


PROFILES: Mapping[str, SimulationProfile] = MappingProxyType(
    {
        profile.name: profile
        for profile in (
            SimulationProfile(
                name="norman",
                n_cells=91_205,
                n_genes=5_045,
                n_controls=7_353,
                n_singles=105,
                n_doubles=131,
                cell_type="K562",
                modality="activation",
                stands_for="Norman et al. 2019, Science, doi:10.1126/science.aax4438",
                draw=1,
            ),
            SimulationProfile(
                name="adamson",
                n_cells=68_603,
                n_genes=5_060,
                n_controls=24_263,
                n_singles=86,
                cell_type="K562",
                modality="interference",
                stands_for="Adamson et al. 2016, Cell, doi:10.1016/j.cell.2016.11.048",
            ),
            SimulationProfile(
                name="dixit",
                n_cells=44_735,
                n_genes=5_012,
                # The number of controls of the real file is not published with its shape.
                n_controls=4_000,
                n_singles=19,
                cell_type="K562",
                modality="knockout",
                stands_for="Dixit et al. 2016, Cell, doi:10.1016/j.cell.2016.11.038",
            ),
            SimulationProfile(
                name="k562",
                n_cells=162_751,
                n_genes=5_000,
                n_controls=10_691,
                n_singles=1_092,
                cell_type="K562",
                modality="interference",
                stands_for="Replogle et al. 2022, Cell, doi:10.1016/j.cell.2022.05.013",
            ),
            SimulationProfile(
                name="rpe1",
                n_cells=162_733,
                n_genes=5_000,
                n_controls=11_485,
                n_singles=1_543,
                cell_type="RPE1",
                modality="interference",
                stands_for="Replogle et al. 2022, Cell, doi:10.1016/j.cell.2022.05.013",
            ),
        )
    }
)


def profile_named(name: str) -> SimulationProfile:
    """Return a profile by name.

    Raises:
        ConfigError: If there is none; the message names the nearest.
    """
    if name not in PROFILES:
        raise ConfigError(f"unknown simulation profile {name!r}; {nearest(name, PROFILES)}")
    return PROFILES[name]
