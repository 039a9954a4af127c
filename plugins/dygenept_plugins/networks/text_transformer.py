"""A frozen text transformer read from a local folder, mean-pooled to one unit vector a text."""

from __future__ import annotations

import logging
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import torch
from torch.nn import functional

from dygenept.types import FloatArray


class TextTransformer:
    """Tokenizer and model of one checkpoint folder; never touches the network."""

    def __init__(self, folder: Path, *, max_tokens: int) -> None:
        from transformers import AutoModel, AutoTokenizer

        with _quiet_transformers():
            self._tokenizer = AutoTokenizer.from_pretrained(str(folder), local_files_only=True)
            self._model = AutoModel.from_pretrained(
                str(folder), local_files_only=True, dtype=torch.float32
            )
        self._model.eval().requires_grad_(False)
        self._max_tokens = max_tokens

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
    ) -> FloatArray:
        """Embed texts; a text's vector does not depend on the texts beside it.

        Args:
            texts: Texts; cut at ``max_tokens``.
            device: Torch device string.
            batch_tokens: Tokens in one forward pass, padding counted.
            report: Called with the number of texts done.

        Returns:
            Unit vectors, (n_texts, D), float32.
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
        # Float32 on every device: vectors are cached, and must not tell where they were made.
        with torch.inference_mode(), torch.autocast(torch.device(device).type, enabled=False):
            for batch in _batches(lengths, batch_tokens):
                ids, mask = _padded([tokens[index] for index in batch], self._pad_id)
                hidden = self._model(
                    input_ids=ids.to(device), attention_mask=mask.to(device)
                ).last_hidden_state  # (B, S, D)
                weight = mask.to(device).unsqueeze(-1).float()
                pooled = (hidden * weight).sum(dim=1) / weight.sum(dim=1)  # (B, D)
                vectors[batch] = functional.normalize(pooled, dim=-1).cpu().numpy()
                done += len(batch)
                report(done)
        return vectors

    @property
    def _pad_id(self) -> int:
        return int(self._tokenizer.pad_token_id)


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
