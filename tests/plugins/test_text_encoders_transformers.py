"""Text encoders ``biomedbert`` and ``biolord``, on tiny random models in the published layouts."""

from __future__ import annotations

import json
import pickle
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch

from dygenept.errors import DataError, DataUnavailableError
from dygenept.plugin import TextEncoderSpec
from dygenept.types import Progress, Runtime
from dygenept_plugins.text_encoders.hugging_face import (
    BIOMEDBERT,
    BiolordConfig,
    BiomedbertConfig,
    TransformerConfig,
    TransformerEncoder,
    dygenept_text_encoders,
)

TEXTS = ("activates transcription", "imports glucose across the membrane", "cell", "cell cycle")
WORDS = "activates transcription imports glucose across the membrane cell cycle ##s".split()
WIDTH = 16


def write_mpnet(folder: Path) -> Path:
    """Write a tiny MPNet with a fast tokenizer, as BioLORD's repository holds them."""
    from transformers import MPNetConfig, MPNetModel, MPNetTokenizerFast

    vocabulary = ["<s>", "<pad>", "</s>", "[UNK]", "<mask>", *WORDS]
    folder.mkdir(parents=True)
    (folder / "vocab.txt").write_text("\n".join(vocabulary) + "\n")
    MPNetTokenizerFast.from_pretrained(folder).save_pretrained(folder)
    config = MPNetConfig(
        vocab_size=len(vocabulary),
        hidden_size=WIDTH,
        num_hidden_layers=1,
        num_attention_heads=2,
        intermediate_size=32,
        max_position_embeddings=514,
        pad_token_id=1,
    )
    with torch.random.fork_rng():
        torch.manual_seed(0)
        MPNetModel(config).save_pretrained(folder)
    (folder / "modules.json").write_text("[]")
    return folder


@pytest.fixture
def bert(tiny_bert: Path) -> Path:
    return tiny_bert


@pytest.fixture(autouse=True)
def _empty_places(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DYGENEPT_DATA", str(tmp_path / "data"))
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path / "hub"))


def spec_named(name: str) -> TextEncoderSpec:
    (spec,) = (spec for spec in dygenept_text_encoders() if spec.name == name)
    return spec


def built_by(name: str, config: TransformerConfig) -> TransformerEncoder:
    made = spec_named(name).factory(config)
    assert isinstance(made, TransformerEncoder)
    return made


def encoder(folder: Path, **options: object) -> TransformerEncoder:
    config = BiomedbertConfig.model_validate({"model": str(folder), **options})
    return built_by("biomedbert", config)


def states(folder: Path, text: str) -> torch.Tensor:
    """Last hidden states of one text by transformers alone, (S, D)."""
    from transformers import AutoModel, AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(folder)
    model = AutoModel.from_pretrained(folder).eval()
    with torch.no_grad():
        return model(torch.tensor([tokenizer(text)["input_ids"]])).last_hidden_state[0]


@pytest.mark.parametrize(
    ("pooling", "pool"),
    [("mean", lambda hidden: hidden.mean(0)), ("cls", lambda hidden: hidden[0])],
)
def test_vector_pools_the_models_last_states(
    bert: Path, pooling: str, pool: Callable[[torch.Tensor], torch.Tensor]
) -> None:
    vectors = encoder(bert, pooling=pooling, is_normalized=False).encode(TEXTS, Runtime())
    expected = np.stack([pool(states(bert, text)).numpy() for text in TEXTS])
    np.testing.assert_allclose(vectors, expected, atol=1e-5)
    unit = encoder(bert, pooling=pooling).encode(TEXTS, Runtime())
    np.testing.assert_allclose(
        unit, expected / np.linalg.norm(expected, axis=1, keepdims=True), atol=1e-5
    )


@pytest.mark.parametrize("weights", ["safetensors", "bin"])
def test_masked_language_checkpoint_gives_the_same_vectors_in_either_form(
    bert: Path, tmp_path: Path, weights: str, write_tiny_bert: Callable[[Path, str], Path]
) -> None:
    folder = write_tiny_bert(tmp_path / "other", weights)
    np.testing.assert_array_equal(
        encoder(folder).encode(TEXTS, Runtime()), encoder(bert).encode(TEXTS, Runtime())
    )


def test_batches_and_neighbours_change_nothing(bert: Path) -> None:
    together = encoder(bert).encode(TEXTS, Runtime())
    small = encoder(bert, batch_tokens=1)
    np.testing.assert_allclose(small.encode(TEXTS, Runtime()), together, atol=1e-5)
    np.testing.assert_allclose(small.encode(TEXTS[1:2], Runtime())[0], together[1], atol=1e-5)
    assert small.identity == encoder(bert).identity


def test_text_is_cut_at_the_token_limit(bert: Path) -> None:
    first, second = encoder(bert, max_tokens=16).encode(["cell " * 14, "cell " * 900], Runtime())
    np.testing.assert_allclose(first, second, atol=1e-6)
    longer = encoder(bert).encode(["cell " * 254, "cell " * 253, "cell " * 900], Runtime())
    np.testing.assert_allclose(longer[0], longer[2], atol=1e-6)
    assert np.abs(longer[0] - longer[1]).max() > 1e-7


def test_bfloat16_stays_close_to_float32(bert: Path) -> None:
    exact = encoder(bert, precision="float32").encode(TEXTS, Runtime())
    rounded = encoder(bert, precision="bfloat16").encode(TEXTS, Runtime())
    assert rounded.dtype == np.float32
    assert (rounded != exact).any()
    assert ((rounded * exact).sum(axis=1) > 0.999).all()
    # On a CPU, auto is float32.
    np.testing.assert_array_equal(encoder(bert).encode(TEXTS, Runtime()), exact)


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")
def test_bfloat16_on_a_gpu_stays_close_to_the_cpu(bert: Path) -> None:
    exact = encoder(bert).encode(TEXTS, Runtime())
    rounded = encoder(bert).encode(TEXTS, Runtime(device="cuda"))
    assert ((rounded * exact).sum(axis=1) > 0.999).all()


def test_identity_follows_weights_and_settings(bert: Path, tmp_path: Path) -> None:
    base = encoder(bert).identity
    others = [
        encoder(bert, **options).identity
        for options in (
            {"pooling": "cls"},
            {"max_tokens": 64},
            {"precision": "bfloat16"},
            {"is_normalized": False},
        )
    ]
    copy = tmp_path / "copy"
    shutil.copytree(bert, copy)
    assert encoder(copy).identity == base
    content = bytearray((copy / "model.safetensors").read_bytes())
    content[-1] ^= 1
    (copy / "model.safetensors").write_bytes(content)
    assert len({base, encoder(copy).identity, *others}) == 6


def test_mpnet_in_biolords_layout_is_read(tmp_path: Path) -> None:
    folder = write_mpnet(tmp_path / "biolord")
    built = built_by("biolord", BiolordConfig(model=str(folder)))
    vectors = built.encode(TEXTS, Runtime())
    hidden = states(folder, TEXTS[1]).mean(0)
    np.testing.assert_allclose(vectors[1], (hidden / hidden.norm()).numpy(), atol=1e-5)


@pytest.mark.parametrize("name", ["biomedbert", "biolord"])
def test_fetched_files_are_found_in_the_data_folder(name: str, tmp_path: Path, bert: Path) -> None:
    shutil.copytree(bert, tmp_path / "data" / name)
    spec = spec_named(name)
    config = spec.config()
    assert spec.missing is not None
    assert spec.missing(config) is None
    assert spec.factory(config).encode(TEXTS, Runtime()).shape == (4, WIDTH)


def _cache(hub: Path, model: str, folder: Path) -> None:
    """Put a model into the Hugging Face cache, in its layout."""
    place = hub / f"models--{model.replace('/', '--')}"
    (place / "refs").mkdir(parents=True)
    (place / "refs" / "main").write_text("abc")
    shutil.copytree(folder, place / "snapshots" / "abc")


def test_any_id_is_found_in_the_hugging_face_cache(tmp_path: Path, bert: Path) -> None:
    _cache(tmp_path / "hub", "some/model", bert)
    _cache(tmp_path / "hub", BIOMEDBERT, bert)
    for config in (
        BiomedbertConfig(),
        BiomedbertConfig(model="some/model"),
    ):
        assert built_by("biomedbert", config).encode(TEXTS, Runtime()).shape == (4, WIDTH)


def test_data_folder_of_the_default_model_does_not_stand_for_another(
    tmp_path: Path, bert: Path
) -> None:
    shutil.copytree(bert, tmp_path / "data" / "biomedbert")
    other = built_by("biomedbert", BiomedbertConfig(model="some/other"))
    with pytest.raises(DataUnavailableError, match="hf download some/other"):
        other.encode(TEXTS, Runtime())


def test_missing_model_says_where_it_was_sought_and_how_to_fetch_it(tmp_path: Path) -> None:
    spec = spec_named("biomedbert")
    assert spec.missing is not None
    message = spec.missing(spec.config())
    assert message is not None
    for part in (
        str(tmp_path / "data" / "biomedbert"),
        "dygenept data fetch biomedbert",
        f"hf download {BIOMEDBERT}",
        "minilm",
    ):
        assert part in message
    with pytest.raises(DataUnavailableError, match="data fetch"):
        _ = spec.factory(spec.config()).identity


@pytest.mark.parametrize(
    ("name", "named"),
    [
        ("config.json", "lacks config.json"),
        ("vocab.txt", "lacks tokenizer.json or vocab.txt"),
        ("model.safetensors", "lacks model.safetensors or pytorch_model.bin"),
    ],
)
def test_folder_that_lacks_a_file_names_it(
    bert: Path, tmp_path: Path, name: str, named: str
) -> None:
    copy = tmp_path / "copy"
    shutil.copytree(bert, copy)
    (copy / name).unlink()
    with pytest.raises(DataUnavailableError, match=named):
        encoder(copy).encode(TEXTS, Runtime())


def test_weights_of_another_model_are_refused_not_drawn_at_random(
    bert: Path, tmp_path: Path
) -> None:
    from safetensors.torch import load_file, save_file

    copy = tmp_path / "copy"
    shutil.copytree(bert, copy)
    tensors = load_file(copy / "model.safetensors")
    kept = {name: tensor for name, tensor in tensors.items() if "layer.1" not in name}
    save_file(kept, copy / "model.safetensors", metadata={"format": "pt"})
    with pytest.raises(DataError, match=r"lack \d+ of the model's tensors"):
        encoder(copy).encode(TEXTS, Runtime())


def test_damaged_weights_are_refused(bert: Path, tmp_path: Path) -> None:
    copy = tmp_path / "copy"
    shutil.copytree(bert, copy)
    (copy / "model.safetensors").write_bytes(b"not safetensors")
    with pytest.raises(DataError, match="cannot be read as a text model"):
        encoder(copy).encode(TEXTS, Runtime())


class _Touch:
    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[Callable[..., object], tuple[Path]]:
        return Path.touch, (self.path,)


def test_pickled_weights_that_would_run_code_are_refused(
    tmp_path: Path, write_tiny_bert: Callable[[Path, str], Path]
) -> None:
    folder = write_tiny_bert(tmp_path / "evil", "bin")
    proof = tmp_path / "proof"
    (folder / "pytorch_model.bin").write_bytes(pickle.dumps({"a": _Touch(proof)}, protocol=2))
    with pytest.raises(DataError, match="cannot be read as a text model"):
        encoder(folder).encode(TEXTS, Runtime())
    torch.save({"a": _Touch(proof)}, folder / "pytorch_model.bin")
    with pytest.raises(DataError, match="cannot be read as a text model"):
        encoder(folder).encode(TEXTS, Runtime())
    assert not proof.exists()


def test_code_that_a_checkpoint_brings_is_not_run(bert: Path, tmp_path: Path) -> None:
    copy = tmp_path / "copy"
    shutil.copytree(bert, copy)
    document = json.loads((copy / "config.json").read_text())
    document |= {"model_type": "mine", "auto_map": {"AutoConfig": "mine.C", "AutoModel": "mine.M"}}
    (copy / "config.json").write_text(json.dumps(document))
    (copy / "mine.py").write_text(f"open({str(tmp_path / 'proof')!r}, 'w')\nclass C: ...\n")
    with pytest.raises(DataError, match="cannot be read as a text model"):
        encoder(copy).encode(TEXTS, Runtime())
    assert not (tmp_path / "proof").exists()


def test_no_text_gives_no_vector_and_progress_ends_at_the_number_of_texts(bert: Path) -> None:
    seen: list[Progress] = []
    built = encoder(bert)
    assert built.encode([], Runtime()).shape == (0, WIDTH)
    built.encode(TEXTS, Runtime(report=seen.append))
    assert seen[-1] == Progress("embed", 4, 4)
