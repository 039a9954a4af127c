"""A local server in place of a paid endpoint, and a tiny text model in place of a large one."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from local_endpoint import LocalEndpoint

from dygenept_plugins.facet_writers.llm import LlmConfig, LlmFacetWriter

WORDS = "activates transcription imports glucose across the membrane cell cycle ##s".split()


@pytest.fixture
def endpoint() -> Iterator[LocalEndpoint]:
    """A well-behaved endpoint on this machine; set its ``respond`` to make it misbehave."""
    with LocalEndpoint() as server:
        yield server


@pytest.fixture
def make_writer(endpoint: LocalEndpoint, tmp_path: Path) -> Callable[..., LlmFacetWriter]:
    """Return a maker of the facet writer ``llm``, quick to give up; keywords are its options."""

    def build(**options: object) -> LlmFacetWriter:
        quick = {
            "model": "m",
            "base_url": endpoint.base_url,
            "backoff_s": 0.01,
            "max_backoff_s": 0.02,
            "max_attempts": 3,
            "concurrency": 3,
            "timeout_s": 5.0,
            "journal": str(tmp_path / "journal.jsonl"),
        }
        return LlmFacetWriter(LlmConfig.model_validate({**quick, **options}))

    return build


@pytest.fixture
def journal(tmp_path: Path) -> Callable[[], list[dict[str, object]]]:
    """Return a reader of the records that a writer of ``make_writer`` kept."""

    def read() -> list[dict[str, object]]:
        text = (tmp_path / "journal.jsonl").read_text(encoding="ascii")
        return [json.loads(line) for line in text.splitlines()]

    return read


@pytest.fixture(autouse=True)
def _no_real_key(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("LLM_API_KEY", raising=False)


@pytest.fixture(scope="session")
def write_tiny_bert() -> Callable[[Path, str], Path]:
    """Return a function that writes a tiny random BERT; weights as ``safetensors`` or ``bin``."""
    return _write_bert


@pytest.fixture(scope="session")
def tiny_bert(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folder of a tiny random BERT; not to be changed."""
    return _write_bert(tmp_path_factory.mktemp("models") / "bert")


def _write_bert(folder: Path, weights: str = "safetensors") -> Path:
    """Write a tiny BERT as its makers publish theirs: vocab.txt, config.json and weights."""
    import torch
    from transformers import BertConfig, BertForMaskedLM

    folder.mkdir(parents=True)
    vocabulary = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *WORDS]
    (folder / "vocab.txt").write_text("\n".join(vocabulary) + "\n")
    settings = {"do_lower_case": True, "model_max_length": 512, "tokenizer_class": "BertTokenizer"}
    (folder / "tokenizer_config.json").write_text(json.dumps(settings))
    config = BertConfig(
        vocab_size=len(vocabulary),
        hidden_size=16,
        num_hidden_layers=2,
        num_attention_heads=2,
        intermediate_size=32,
        max_position_embeddings=512,
        architectures=["BertForMaskedLM"],
    )
    with torch.random.fork_rng():
        torch.manual_seed(0)
        model = BertForMaskedLM(config)
        for parameter in model.parameters():
            torch.nn.init.normal_(parameter, std=0.3)
    if weights == "safetensors":
        model.save_pretrained(folder)
    else:
        # A checkpoint of a masked-language model: prefixed names, a head, no pooler.
        config.save_pretrained(folder)
        torch.save(model.state_dict(), folder / "pytorch_model.bin")
    return folder
