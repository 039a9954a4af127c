"""The cell encoder against the official scgpt package itself, at small and at full size.

Runs where ``DYGENEPT_SCGPT_SITE`` names a folder that holds the package (``pip install --no-deps
--target FOLDER scgpt==0.2.4``); its outputs at small size are kept in ``scgpt_fixtures`` for
everybody else.
"""

from __future__ import annotations

import importlib
import json
import logging
import os
import sys
import types
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from scipy import sparse

from dygenept.plugin.interfaces import CellEncoderContext, ControlPool
from dygenept_plugins.cell_encoders.scgpt import ScGptConfig, build
from dygenept_plugins.networks.scgpt_cells import ScGptCellState

pytestmark = [
    pytest.mark.filterwarnings("ignore"),
    pytest.mark.skipif(
        "DYGENEPT_SCGPT_SITE" not in os.environ,
        reason="DYGENEPT_SCGPT_SITE names no folder with the official scgpt package",
    ),
]


@pytest.fixture(scope="module")
def official() -> tuple[Any, Any]:
    """The package's model and collator modules, beside stand-ins for what they do not need."""
    site = Path(os.environ["DYGENEPT_SCGPT_SITE"])
    parts: dict[str, dict[str, object]] = {
        "scgpt": {"__path__": [str(site / "scgpt")], "logger": logging.getLogger("scgpt")},
        "scgpt.utils": {"map_raw_id_to_vocab_id": None},
        "scanpy": {},
        "scanpy.get": {"_get_obs_rep": None, "_set_obs_rep": None},
    }
    for name, attributes in parts.items():
        module = types.ModuleType(name)
        vars(module).update(attributes)
        sys.modules.setdefault(name, module)
    return (
        importlib.import_module("scgpt.model.model"),
        importlib.import_module("scgpt.data_collator"),
    )


@pytest.mark.parametrize("has_ties", [False, True])
@pytest.mark.parametrize("size", ["small", "full"])
def test_tokens_bins_and_embeddings_equal_the_official_packages(
    official: tuple[Any, Any],
    shared_data: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    size: str,
    has_ties: bool,
) -> None:
    model_module, collator_module = official
    vocabulary = json.loads((shared_data / "scgpt" / "vocab.json").read_text())
    arguments = json.loads((shared_data / "scgpt" / "args.json").read_text())
    if size == "small":
        arguments |= {"nlayers": 3, "nheads": 4, "embsize": 32, "d_hid": 48}
    with torch.random.fork_rng():
        torch.manual_seed(0)
        model = model_module.TransformerModel(
            ntoken=len(vocabulary),
            d_model=arguments["embsize"],
            nhead=arguments["nheads"],
            d_hid=arguments["d_hid"],
            nlayers=arguments["nlayers"],
            vocab=vocabulary,
            dropout=arguments["dropout"],
            pad_value=arguments["pad_value"],
            do_mvc=True,
        ).eval()
        with torch.no_grad():
            # First norms and biases are 1 and 0, where a mix-up would not show.
            for parameter in model.parameters():
                parameter.add_(torch.randn_like(parameter) * 0.03)
    torch.save(model.state_dict(), tmp_path / "best_model.pt")
    (tmp_path / "vocab.json").write_text(json.dumps(vocabulary))
    (tmp_path / "args.json").write_text(json.dumps(arguments))

    rng = np.random.default_rng(1)
    genes = [name for name in vocabulary if "<" not in name][:: len(vocabulary) // 1300][:1250]
    symbols = (*genes[:700], "NOT A GENE", *genes[700:])
    counts = rng.poisson(1.5, (6, len(symbols))) * (rng.random((6, len(symbols))) < 0.8)
    counts[0, :] = 0
    counts[0, 5:9] = 1 + np.arange(4)
    expression = np.log1p(counts).astype(np.float32)
    if has_ties:
        monkeypatch.setattr(np.random, "rand", lambda *shape: np.zeros(shape))
    else:
        expression += (expression > 0) * rng.random(expression.shape).astype(np.float32)
    config = ScGptConfig(checkpoint=str(tmp_path), freeze_layers=-2)
    module = build(config, CellEncoderContext(symbols, (), 8, seed=0))
    assert isinstance(module, ScGptCellState)
    rows = torch.arange(len(expression))
    module.eval().prepare(ControlPool(sparse.csr_matrix(expression), symbols, [0] * len(rows)))

    ids = np.array([vocabulary.get(name, -1) for name in symbols])
    examples = []
    for row in expression:
        places = np.flatnonzero((row > 0) & (ids >= 0))
        examples.append(
            {
                "genes": torch.from_numpy(np.insert(ids[places], 0, vocabulary["<cls>"])),
                "expressions": torch.from_numpy(np.insert(row[places], 0, -2.0)),
            }
        )
    batch = collator_module.DataCollator(
        pad_token_id=vocabulary["<pad>"], pad_value=-2, do_mlm=False, max_length=1200
    )(examples)
    padding = batch["gene"].eq(vocabulary["<pad>"])
    with torch.no_grad():
        expected = model._encode(batch["gene"], batch["expr"], src_key_padding_mask=padding)[:, 0]
        found = module.embed(rows)
    tokens = module.table.gather(rows)
    assert torch.equal(tokens.tokens, batch["gene"])
    assert torch.equal(tokens.values, batch["expr"])
    torch.testing.assert_close(found, expected, atol=1e-5, rtol=0)
