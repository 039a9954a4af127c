"""Text encoder ``biolord``: BioLORD-2023, sentence embeddings of biomedical concepts.

768 wide. Remy et al. 2024, doi:10.1093/jamia/ocae029. The weights do not ship: they are read from a
folder, from the data folder (``<data folder>/biolord``) or from the Hugging Face cache. Their
licence: see the model card; the model builds on UMLS and SNOMED CT.
"""

from __future__ import annotations

from dygenept.plugin import TextEncoderSpec, hookimpl
from dygenept_plugins.text_encoders._transformer import TransformerConfig, transformer_spec

MODEL = "FremyCompany/BioLORD-2023"


class BiolordConfig(TransformerConfig):
    """Options of ``biolord``; another ``model`` of Hugging Face's layout may take its place."""

    model: str = MODEL


@hookimpl
def dygenept_text_encoders() -> list[TextEncoderSpec]:
    """Return the text encoder ``biolord``."""
    return [
        transformer_spec(
            "biolord",
            MODEL,
            BiolordConfig,
            summary="BioLORD-2023 (768-d, biomedical concepts), or any Hugging Face model.",
            source="Remy et al. 2024, doi:10.1093/jamia/ocae029",
        )
    ]
