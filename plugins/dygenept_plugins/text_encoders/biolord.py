"""Text encoder ``biolord``: BioLORD-2023, sentence embeddings of biomedical concepts.

768 wide. Remy et al. 2024, doi:10.1093/jamia/ocae029. The weights do not ship: they are read from a
folder, from the data folder (``<data folder>/biolord``) or from the Hugging Face cache. Their
licence: see the model card; the model builds on UMLS and SNOMED CT.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from dygenept.hookspecs import hookimpl
from dygenept.specs import TextEncoderSpec
from dygenept_plugins.text_encoders._transformer import (
    TransformerConfig,
    TransformerEncoder,
    missing_checkpoint,
)

if TYPE_CHECKING:
    from dygenept.interfaces import TextEncoder

NAME = "biolord"
MODEL = "FremyCompany/BioLORD-2023"


class BiolordConfig(TransformerConfig):
    """Options of ``biolord``; another ``model`` of Hugging Face's layout may take its place."""

    model: str = MODEL


def build(config: BiolordConfig) -> TextEncoder:
    """Build the encoder."""
    return TransformerEncoder(config, name=NAME, home=MODEL)


def _missing(config: BiolordConfig) -> str | None:
    return missing_checkpoint(config, name=NAME, home=MODEL)


@hookimpl
def dygenept_text_encoders() -> list[TextEncoderSpec]:
    """Return the text encoder ``biolord``."""
    return [
        TextEncoderSpec(
            name=NAME,
            summary="BioLORD-2023 (768-d, biomedical concepts), or any Hugging Face model.",
            source="Remy et al. 2024, doi:10.1093/jamia/ocae029",
            config=BiolordConfig,
            factory=build,
            missing=_missing,
        )
    ]
