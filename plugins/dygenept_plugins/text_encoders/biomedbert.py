"""Text encoder ``biomedbert``: BiomedBERT, pre-trained on PubMed abstracts and full texts.

768 wide, at most 512 tokens. Gu et al. 2021, doi:10.1145/3458754. The weights do not ship: they are
read from a folder, from the data folder (``dygenept data fetch biomedbert``) or from the Hugging
Face cache. Their licence: MIT.
"""

from __future__ import annotations

from dygenept.plugin import TextEncoderSpec, hookimpl
from dygenept_plugins.text_encoders._transformer import TransformerConfig, transformer_spec

MODEL = "microsoft/BiomedNLP-BiomedBERT-base-uncased-abstract-fulltext"


class BiomedbertConfig(TransformerConfig):
    """Options of ``biomedbert``; another ``model`` of Hugging Face's layout may take its place."""

    model: str = MODEL


@hookimpl
def dygenept_text_encoders() -> list[TextEncoderSpec]:
    """Return the text encoder ``biomedbert``."""
    return [
        transformer_spec(
            "biomedbert",
            MODEL,
            BiomedbertConfig,
            summary="BiomedBERT (768-d, PubMed and its full texts), or any Hugging Face model.",
            source="Gu et al. 2021, doi:10.1145/3458754",
        )
    ]
