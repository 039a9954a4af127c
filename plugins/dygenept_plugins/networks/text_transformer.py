"""A frozen text transformer read from a local folder, pooled to one vector per text."""

from __future__ import annotations

import logging
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Literal

import numpy as np
import torch
from torch.nn import functional

from dygenept.plugin import DataError
from dygenept.types import FloatArray

Pooling = Literal["mean", "cls"]
# The pooled output of BERT's own head is not read here; checkpoints often lack it.
UNREAD = "pooler."


class TextTransformer:
    """Tokenizer and model of one checkpoint folder; never touches the network.

    Weights are read from safetensors where they are there, else from a PyTorch file by torch's
    reader of weights alone; code that a checkpoint brings along is never run.

    Args:
        folder: Checkpoint folder in Hugging Face's layout.
        max_tokens: Texts are cut here.
        pooling: ``mean`` over real tokens, or the first token's state.
        is_normalized: Give each vector unit length.

    Raises:
        DataError: If the folder cannot be read, or lacks weights of the model.
    """

    def __init__(
        self,
        folder: Path,
        *,
        max_tokens: int,
        pooling: Pooling = "mean",
        is_normalized: bool = True,
    ) -> None:
        from transformers import AutoModel, AutoTokenizer

        try:
            with _quiet_transformers():
                self._tokenizer = AutoTokenizer.from_pretrained(
                    str(folder), local_files_only=True, trust_remote_code=False
                )
                self._model, loading = AutoModel.from_pretrained(
                    str(folder),
                    local_files_only=True,
                    trust_remote_code=False,
                    weights_only=True,
                    dtype=torch.float32,
                    output_loading_info=True,
                )
        # transformers, tokenizers, safetensors and torch each raise errors of their own here.
        except Exception as error:
            reason = " ".join(str(error).split())[:300]
            raise DataError(
                f"{folder} cannot be read as a text model of Hugging Face's layout ({reason}); "
                "fetch it again"
            ) from error
        missing = sorted(name for name in loading["missing_keys"] if not name.startswith(UNREAD))
        if missing:
            raise DataError(
                f"the weights in {folder} lack {len(missing)} of the model's tensors, "
                f"{missing[0]!r} among them; they are of another model, or cut short"
            )
        self._model.eval().requires_grad_(False)
        self._max_tokens = max_tokens
        self._pooling = pooling
        self._is_normalized = is_normalized

    @property
    def width(self) -> int:
        """Width of the vectors."""
        return int(self._model.config.hidden_size)

    def encode(
        self,
        texts: Sequence[str],
        *,
        device: str,
        batch_tokens: int,
        report: Callable[[int], None],
        is_bfloat16: bool = False,
    ) -> FloatArray:
        """Embed texts; a text's vector does not depend on the texts beside it.

        Args:
            texts: Texts; cut at ``max_tokens``.
            device: Torch device string.
            batch_tokens: Tokens in one forward pass, padding counted.
            report: Called with the number of texts done.
            is_bfloat16: Run the layers in bfloat16; pooling stays in float32.

        Returns:
            Vectors, (n_texts, D), float32; of unit length where so built.
        """
        if not texts:
            return np.zeros((0, self.width), dtype=np.float32)
        tokens: list[list[int]] = self._tokenizer(
            list(texts), truncation=True, max_length=self._max_tokens, verbose=False
        )["input_ids"]
        lengths = np.array([len(ids) for ids in tokens])
        vectors = np.empty((len(texts), self.width), dtype=np.float32)
        done = 0
        self._model.to(device)
        precision = torch.autocast(
            torch.device(device).type, dtype=torch.bfloat16, enabled=is_bfloat16
        )
        with torch.inference_mode(), precision:
            for batch in _batches(lengths, batch_tokens):
                ids, mask = _padded([tokens[index] for index in batch], self._pad_id)
                hidden = self._model(
                    input_ids=ids.to(device), attention_mask=mask.to(device)
                ).last_hidden_state  # (B, S, D)
                pooled = _pooled(hidden.float(), mask.to(device), self._pooling)  # (B, D)
                if self._is_normalized:
                    pooled = functional.normalize(pooled, dim=-1)
                vectors[batch] = pooled.cpu().numpy()
                done += len(batch)
                report(done)
        return vectors

    @property
    def _pad_id(self) -> int:
        return int(self._tokenizer.pad_token_id)


def _pooled(hidden: torch.Tensor, mask: torch.Tensor, pooling: Pooling) -> torch.Tensor:
    if pooling == "cls":
        return hidden[:, 0]
    weight = mask.unsqueeze(-1).float()
    return (hidden * weight).sum(dim=1) / weight.sum(dim=1)


def _batches(lengths: np.ndarray, batch_tokens: int) -> Iterator[np.ndarray]:
    # Texts of like length share a batch, so that little of it is padding.
    order = np.argsort(-lengths, kind="stable")
    start = 0
    while start < len(order):
        stop = start + max(1, batch_tokens // int(lengths[order[start]]))
        yield order[start:stop]
        start = stop


def _padded(rows: list[list[int]], pad_id: int) -> tuple[torch.Tensor, torch.Tensor]:
    longest = max(len(row) for row in rows)
    ids = torch.full((len(rows), longest), pad_id, dtype=torch.long)
    mask = torch.zeros((len(rows), longest), dtype=torch.bool)
    for index, row in enumerate(rows):
        ids[index, : len(row)] = torch.tensor(row)
        mask[index, : len(row)] = True
    return ids, mask


@contextmanager
def _quiet_transformers() -> Iterator[None]:
    # transformers draws a weight-loading bar and logs a load report on stderr, which is ours.
    from transformers.utils import logging as transformers_logging

    had_bar = transformers_logging.is_progress_bar_enabled()
    verbosity = transformers_logging.get_verbosity()
    transformers_logging.disable_progress_bar()  # type: ignore[no-untyped-call]
    transformers_logging.set_verbosity(logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        transformers_logging.set_verbosity(verbosity)
        if had_bar:
            transformers_logging.enable_progress_bar()  # type: ignore[no-untyped-call]
