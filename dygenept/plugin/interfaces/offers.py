"""What a plugin may offer beyond its kind's interface, and what the harness then does with it.

No protocol here is a duty: the harness asks with ``isinstance`` and does without where a plugin
lacks the members. Built-in plugins have no other way in. Members are methods, properties or plain
attributes; a parameter or buffer of a ``torch.nn.Module`` is not seen by ``isinstance`` from
Python 3.12 on, so a protocol that hands one over does so by a method.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Protocol, runtime_checkable

if TYPE_CHECKING:
    from pathlib import Path

    import numpy as np
    import numpy.typing as npt
    import torch

    from dygenept.plugin.interfaces.networks import AttentionOutput, FacetBatch
    from dygenept.types import (
        ChildResources,
        Condition,
        DataOutline,
        DoubleArray,
        IntArray,
        Runtime,
    )

Chosen = Mapping[str, float | int | str]


@runtime_checkable
class HasNotes(Protocol):
    """A model or a cell encoder with something to say to the user, such as random weights.

    The sentences are shown after a run and kept in its records.
    """

    @property
    def notes(self) -> Sequence[str]:
        """Sentences, after ``fit`` or ``prepare``."""


@runtime_checkable
class FetchesAnew(Protocol):
    """A source of a data set that ``dygenept data fetch --force`` can fetch whatever is there."""

    def fetch_anew(self, data_dir: Path, runtime: Runtime) -> Path:
        """Fetch the file again, forget the recorded checksum, and return the file's path.

        Raises:
            DataUnavailableError: If it cannot be fetched; what was there stays.
        """


@runtime_checkable
class OutlinesData(Protocol):
    """A source of a data set that says what it contains before expression is read.

    ``dygenept bench --dry-run`` plans with it; without it the plan knows what the registry says.
    """

    def outline(self, data_dir: Path) -> DataOutline | None:
        """Return what is known; None where that is nothing. Nothing is fetched.

        Raises:
            DataError: If the file is there and damaged.
        """


@runtime_checkable
class HasChosen(Protocol):
    """A model that settles something itself, such as a penalty; kept in the run's records."""

    @property
    def chosen(self) -> Chosen:
        """Names with numbers or strings, after ``fit``."""


@runtime_checkable
class PredictsSpread(Protocol):
    """A model that says how far off its predictions may be; metrics of uncertainty score it."""

    def spread(self, conditions: Sequence[Condition]) -> DoubleArray | None:
        """Return the standard deviation of the error of each predicted mean, after ``fit``.

        Args:
            conditions: As in ``predict``.

        Returns:
            (n, G), log1p units, finite and not negative; None where this configuration has none.
        """


@runtime_checkable
class PredictsCells(Protocol):
    """A model that predicts cells, not only their mean; asked only where a metric reads cells."""

    def predict_cells(
        self, conditions: Sequence[Condition], *, n_cells: int
    ) -> Sequence[npt.NDArray[np.floating]]:
        """Return predicted cells of each condition, after ``fit``.

        Args:
            conditions: What to predict.
            n_cells: Most cells of a condition.

        Returns:
            Cells of each condition, (1 to n_cells, G), log1p scale; the same in each call.
        """


@runtime_checkable
class PredictsCellsOfBatches(Protocol):
    """A model of cells that can be asked for cells of given batches.

    Where controls are matched by batch it is asked for these in place of ``predict_cells``, for a
    cell in the batch of each real one that metrics sampled: both sides are then compared with the
    same controls. Cells of a model without this member name no batch, and one that has no other
    predicts no cells of data without matched batches.
    """

    def predict_cells_of(
        self, conditions: Sequence[Condition], *, batches: Sequence[IntArray]
    ) -> Sequence[npt.NDArray[np.floating]]:
        """Return predicted cells of each condition, after ``fit``.

        Args:
            conditions: What to predict.
            batches: Batch of each wanted cell of each condition, (1 to 100,), in the numbers of
                ``TaskCells.batch_codes``; -1 for a cell that is compared with all controls of its
                cell type.

        Returns:
            A cell for each, (k, G), log1p scale, as cells of this batch are measured; the same in
            each call.
        """


@runtime_checkable
class UsesChild(Protocol):
    """A model that runs in a process of its own; what the process took goes into the records."""

    @property
    def child(self) -> ChildResources | None:
        """What the process took, after ``predict``; None where none ran."""


@runtime_checkable
class LinearReadout(Protocol):
    """A decoder whose predicted change is, before any training, a linear map of features.

    With ``training.warm_start`` the map is fitted to the train conditions in closed form before
    the first gradient step.
    """

    def readout_features(
        self, embedding: torch.Tensor, gene_mask: torch.Tensor, cell: torch.Tensor
    ) -> torch.Tensor:
        """Return what the map reads.

        Args:
            embedding: Dynamic gene embeddings, (B, P, D).
            gene_mask: True where a perturbed gene is real, (B, P).
            cell: Cell state, (B, D).

        Returns:
            Features, (B, F); zeros where nothing is perturbed.
        """

    def set_readout(self, weights: torch.Tensor) -> None:
        """Set the map, (G, F): the predicted change becomes features · weightsᵀ."""


@runtime_checkable
class ExtendsReadout(Protocol):
    """A decoder with a linear readout that can be added to at any time, after training too.

    The closed-form start asks it where a gene's code is of use for that gene alone: what was
    measured of train genes is added after the gradient steps.
    """

    def add_readout(self, weights: torch.Tensor) -> None:
        """Add features · weightsᵀ to the predicted change; features as they are now.

        A gate that the decoder has may be taken as it was at the start.

        Args:
            weights: (G, F).
        """


@runtime_checkable
class CombinesGenes(Protocol):
    """A decoder that computes what a gene gives by itself once, for many combinations of genes.

    ``dygenept predict --genes`` and ``rank-perturbations`` ask it; without it every combination is
    decoded from the start.
    """

    def combining(
        self,
        embedding: torch.Tensor,
        cell: torch.Tensor,
        control: torch.Tensor,
        columns: torch.Tensor | None = None,
    ) -> Callable[[torch.Tensor], torch.Tensor]:
        """Fix genes and control cells.

        Args:
            embedding: Dynamic embedding of each gene in each cell, (C, U, D).
            cell: Cell states, (C, D).
            control: Expression of these cells, (C, G).
            columns: Output genes that are wanted, (m,) int64; None for all.

        Returns:
            From combinations, (n, P) positions among the U genes, -1 for no gene, to the sum over
            cells of the change that ``forward`` predicts for each, (n, m), but for rounding.
        """


@runtime_checkable
class HasSharedShift(Protocol):
    """A decoder with a linear readout in which all perturbations share one direction of features.

    The closed-form start then fits the typical change along that direction, and only what is left
    by ridge regression.
    """

    def shared_features(self, cell: torch.Tensor) -> torch.Tensor:
        """Return the features of the shared shift by itself, (B, D) to (B, F)."""


@runtime_checkable
class HasLinearStart(Protocol):
    """A decoder whose readout features are, before any step, linear in the genes' embeddings.

    They are then the same for every cell state, and the closed-form start, which averages them over
    control cells, averages the embeddings instead: far fewer products, the same result.
    """

    @property
    def starts_linear(self) -> bool:
        """True if features are a sum over genes of a linear map, plus what their number adds."""


@runtime_checkable
class HasIdentityShare(Protocol):
    """A gene encoder that mixes a code of the gene itself into what is known of it.

    The closed-form start chooses the share by the error on train conditions that are left out.
    """

    @property
    def identity_shares(self) -> Sequence[float]:
        """Shares to choose from, each in [0, 1]; at least one."""

    def set_identity_share(self, share: float) -> None:
        """Set the share of the gene's own code, in [0, 1]."""


@runtime_checkable
class ReadsCodesOf(Protocol):
    """A gene encoder that can leave the codes of some genes unread.

    Where no gene is perturbed in two train perturbations, the code of a gene says nothing of other
    genes: what is alike in two codes is chance. The closed-form start, and gradient steps after it,
    then read no codes, and those of train genes alone are read in the end, so that these keep their
    measured change and all others get the typical one (with a decoder that ``ExtendsReadout``).
    It asks for it only where a gene's own code is all that is read of it, with an identity share of
    1: beside texts a missing code leaves the texts alone, which a layer norm scales up to the size
    of both, and no left-out error has judged texts that count for more in unseen genes.
    """

    def codes_read(self) -> torch.Tensor | None:
        """Return whose codes are read, as ``read_codes_of`` takes it."""

    def read_codes_of(self, genes: torch.Tensor | None) -> None:
        """Say whose codes are read; it is part of the saved state.

        Args:
            genes: Positions among the genes that the model was fitted with, (n,) int64. Of all
                other genes, those that are met later among them, nothing is read while the identity
                share is 1: ``FacetBatch.read`` is False. None reads all codes, as at first.
        """


@runtime_checkable
class HasFacetVectors(Protocol):
    """A gene encoder that adds a learned vector per facet to the values of known facets.

    The closed-form start tunes these vectors, so that attention reads the facets that predict
    effects.
    """

    def facet_vectors(self) -> torch.nn.Parameter | None:
        """Return the vectors, (K, D), of which ``values`` is the sum; None where switched off."""


@runtime_checkable
class LendsFacets(Protocol):
    """A gene encoder that can encode a gene with the facets of another one.

    What such a loan changes in predictions is what facets contribute to them.
    """

    def with_facets_of(self, gene_indices: torch.Tensor, lenders: torch.Tensor) -> FacetBatch:
        """Encode genes by their own codes and by what is known of others.

        Args:
            gene_indices: As in ``forward``, (B, P).
            lenders: Genes whose facets, and confidences in them, each of these has, (B, P). With
                ``gene_indices`` themselves it is ``forward``.

        Returns:
            As ``forward``.
        """


@runtime_checkable
class AddsFacetVectors(Protocol):
    """An attention that reads facets through linear maps only.

    The closed-form start asks it again and again for the same cells and facets with other facet
    vectors; such an attention projects the facets once.
    """

    def adding_vectors(
        self, cell: torch.Tensor, facets: FacetBatch
    ) -> Callable[[torch.Tensor], AttentionOutput]:
        """Fix cells, (B, D), and facets, (B, P, K, D).

        Returns:
            From vectors, (K, D), to what attention makes of the facets with each facet's vector
            added where the facet is known. Gradients reach only the vectors.
        """


@runtime_checkable
class RecomputesLayers(Protocol):
    """A cell encoder that can compute its trained layers again in the backward pass.

    ``training.gradient_checkpointing`` asks for it, and is an error without it.
    """

    def recompute_layers(self, wanted: bool) -> None:
        """Keep no activations inside trained layers, or keep them again."""


@runtime_checkable
class CompilesLayers(Protocol):
    """A cell encoder that can compile its trained layers; ``training.compile`` asks for it."""

    def compile_layers(self) -> None:
        """Compile them in place."""


def notes_of(plugin: object) -> tuple[str, ...]:
    """Return a plugin's notes; empty where it offers none."""
    return tuple(plugin.notes) if isinstance(plugin, HasNotes) else ()


def spread_of(model: object, conditions: Sequence[Condition]) -> DoubleArray | None:
    """Return the spread of a model's predictions; None where it offers none."""
    return model.spread(conditions) if isinstance(model, PredictsSpread) else None


def chosen_by(model: object) -> dict[str, float | int | str]:
    """Return what a model settled on itself; empty where it does not say."""
    return dict(model.chosen) if isinstance(model, HasChosen) else {}


def child_of(model: object) -> ChildResources | None:
    """Return what a model's own process took; None where it had none."""
    return model.child if isinstance(model, UsesChild) else None
