"""Cell encoder ``scgpt``: the scGPT transformer over a control cell's expressed genes.

Cui et al. 2024, doi:10.1038/s41592-024-02201-0 (code and published weights MIT). With a checkpoint
folder in the published format the weights are loaded; without one the same architecture is trained
from scratch at any size, with the data set's own genes as vocabulary.
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Literal

from pydantic import Field, field_validator

from dygenept.plugin import CellEncoderSpec, ConfigError, PluginConfig, hookimpl
from dygenept_plugins.networks.scgpt_folder import (
    ARGS_FILE,
    VOCABULARY_FILE,
    checkpoint_folder,
    describe_missing,
    missing_files,
)

if TYPE_CHECKING:
    from dygenept.plugin import CellEncoder, CellEncoderContext
    from dygenept.types import EncoderFootprint, IntArray
    from dygenept_plugins.networks.scgpt_cells import CellOptions
    from dygenept_plugins.networks.scgpt_tokens import Vocabulary

logger = logging.getLogger(__name__)

CACHE_FOLDER = "scgpt_states"
RANDOM = "random"
PUBLISHED = "whole_human"
# As the cache on disk bounds itself where nothing is said (``scgpt_cache.MAX_DISK_BYTES``).
MOST_ON_DISK = 64_000_000_000


class ScGptConfig(PluginConfig):
    """Options of ``scgpt``.

    Sizes left at None are the checkpoint's; without a checkpoint, those given in brackets.

    Attributes:
        checkpoint: A folder with ``best_model.pt`` (or ``model.safetensors``), ``vocab.json`` and
            ``args.json``; a bare name such as ``whole_human`` means ``scgpt/<name>`` in the folder
            of data sets ($DYGENEPT_DATA). ``random`` takes whole_human's size with random weights,
            for trials of full size; its vocabulary is whole_human's where that file is there, else
            the data set's own genes. None trains from scratch.
        n_layers: Transformer layers [4].
        d_model: Width of hidden states [128].
        n_heads: Attention heads [4].
        d_hid: Width of feed-forward layers [the same as ``d_model``].
        dropout: In training, on embeddings and residual branches [0.1]. Attention weights have
            none: on a CPU it would slow a step several times.
        n_bins: Bins of expression values [51].
        max_length: Longest sequence, ``<cls>`` included [1200]. Longer ones are cut by sampling
            genes; expressed perturbed genes always stay, and the limit yields to them.
        sampling_seed: Decides which genes a longer sequence keeps; None takes 0 where layers are
            frozen, so that folds share their outputs, and the model's seed otherwise.
        freeze_layers: Layers ``[:freeze_layers]`` are frozen, as a Python slice, and the embeddings
            with any of them: -2 trains the last two, 0 everything, ``all`` nothing. Set 0 to train
            from scratch.
        pooling: ``cls``, ``mean`` or ``attention`` over the tokens.
        encode_batch: Cells that the frozen layers see at a time while the pool is encoded; None
            takes what suits the device.
        cache: Where outputs of frozen layers over control cells are kept: ``memory`` (the device's,
            else the host's), ``disk`` (memory-mapped files in the cache folder, shared by folds
            and runs), ``off``, or ``auto``: disk with a checkpoint, memory without one.
        cache_dtype: ``float32`` or ``bf16``; ``auto`` takes bf16 on a GPU, float32 elsewhere.
        cache_bytes: What the cache may take; None takes half of what is free, and of a disk 64 GB
            at most. Cells beyond it run through the frozen layers again in each batch.
        cache_cells: Control cells that the cache contains at most; None for every one that fits.
        data_dir: The folder of data sets; None takes the run's.
    """

    checkpoint: str | None = None
    n_layers: int | None = Field(default=None, ge=1, le=1_000)
    d_model: int | None = Field(default=None, ge=1)
    n_heads: int | None = Field(default=None, ge=1)
    d_hid: int | None = Field(default=None, ge=1)
    dropout: float | None = Field(default=None, ge=0, lt=1)
    n_bins: int | None = Field(default=None, ge=3)
    max_length: int | None = Field(default=None, ge=2)
    sampling_seed: int | None = Field(default=None, ge=0)
    freeze_layers: int | Literal["all"] = -2
    pooling: Literal["cls", "mean", "attention"] = "cls"
    encode_batch: int | None = Field(default=None, ge=1)
    cache: Literal["auto", "memory", "disk", "off"] = "auto"
    cache_dtype: Literal["auto", "float32", "bf16"] = "auto"
    cache_bytes: int | None = Field(default=None, ge=0)
    cache_cells: int | None = Field(default=None, ge=0)
    data_dir: str | None = Field(default=None, exclude=True)

    @field_validator("cache", mode="before")
    @classmethod
    def _off(cls, value: object) -> object:
        return "off" if value is False else value  # YAML reads a bare off as false


def label(config: ScGptConfig) -> str | None:
    """Return what the model's name must say, so that nobody takes it for the published one.

    That is so too where nothing was loaded and layers are frozen at what they were drawn as.
    """
    is_random = config.checkpoint == RANDOM or (config.checkpoint is None and _is_frozen(config))
    return "random weights" if is_random else None


def _is_frozen(config: ScGptConfig) -> bool:
    """True if a network drawn at random has frozen layers."""
    if config.freeze_layers == "all":
        return True
    n_layers = config.n_layers or (12 if config.checkpoint == RANDOM else 4)
    return len(range(n_layers)[: config.freeze_layers]) > 0


def missing(config: ScGptConfig) -> str | None:
    """Say what the checkpoint lacks on this machine."""
    if config.checkpoint in (None, RANDOM):
        return None
    folder = checkpoint_folder(config.checkpoint, config.data_dir)
    files = missing_files(folder)
    return describe_missing(folder, files) if files else None


def footprint(config: ScGptConfig, expressed: IntArray, device: str) -> EncoderFootprint:
    """Say what a configuration takes; a checkpoint that is not there counts as whole_human."""
    from dygenept_plugins.networks.scgpt_footprint import CachePlan, LayerSizes, footprint_of

    is_full = config.checkpoint is not None
    found = _checkpoint_sizes(config)
    d_model = config.d_model or found.get("embsize") or (512 if is_full else 128)
    n_layers = config.n_layers or found.get("nlayers") or (12 if is_full else 4)
    frozen = n_layers if config.freeze_layers == "all" else config.freeze_layers
    is_lasting = config.checkpoint not in (None, RANDOM)
    is_bf16 = config.cache_dtype == "bf16" or (
        config.cache_dtype == "auto" and device.startswith("cuda")
    )
    place = ("disk" if is_lasting else "memory") if config.cache == "auto" else config.cache
    return footprint_of(
        LayerSizes(
            n_layers=n_layers,
            n_frozen=len(range(n_layers)[:frozen]),
            d_model=d_model,
            d_hid=config.d_hid or found.get("d_hid") or d_model,
            max_length=config.max_length or found.get("max_seq_len") or 1200,
            pools_cls=config.pooling == "cls",
        ),
        CachePlan(
            place=place,
            bytes_per_number=2 if is_bf16 else 4,
            max_bytes=MOST_ON_DISK
            if config.cache_bytes is None and place == "disk"
            else config.cache_bytes,
            max_cells=config.cache_cells,
        ),
        expressed,
    )


def _checkpoint_sizes(config: ScGptConfig) -> dict[str, int]:
    """Return the whole numbers of a checkpoint's ``args.json``; empty where it is not there."""
    import json

    if config.checkpoint in (None, RANDOM):
        return {}
    path = checkpoint_folder(str(config.checkpoint)) / ARGS_FILE
    if not path.is_file():
        return {}
    document = json.loads(path.read_text(encoding="utf-8"))
    return {name: value for name, value in document.items() if isinstance(value, int)}


def build(config: ScGptConfig, context: CellEncoderContext) -> CellEncoder:
    """Build the cell encoder.

    Raises:
        DataUnavailableError: If a file of the checkpoint is missing.
        DataError: If the checkpoint is damaged.
        ConfigError: If sizes do not fit each other or the checkpoint.
    """
    from dygenept_plugins.networks.scgpt_cells import ScGptCellState

    if config.checkpoint in (None, RANDOM):
        return _from_scratch(config, context)
    from dygenept_plugins.networks.scgpt_checkpoint import read_checkpoint

    checkpoint = read_checkpoint(checkpoint_folder(str(config.checkpoint), config.data_dir))
    for option in ("n_layers", "d_model", "n_heads", "d_hid"):
        asked, found = getattr(config, option), getattr(checkpoint.size, option)
        if asked not in (None, found):
            raise ConfigError(
                f"cell_encoder.{option} is {asked}, but the checkpoint has {found}; leave it out"
            )
    if config.n_bins not in (None, checkpoint.n_bins):
        raise ConfigError(
            f"cell_encoder.n_bins is {config.n_bins}, but the checkpoint was trained with "
            f"{checkpoint.n_bins}; leave it out"
        )
    return ScGptCellState(
        checkpoint.build(dropout=config.dropout),
        context=context,
        vocabulary=checkpoint.vocabulary,
        options=_options(config, context, checkpoint.n_bins, checkpoint.max_length),
    )


def _from_scratch(config: ScGptConfig, context: CellEncoderContext) -> CellEncoder:
    from dygenept_plugins.networks.scgpt import ScGpt, ScGptSize
    from dygenept_plugins.networks.scgpt_cells import ScGptCellState
    from dygenept_plugins.networks.scgpt_tokens import Vocabulary

    is_frozen = _is_frozen(config)
    if is_frozen:
        logger.warning("%s; set it to 0 to train them", _random_note(config)[:-1])
    is_full = config.checkpoint == RANDOM
    vocabulary = _published_vocabulary(config) if is_full else None
    vocabulary = vocabulary or Vocabulary.of_genes(context.gene_symbols)
    d_model = config.d_model or (512 if is_full else 128)
    n_heads = config.n_heads or (8 if is_full else 4)
    if d_model % n_heads:
        raise ConfigError(
            f"cell_encoder.n_heads {n_heads} does not divide cell_encoder.d_model {d_model}"
        )
    dropout = 0.2 if is_full else 0.1
    size = ScGptSize(
        n_tokens=vocabulary.n_tokens,
        pad_token=vocabulary.pad,
        d_model=d_model,
        n_layers=config.n_layers or (12 if is_full else 4),
        n_heads=n_heads,
        d_hid=config.d_hid or d_model,
        dropout=dropout if config.dropout is None else config.dropout,
    )
    return ScGptCellState(
        ScGpt(size),
        context=context,
        vocabulary=vocabulary,
        options=_options(config, context, n_bins=51, max_length=1200),
        notes=(_random_note(config),) if is_frozen or is_full else (),
    )


def _published_vocabulary(config: ScGptConfig) -> Vocabulary | None:
    from dygenept_plugins.networks.scgpt_checkpoint import read_vocabulary

    path = checkpoint_folder(PUBLISHED, config.data_dir) / VOCABULARY_FILE
    return read_vocabulary(path) if path.is_file() else None


def _random_note(config: ScGptConfig) -> str:
    note = "scGPT starts from random weights, not the published ones"
    if not _is_frozen(config):
        return f"{note}."
    frozen = f"cell_encoder.freeze_layers {config.freeze_layers} keeps frozen layers at them"
    return f"{note}, and {frozen}."


def _options(
    config: ScGptConfig, context: CellEncoderContext, n_bins: int, max_length: int
) -> CellOptions:
    """Fill in what the configuration leaves open."""
    import torch

    from dygenept_plugins.networks.scgpt_cache import CacheOptions
    from dygenept_plugins.networks.scgpt_cells import CellOptions

    runtime = context.runtime
    is_cuda = runtime is not None and runtime.device.startswith("cuda")
    is_bf16 = config.cache_dtype == "bf16" or (config.cache_dtype == "auto" and is_cuda)
    cache_dir = None if runtime is None else runtime.cache_dir
    own_seed = 0 if config.freeze_layers != 0 else context.seed
    return CellOptions(
        n_bins=config.n_bins or n_bins,
        max_length=config.max_length or max_length,
        sampling_seed=own_seed if config.sampling_seed is None else config.sampling_seed,
        freeze_layers=config.freeze_layers,
        pooling=config.pooling,
        encode_batch=config.encode_batch,
        cache=CacheOptions(
            place=config.cache,
            dtype=torch.bfloat16 if is_bf16 else torch.float32,
            max_bytes=config.cache_bytes,
            max_cells=config.cache_cells,
            folder=None if cache_dir is None else cache_dir / CACHE_FOLDER,
            is_lasting=config.checkpoint not in (None, RANDOM),
        ),
    )


@hookimpl
def dygenept_cell_encoders() -> list[CellEncoderSpec]:
    """Return the cell encoder ``scgpt``."""
    return [
        CellEncoderSpec(
            name="scgpt",
            summary="The scGPT transformer, from a published checkpoint or from scratch.",
            source="Cui et al. 2024, doi:10.1038/s41592-024-02201-0",
            config=ScGptConfig,
            factory=build,
            missing=missing,
            label=label,
            footprint=footprint,
            embed_options={
                "freeze_layers": "all",
                "cache": "memory",
                "cache_dtype": "float32",
            },
            check_options={"n_layers": 2, "d_model": 16, "n_heads": 2, "freeze_layers": 0},
        )
    ]
