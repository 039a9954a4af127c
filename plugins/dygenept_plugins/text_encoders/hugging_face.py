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
import hashlib
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from pydantic import Field

from dygenept.plugin import DataUnavailableError, PluginConfig, TextEncoderSpec, hookimpl
from dygenept.types import FloatArray, Progress, Runtime

if TYPE_CHECKING:
    from dygenept.plugin import TextEncoder
    from dygenept_plugins.networks.text_transformer import TextTransformer

# Either file of a line will do; safetensors come first, since they cannot contain code.
WEIGHTS = (
    "model.safetensors",
    "model.safetensors.index.json",
    "pytorch_model.bin",
    "pytorch_model.bin.index.json",
)
TOKENIZERS = (
    "tokenizer.json",
    "vocab.txt",
    "vocab.json",
    "spiece.model",
    "sentencepiece.bpe.model",
)
SETTINGS = ("config.json", "tokenizer_config.json", "special_tokens_map.json", "merges.txt")
BLOCK = 1 << 20


def find_checkpoint(model: str, *, name: str, data_dir: Path | None = None) -> Path:
    """Return the folder of a model.

    Looks at ``model`` as a folder, then at ``<data folder>/<name>``, then in the Hugging Face
    cache; nothing is downloaded.

    Args:
        model: Path of a folder, or Hugging Face id.
        name: Folder within the data folder; empty where the model has none of its own.
        data_dir: Data folder; None takes the default.

    Raises:
        DataUnavailableError: If no folder has all files; says which are missing, and how to
            fetch them.
    """
    looked = _places(model, name, data_dir)
    for folder in looked:
        if not lacking_files(folder):
            return folder
    begun = [folder for folder in looked if folder.is_dir()]
    if begun:
        what = f"{begun[0]} lacks {', '.join(lacking_files(begun[0]))}"
    else:
        what = f"looked in {', '.join(map(str, looked)) or 'the Hugging Face cache'}"
    if _is_path(model):
        raise DataUnavailableError(
            f"no text model in the folder {model}: {what}; it must contain config.json, a "
            f"tokenizer ({' or '.join(TOKENIZERS[:2])}) and weights ({WEIGHTS[0]} or {WEIGHTS[2]})"
        )
    fetch = f"dygenept data fetch {name}, or: " if name else ""
    raise DataUnavailableError(
        f"the text model {model} is not on this machine ({what}); run: {fetch}hf download {model}; "
        "or give a folder that contains it as the option model. Offline, the encoders minilm and "
        "tfidf work"
    )


def lacking_files(folder: Path) -> tuple[str, ...]:
    """Return what a checkpoint folder lacks; alternatives are joined by ``or``."""
    missing = [] if (folder / "config.json").is_file() else ["config.json"]
    for choices in (TOKENIZERS, WEIGHTS):
        if not any((folder / choice).is_file() for choice in choices):
            missing.append(" or ".join((choices[0], choices[1 if choices is TOKENIZERS else 2])))
    return tuple(missing)


def checkpoint_digest(folder: Path) -> str:
    """Return the SHA-256 of what determines a model's vectors: weights, tokenizer, settings."""
    files = _read_files(folder)
    stamp = tuple((path.stat().st_size, path.stat().st_mtime_ns) for path in files)
    return _digest(files, stamp)


@functools.lru_cache(maxsize=8)
def _digest(files: tuple[Path, ...], stamp: tuple[tuple[int, int], ...]) -> str:
    digest = hashlib.sha256()
    for path, (size, _) in zip(files, stamp, strict=True):
        digest.update(f"{path.name}/{size}/".encode())
        with path.open("rb") as stream:
            while block := stream.read(BLOCK):
                digest.update(block)
    return digest.hexdigest()


def _read_files(folder: Path) -> tuple[Path, ...]:
    names = [name for name in (*SETTINGS, *TOKENIZERS) if (folder / name).is_file()]
    weights = next((name for name in WEIGHTS if (folder / name).is_file()), None)
    if weights is not None and weights.endswith(".index.json"):
        kind = "safetensors" if "safetensors" in weights else "bin"
        names += [path.name for path in sorted(folder.glob(f"*-of-*.{kind}"))]
    elif weights is not None:
        names.append(weights)
    return tuple(folder / name for name in names)


def _places(model: str, name: str, data_dir: Path | None) -> list[Path]:
    if _is_path(model):
        return [Path(model).expanduser()]
    from dygenept.machine.folders import default_data_dir, place_in

    base = data_dir or default_data_dir()
    original = (f"checkpoints/{name}", f"../checkpoints/{name}")
    places = [place_in(base, name, original)] if name else []
    cached = _cached_snapshot(model)
    return places if cached is None else [*places, cached]


def _is_path(model: str) -> bool:
    return model.startswith((".", "/", "~")) or model.count("/") > 1 or Path(model).is_dir()


def _cached_snapshot(model: str) -> Path | None:
    from huggingface_hub import try_to_load_from_cache
    from huggingface_hub.errors import HFValidationError

    try:
        found = try_to_load_from_cache(model, "config.json")
    except HFValidationError as error:
        raise DataUnavailableError(
            f"{model!r} is neither a folder nor a Hugging Face id such as organisation/model"
        ) from error
    return Path(found).parent if isinstance(found, str) else None


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
