"""Artefacts of the knowledge pipeline: files with a manifest that says what determined them.

The workspace is their folder: which input a step reads, and whether it is current.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict, ValidationError

from dygenept.errors import DataUnavailableError
from dygenept.knowledge.genes.corpus import read_corpus
from dygenept.knowledge.precompute.request import ARTEFACTS, PrecomputeRequest
from dygenept.machine.checksums import file_sha256
from dygenept.machine.versions import distribution_versions
from dygenept.machine.whole_files import write_whole
from dygenept.plugin.interfaces import CorpusEntry

logger = logging.getLogger(__name__)

VERSIONED = ("dygenept", "numpy", "scipy", "scikit-learn", "torch", "transformers")


class ArtefactManifest(BaseModel):
    """What an artefact is made of; written after the artefact, so that one with it is whole.

    Attributes:
        schema_version: Version of this document.
        step: Step of the pipeline, ``1`` to ``4``.
        files: SHA-256 of each file of the artefact, by name.
        inputs: Hash or identity of whatever it was made from, by name.
        config: Options that determined it.
        counts: What is in it, for people.
        versions: Versions of the packages it was made with; they make nothing stale.
        created: When it was made.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    schema_version: Literal[1] = 1
    step: str
    files: Mapping[str, str]
    inputs: Mapping[str, str]
    config: Mapping[str, object]
    counts: Mapping[str, int]
    versions: Mapping[str, str]
    created: str


@dataclass(frozen=True, slots=True)
class MadeOf:
    """What determines an artefact: where these are unchanged, it is kept.

    Attributes:
        step: Step of the pipeline, ``1`` to ``4``.
        inputs: Hash or identity of whatever it is made from, by name.
        config: Options that determine it.
    """

    step: str
    inputs: Mapping[str, str]
    config: Mapping[str, object]


def manifest_path(folder: Path, artefact: str) -> Path:
    """Return where the manifest of an artefact is."""
    return folder / f"{artefact}.manifest.json"


def write_manifest(
    folder: Path,
    artefact: str,
    made_of: MadeOf,
    *,
    files: Sequence[str],
    counts: Mapping[str, int],
) -> ArtefactManifest:
    """Describe an artefact whose files are written."""
    manifest = ArtefactManifest(
        step=made_of.step,
        files={name: file_sha256(folder / name) for name in files},
        inputs=made_of.inputs,
        config=_plain(made_of.config),
        counts=counts,
        versions=distribution_versions(VERSIONED),
        created=datetime.now(UTC).isoformat(timespec="seconds"),
    )
    content = manifest.model_dump_json(indent=1) + "\n"
    write_whole(manifest_path(folder, artefact), content.encode())
    return manifest


def read_manifest(folder: Path, artefact: str) -> ArtefactManifest | None:
    """Return the manifest of an artefact; None where it is missing or damaged."""
    path = manifest_path(folder, artefact)
    if not path.is_file():
        return None
    try:
        return ArtefactManifest.model_validate_json(path.read_bytes())
    except ValidationError as error:
        logger.warning("%s is damaged, so its step is done again: %s", path, error.errors()[0])
        return None


def current_manifest(folder: Path, artefact: str, made_of: MadeOf) -> ArtefactManifest | None:
    """Return the manifest of an artefact that is whole and made of just this; else None."""
    manifest = read_manifest(folder, artefact)
    if manifest is None or (manifest.inputs, manifest.config) != (
        made_of.inputs,
        _plain(made_of.config),
    ):
        return None
    return manifest if is_whole(folder, manifest) else None


def is_whole(folder: Path, manifest: ArtefactManifest) -> bool:
    """True if every file of an artefact is there with the content that was written."""
    return all(
        (folder / name).is_file() and file_sha256(folder / name) == digest
        for name, digest in manifest.files.items()
    )


def _plain(config: Mapping[str, object]) -> dict[str, object]:
    """Return what JSON makes of a configuration, so that it equals what is read back."""
    document: dict[str, object] = json.loads(json.dumps(config))
    return document


Done = tuple[Literal["done", "kept"], ArtefactManifest]


class Workspace:
    """The output folder of one request, and the steps of this run."""

    def __init__(self, request: PrecomputeRequest, steps: Sequence[str] = ()) -> None:
        self._request = request
        self._folder = request.output
        self._steps = tuple(steps)

    def keep_or_make(
        self,
        made_of: MadeOf,
        make: Callable[[], dict[str, int]],
        *,
        files: Sequence[str] | None = None,
    ) -> Done:
        """Keep a step's artefact where nothing that determines it has changed, else make it.

        Args:
            made_of: The step, its inputs and options.
            make: Writes the artefact and returns counts of what is in it.
            files: Files of the artefact, listed at the latest by ``make``; None is its own file.
        """
        artefact = ARTEFACTS[made_of.step]
        if self._request.resume:
            kept = current_manifest(self._folder, artefact, made_of)
            if kept is not None:
                return "kept", kept
        counts = make()
        written = [artefact] if files is None else files
        return "done", write_manifest(self._folder, artefact, made_of, files=written, counts=counts)

    def input(self, step: str) -> dict[str, str]:
        """Return name and hash of a step's artefact.

        Raises:
            DataUnavailableError: If it is not there.
        """
        path = self._folder / ARTEFACTS[step]
        if not path.is_file():
            raise DataUnavailableError(f"no {path}; run step {step} first, or --step all")
        return {path.name: file_sha256(path)}

    def text_input(self) -> dict[str, str]:
        """Return name and hash of the corpus that facets are written from."""
        return self.input("1.5" if self._follows("1.5", "1") else "1")

    def corpus(self) -> tuple[CorpusEntry, ...]:
        """Read the corpus that facets are written from."""
        (name,) = self.text_input()
        return read_corpus(self._folder / name)

    def facets_name(self) -> str:
        """Return the name of the file of facets that are embedded."""
        step = "2.5" if self._follows("2.5", "2") else "2"
        (name,) = self.input(step)
        return name

    def _follows(self, step: str, before: str) -> bool:
        """True if an optional step is wanted and its artefact was made from the present input.

        A run that does the step before and passes over this one does not want it.
        """
        if before in self._steps and step not in self._steps:
            return False
        config = self._request.config
        enabled = config.enrichment.enabled if step == "1.5" else config.regeneration.enabled
        manifest = read_manifest(self._folder, ARTEFACTS[step])
        if not enabled or manifest is None or not is_whole(self._folder, manifest):
            return False
        (name,) = (expected := self.input(before))
        return manifest.inputs.get(name) == expected[name]
