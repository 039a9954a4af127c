"""Text vectors on disk, so that a text is embedded once, whichever data set asks for it.

One folder per encoder identity, holding shards that are written once under a name of their content
and never changed: two processes at once can lose no vector and need no lock.
"""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

import numpy as np

from dygenept.errors import DataError
from dygenept.machine.reading import reading
from dygenept.machine.whole_files import write_whole
from dygenept.types import FloatArray

logger = logging.getLogger(__name__)

KEY_BYTES = 16


def text_keys(texts: Sequence[str]) -> list[bytes]:
    """Return the cache key of each text: the first 16 bytes of its SHA-256."""
    return [hashlib.sha256(text.encode()).digest()[:KEY_BYTES] for text in texts]


class EmbeddingCache:
    """The vectors of one encoder identity.

    Args:
        cache_dir: Folder of all computed knowledge; None keeps nothing.
        identity: Names weights and settings (and the corpus, where vectors depend on it).
    """

    def __init__(self, cache_dir: Path | None, identity: str) -> None:
        name = hashlib.sha256(identity.encode()).hexdigest()[:24]
        self._folder = None if cache_dir is None else cache_dir / "embeddings" / name

    def read(self, texts: Sequence[str]) -> dict[str, FloatArray]:
        """Return the vectors that are there; a damaged shard is removed, with a warning."""
        if self._folder is None or not self._folder.is_dir():
            return {}
        wanted = dict(zip(text_keys(texts), texts, strict=True))
        found: dict[str, FloatArray] = {}
        for shard in sorted(self._folder.glob("*.safetensors")):
            found.update(_read_shard(shard, wanted))
        return found

    def missing(self, texts: Sequence[str]) -> list[str]:
        """Return the texts without a vector here; only their keys are read, and nothing removed."""
        from safetensors import safe_open

        missing = dict(zip(text_keys(texts), texts, strict=True))
        for shard in () if self._folder is None else sorted(self._folder.glob("*.safetensors")):
            with (
                suppress(DataError),
                reading(shard, "a cache of embeddings"),
                safe_open(shard, framework="numpy") as opened,
            ):
                for key in opened.get_tensor("keys"):
                    missing.pop(key.tobytes(), None)
        return list(missing.values())

    def write(self, texts: Sequence[str], vectors: FloatArray) -> None:
        """Keep the vectors of some texts, (n_texts, D); a disk that refuses is only warned of."""
        if self._folder is None or not texts:
            return
        from safetensors.numpy import save

        keys = np.frombuffer(b"".join(text_keys(texts)), dtype=np.uint8)
        content = save(
            {
                "keys": keys.reshape(len(texts), KEY_BYTES),
                "vectors": np.ascontiguousarray(vectors, dtype=np.float32),
            }
        )
        name = hashlib.sha256(content).hexdigest()[:24]
        try:
            write_whole(self._folder / f"{name}.safetensors", content)
        except OSError as error:
            logger.warning("embeddings are not cached in %s: %s", self._folder, error)


def _read_shard(shard: Path, wanted: dict[bytes, str]) -> dict[str, FloatArray]:
    from safetensors import safe_open

    try:
        with (
            reading(shard, "a cache of embeddings"),
            safe_open(shard, framework="numpy") as opened,
        ):
            keys = opened.get_tensor("keys")
            rows = [
                (row, text)
                for row, key in enumerate(keys)
                if (text := wanted.get(key.tobytes())) is not None
            ]
            if not rows:
                return {}
            vectors = opened.get_tensor("vectors")
            is_table = vectors.ndim == 2 and len(vectors) == len(keys)
            is_whole = is_table and bool(np.isfinite(vectors).all())
    except DataError as error:
        if not shard.exists():
            # Another process found the shard damaged first and removed it.
            return {}
        is_whole, reason = False, str(error)
    else:
        reason = "it contains non-finite values or lacks rows"
    if not is_whole:
        logger.warning("embedding cache %s is damaged and computed again (%s)", shard, reason)
        # A shared, read-only cache keeps it.
        with suppress(OSError):
            shard.unlink()
        return {}
    return {text: vectors[row] for row, text in rows}
