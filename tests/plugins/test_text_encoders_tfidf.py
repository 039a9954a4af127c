from __future__ import annotations

import numpy as np
import pytest

from dygenept.types import Runtime
from dygenept_plugins.text_encoders.tfidf import TfidfConfig, TfidfEncoder

TEXTS = (
    "positive regulation of apoptotic process; cytochrome c release",
    "apoptotic signaling pathway; caspase activation",
    "cytosolic large ribosomal subunit; cytoplasmic translation",
)


@pytest.fixture(scope="module")
def encoder() -> TfidfEncoder:
    return TfidfEncoder(TfidfConfig(dim=32))


def test_vectors_are_unit_length_float32(encoder: TfidfEncoder) -> None:
    vectors = encoder.encode(TEXTS, Runtime())
    assert (vectors.shape, vectors.dtype) == ((3, 32), np.dtype(np.float32))
    np.testing.assert_allclose(np.linalg.norm(vectors, axis=1), 1, atol=1e-5)


def test_texts_of_one_theme_lie_closer_than_others(encoder: TfidfEncoder) -> None:
    vectors = encoder.encode(TEXTS, Runtime())
    assert vectors[0] @ vectors[1] > vectors[0] @ vectors[2] + 0.2


def test_vector_does_not_depend_on_the_texts_beside_it(encoder: TfidfEncoder) -> None:
    together = encoder.encode(TEXTS, Runtime())
    for row, text in enumerate(TEXTS):
        np.testing.assert_allclose(encoder.encode([text], Runtime())[0], together[row], atol=1e-6)


def test_text_of_unknown_words_is_zero(encoder: TfidfEncoder) -> None:
    assert not encoder.encode(["zzqx wvvk"], Runtime()).any()


def test_no_text_gives_no_vector(encoder: TfidfEncoder) -> None:
    assert encoder.encode([], Runtime()).shape == (0, 32)


def test_identity_follows_the_settings() -> None:
    assert TfidfEncoder(TfidfConfig()).identity == TfidfEncoder(TfidfConfig()).identity
    assert TfidfEncoder(TfidfConfig()).identity != TfidfEncoder(TfidfConfig(dim=8)).identity
