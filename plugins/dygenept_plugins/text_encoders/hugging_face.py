"""Text encoders made of a published transformer in Hugging Face's layout.

``biomedbert``: BiomedBERT, pre-trained on PubMed abstracts and full texts; 768 wide, at most 512
tokens. Gu et al. 2021, doi:10.1145/3458754. Licence of the weights: MIT.
``biolord``: BioLORD-2023, sentence embeddings of biomedical concepts; 768 wide. Remy et al. 2024,
doi:10.1093/jamia/ocae029. Licence of the weights: see the model card; the model builds on UMLS and
SNOMED CT.
Another model of that layout may take the place of either (``model``). No weights ship: they are
read from a folder, from the data folder (``dygenept data fetch biomedbert``) or from the Hugging
Face cache.
"""

from __future__ import annotations

import functools
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from pydantic import Field

from dygenept.plugin import DataUnavailableError, PluginConfig, TextEncoderSpec, hookimpl
from dygenept.types import FloatArray, Progress, Runtime
from dygenept_plugins.text_encoders._checkpoints import checkpoint_digest, find_checkpoint

if TYPE_CHECKING:
    from dygenept.plugin import TextEncoder
    from dygenept_plugins.networks.text_transformer import TextTransformer

BIOMEDBERT = "microsoft/BiomedNLP-BiomedBERT-base-uncased-abstract-fulltext"
BIOLORD = "FremyCompany/BioLORD-2023"


class TransformerConfig(PluginConfig):
    """Options of a text transformer.

    Attributes:
        model: Hugging Face id, or a folder in its layout.
        pooling: ``mean`` over real tokens, or ``cls``, the first token's state.
        max_tokens: Texts are cut here.
        batch_tokens: Tokens in one forward pass, padding counted; changes only speed.
        precision: ``auto`` runs the layers in bfloat16 on a GPU and in float32 elsewhere.
        is_normalized: Give each vector unit length.
        data_dir: The folder of data sets; None takes the run's.
    """

    model: str = Field(min_length=1)
    pooling: Literal["mean", "cls"] = "mean"
    max_tokens: int = Field(default=256, ge=8, le=8192)
    batch_tokens: int = Field(default=8192, ge=1)
    precision: Literal["auto", "float32", "bfloat16"] = "auto"
    is_normalized: bool = True
    data_dir: str | None = Field(default=None, exclude=True)


class BiomedbertConfig(TransformerConfig):
    """Options of ``biomedbert``."""

    model: str = BIOMEDBERT


class BiolordConfig(TransformerConfig):
    """Options of ``biolord``."""

    model: str = BIOLORD


class TransformerEncoder:
    """Embeds texts; the model is loaded on the first call of ``encode``.

    Args:
        config: Options.
        name: Name of the plugin.
        home: Hugging Face id whose files ``dygenept data fetch NAME`` puts into the data folder.
    """

    corpus_dependent = False

    def __init__(self, config: TransformerConfig, *, name: str, home: str) -> None:
        self._config = config
        self._name = name
        self._home = home

    @property
    def identity(self) -> str:
        """Hash of weights and tokenizer, and the settings that change vectors.

        ``auto`` precision stands for itself: a vector made on a GPU differs from one made on a CPU
        by the rounding of bfloat16.

        Raises:
            DataUnavailableError: If the model is not on this machine.
        """
        config = self._config
        settings = (config.pooling, config.max_tokens, config.precision, config.is_normalized)
        digest = checkpoint_digest(self._folder)[:16]
        return f"transformer-{digest}-{'-'.join(map(str, settings))}"

    def encode(self, texts: Sequence[str], runtime: Runtime) -> FloatArray:
        """Return vectors, (n_texts, D), float32.

        Raises:
            DataUnavailableError: If the model is not on this machine.
            DataError: If its files are damaged.
        """
        precision = self._config.precision
        on_gpu = runtime.device.startswith("cuda")
        return self._transformer.encode(
            texts,
            device=runtime.device,
            batch_tokens=self._config.batch_tokens,
            report=lambda done: runtime.report(Progress("embed", done, len(texts))),
            is_bfloat16=precision == "bfloat16" or (precision == "auto" and on_gpu),
        )

    @property
    def _folder(self) -> Path:
        return _folder_of(self._config, self._name, self._home)

    @functools.cached_property
    def _transformer(self) -> TextTransformer:
        from dygenept_plugins.networks.text_transformer import TextTransformer

        return TextTransformer(
            self._folder,
            max_tokens=self._config.max_tokens,
            pooling=self._config.pooling,
            is_normalized=self._config.is_normalized,
        )


def _spec(
    name: str, home: str, config: type[TransformerConfig], *, summary: str, source: str
) -> TextEncoderSpec:
    """Return a spec; ``home`` is the Hugging Face id of the model behind the plugin's name."""

    def build(options: TransformerConfig) -> TextEncoder:
        return TransformerEncoder(options, name=name, home=home)

    def missing(options: TransformerConfig) -> str | None:
        try:
            _folder_of(options, name, home)
        except DataUnavailableError as error:
            return str(error)
        return None

    return TextEncoderSpec(
        name=name, summary=summary, source=source, config=config, factory=build, missing=missing
    )


def _folder_of(config: TransformerConfig, name: str, home: str) -> Path:
    data_dir = None if config.data_dir is None else Path(config.data_dir).expanduser()
    return find_checkpoint(
        config.model, name=name if config.model == home else "", data_dir=data_dir
    )


@hookimpl
def dygenept_text_encoders() -> list[TextEncoderSpec]:
    """Return ``biomedbert`` and ``biolord``."""
    return [
        _spec(
            "biomedbert",
            BIOMEDBERT,
            BiomedbertConfig,
            summary="BiomedBERT (768-d, PubMed and its full texts), or any Hugging Face model.",
            source="Gu et al. 2021, doi:10.1145/3458754",
        ),
        _spec(
            "biolord",
            BIOLORD,
            BiolordConfig,
            summary="BioLORD-2023 (768-d, biomedical concepts), or any Hugging Face model.",
            source="Remy et al. 2024, doi:10.1093/jamia/ocae029",
        ),
    ]
