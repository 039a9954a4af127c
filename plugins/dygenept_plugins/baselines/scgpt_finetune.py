"""scGPT fine-tuned on perturbations, by the published package (0.2.4) in its own environment.

It starts from a checkpoint folder in the published format (``best_model.pt``, ``vocab.json``,
``args.json``). Its loop follows the package's perturbation tutorial: Adam, learning rate times 0.9
per epoch, gradients clipped at 1, squared error over all output genes, the best epoch on validation
perturbations. Attention runs without flash-attention.
scGPT marks the perturbed gene's own token, so a target that is not an output gene cannot be
distinguished from another: such train perturbations are left out, and the mean of the train
perturbations stands in for their predictions, each named in the notes.
Source: Cui et al. 2024. Licence of code and weights: MIT. Its environment takes about 1.3 GB.
"""

from __future__ import annotations

from pathlib import Path

from pydantic import Field

from dygenept.plugin import BaselineSpec, EnvironmentSpec, PluginConfig, hookimpl
from dygenept.plugin.isolated.model import DEFAULT_TIMEOUT_S, IsolatedModel, IsolatedProgram
from dygenept_plugins.networks.scgpt_folder import checkpoint_folder

# The package's own pins exclude today's torch and load torchtext; its model needs neither.
ENVIRONMENT = EnvironmentSpec(
    requirements=("torch>=2.4,<2.14", "numpy<2.3", "scipy<1.16", "tqdm", "anndata>=0.10"),
    no_deps=("scgpt==0.2.4",),
    python=">=3.10,<3.14",
)


class ScGptFinetuneConfig(PluginConfig):
    """Options of ``scgpt_finetune``; the defaults are the tutorial's.

    Attributes:
        checkpoint: A folder with ``best_model.pt``, ``vocab.json`` and ``args.json``; a bare name
            such as ``whole_human`` means ``scgpt/<name>`` in the folder of data sets.
        epochs: Training epochs.
        batch_size: Cells per step.
        lr: Learning rate of Adam.
        dropout: In training. Attention's part of it is slow on a CPU.
        max_seq_len: Genes per training step, sampled where there are more.
        patience: Epochs without a smaller validation error after which training stops.
        timeout_s: Seconds a fold may take.
        data_dir: The folder of data sets; None takes the run's.
    """

    checkpoint: str = "whole_human"
    epochs: int = Field(default=15, gt=0)
    batch_size: int = Field(default=64, gt=0)
    lr: float = Field(default=1e-4, gt=0)
    dropout: float = Field(default=0.2, ge=0, lt=1)
    max_seq_len: int = Field(default=1536, gt=1)
    patience: int = Field(default=10, gt=0)
    timeout_s: float = Field(default=DEFAULT_TIMEOUT_S, gt=0)
    data_dir: str | None = Field(default=None, exclude=True)


def missing(config: ScGptFinetuneConfig) -> str | None:
    """Say what the checkpoint lacks on this machine."""
    folder = checkpoint_folder(config.checkpoint, config.data_dir)
    needed = ("best_model.pt", "vocab.json", "args.json")
    absent = [name for name in needed if not (folder / name).is_file()]
    if not absent:
        return None
    return (
        f"the scGPT checkpoint folder {folder} lacks {', '.join(absent)}; put a published "
        "checkpoint there, or name its folder with --set scgpt_finetune.checkpoint=DIR"
    )


def _build(config: ScGptFinetuneConfig) -> IsolatedModel:
    options = config.model_dump(mode="json", exclude={"timeout_s"})
    folder = checkpoint_folder(config.checkpoint, config.data_dir)
    return IsolatedModel(
        IsolatedProgram(
            name="scgpt_finetune",
            environment=ENVIRONMENT,
            script=Path(__file__).with_name("_scgpt_child.py"),
            options={**options, "checkpoint": str(folder.resolve())},
            timeout_s=config.timeout_s,
        )
    )


@hookimpl
def dygenept_baselines() -> list[BaselineSpec]:
    """Return the baseline."""
    return [
        BaselineSpec(
            name="scgpt_finetune",
            summary="scGPT fine-tuned by its own package (0.2.4) in an environment of its own.",
            source="Cui et al. 2024, doi:10.1038/s41592-024-02201-0",
            config=ScGptFinetuneConfig,
            factory=_build,
            needs_cells=True,
            closed_form=False,
            uses_device=True,
            missing=missing,
            environment=lambda config: ENVIRONMENT,
        )
    ]
