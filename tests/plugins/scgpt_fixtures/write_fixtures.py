"""Writes the tiny scGPT checkpoint of this folder and what the published package makes of it.

Run once, with the package unpacked and importable but not installed (its pins exclude today's
torch):

    pip download --no-deps scgpt==0.2.4 -d /tmp/scgpt && unzip -d /tmp/scgpt/src /tmp/scgpt/*.whl
    python tests/plugins/scgpt_fixtures/write_fixtures.py /tmp/scgpt/src

It needs torch, numpy and tqdm. Modules of the package that need more are replaced by stand-ins; the
model, the binning and the collation of cells are the package's own.
"""

from __future__ import annotations

import importlib
import json
import logging
import sys
import types
from pathlib import Path
from typing import Any

import numpy as np
import torch

FOLDER = Path(__file__).resolve().parent
N_CELLS, SEED, SHORT_LENGTH = 12, 7, 20
GENES = [f"GENE{number}" for number in range(48)]
ABSENT = ["NOVEL1", "NOVEL2"]
ARGS: dict[str, Any] = {
    "pad_token": "<pad>",
    "input_style": "binned",
    "input_emb_style": "continuous",
    "n_bins": 51,
    "max_seq_len": 1200,
    "nlayers": 3,
    "nheads": 4,
    "embsize": 16,
    "d_hid": 24,
    "dropout": 0.2,
    "n_layers_cls": 3,
    "mask_value": -1,
    "pad_value": -2,
}


def stand_in(name: str, **attributes: object) -> None:
    module = types.ModuleType(name)
    vars(module).update(attributes)
    sys.modules[name] = module


def import_scgpt(source: Path) -> tuple[types.ModuleType, types.ModuleType]:
    stand_in("scgpt", __path__=[str(source / "scgpt")], logger=logging.getLogger("scgpt"))
    stand_in("scgpt.utils", map_raw_id_to_vocab_id=None)
    stand_in("scanpy", get=types.SimpleNamespace(_get_obs_rep=None, _set_obs_rep=None))
    stand_in("scanpy.get", _get_obs_rep=None, _set_obs_rep=None)
    return importlib.import_module("scgpt.model.model"), importlib.import_module(
        "scgpt.data_collator"
    )


def examples_of(
    expression: np.ndarray, gene_ids: np.ndarray, vocabulary: dict[str, int]
) -> list[dict[str, torch.Tensor]]:
    examples = []
    for row in expression:
        places = np.flatnonzero(row)
        examples.append(
            {
                "genes": torch.from_numpy(np.insert(gene_ids[places], 0, vocabulary["<cls>"])),
                "expressions": torch.from_numpy(np.insert(row[places], 0, ARGS["pad_value"])),
            }
        )
    return examples


def main() -> None:
    model_module, collator_module = import_scgpt(Path(sys.argv[1]))
    rng = np.random.default_rng(SEED)
    torch.manual_seed(SEED)
    names = [*GENES[::-1], "<pad>", "<cls>", "<eoc>"]
    vocabulary = {name: token for token, name in enumerate(names)}
    model = model_module.TransformerModel(
        ntoken=len(names),
        d_model=ARGS["embsize"],
        nhead=ARGS["nheads"],
        d_hid=ARGS["d_hid"],
        nlayers=ARGS["nlayers"],
        nlayers_cls=ARGS["n_layers_cls"],
        n_cls=1,
        vocab=vocabulary,
        dropout=ARGS["dropout"],
        pad_token="<pad>",
        pad_value=ARGS["pad_value"],
        do_mvc=True,
        use_fast_transformer=False,
    ).eval()
    with torch.no_grad():
        # First weights leave norms and biases at 1 and 0, where a mix-up would not show.
        for parameter in model.parameters():
            parameter.add_(torch.randn_like(parameter) * 0.05)

    # Values within a cell are distinct, so that the package's random bins leave no choice.
    symbols = [*GENES[:20], ABSENT[0], *GENES[20:], ABSENT[1]]
    expression = rng.gamma(2.0, 0.8, (N_CELLS, len(symbols))).astype(np.float32)
    expression[rng.random(expression.shape) < np.linspace(0.1, 0.9, N_CELLS)[:, None]] = 0
    known = np.array([name in vocabulary for name in symbols])
    gene_ids = np.array([vocabulary[name] for name in symbols if name in vocabulary])
    collate = collator_module.DataCollator(
        pad_token_id=vocabulary["<pad>"],
        pad_value=ARGS["pad_value"],
        do_mlm=False,
        max_length=ARGS["max_seq_len"],
    )
    batch = collate(examples_of(expression[:, known], gene_ids, vocabulary))
    with torch.no_grad():
        hidden = model._encode(
            batch["gene"],
            batch["expr"],
            src_key_padding_mask=batch["gene"].eq(vocabulary["<pad>"]),
        )

    # Counts tie, so edges coincide; with draws of 0 the package takes the left digit of each.
    counts = rng.integers(0, 4, (N_CELLS, len(symbols))).astype(np.float32)
    tied = np.log1p(counts)
    tied[:, 0] = np.log1p(9.0)  # no cell is empty
    rand, np.random.rand = np.random.rand, lambda *shape: np.zeros(shape)
    tied_batch = collate(examples_of(tied[:, known], gene_ids, vocabulary))
    np.random.rand = rand
    # Cells above the limit: the package samples genes, and leaves them in the order drawn.
    short = collator_module.DataCollator(
        pad_token_id=vocabulary["<pad>"],
        pad_value=ARGS["pad_value"],
        do_mlm=False,
        max_length=SHORT_LENGTH,
        sampling=True,
        keep_first_n_tokens=1,
    )
    short_batch = short(examples_of(expression[:, known], gene_ids, vocabulary))
    with torch.no_grad():
        tied_hidden, short_hidden = (
            model._encode(
                part["gene"],
                part["expr"],
                src_key_padding_mask=part["gene"].eq(vocabulary["<pad>"]),
            )
            for part in (tied_batch, short_batch)
        )

    state = {
        name.replace(".self_attn.in_proj_", ".self_attn.Wqkv."): value.clone()
        for name, value in model.state_dict().items()
        if not name.startswith("cls_decoder.")
    }
    state["flag_encoder.weight"] = torch.randn(2, ARGS["embsize"])
    torch.save(state, FOLDER / "best_model.pt")
    (FOLDER / "vocab.json").write_text(json.dumps(vocabulary, indent=1) + "\n")
    (FOLDER / "args.json").write_text(json.dumps(ARGS, indent=1) + "\n")
    np.savez_compressed(
        FOLDER / "oracle.npz",
        symbols=np.array(symbols),
        expression=expression,
        tokens=batch["gene"].numpy(),
        values=batch["expr"].numpy(),
        cell_embedding=hidden[:, 0].numpy(),
        hidden=hidden.numpy(),
        tied_expression=tied,
        tied_tokens=tied_batch["gene"].numpy(),
        tied_values=tied_batch["expr"].numpy(),
        tied_cell_embedding=tied_hidden[:, 0].numpy(),
        short_tokens=short_batch["gene"].numpy(),
        short_values=short_batch["expr"].numpy(),
        short_cell_embedding=short_hidden[:, 0].numpy(),
    )


if __name__ == "__main__":
    main()
