"""The folder of the pipeline's artefacts: which input a step reads, and whether it is current."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Literal

from dygenept.errors import DataUnavailableError
from dygenept.knowledge.genes.corpus import read_corpus
from dygenept.knowledge.precompute.manifests import (
    ArtefactManifest,
    MadeOf,
    current_manifest,
    is_whole,
    read_manifest,
    write_manifest,
)
from dygenept.knowledge.precompute.request import ARTEFACTS, PrecomputeRequest
from dygenept.machine.checksums import file_sha256
from dygenept.plugin.interfaces import CorpusEntry

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
