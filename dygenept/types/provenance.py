"""Which code made a result: the plugins that took part, and the harness itself."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Provenance:
    """Where a plugin came from; recorded in every result.

    Attributes:
        kind: Plugin kind.
        name: Plugin name.
        owner: Module that registered it, or the path of a single file.
        distribution: Installed distribution, ``file`` for a single file, or ``unknown`` for a
            module that belongs to no distribution.
        version: Version of the distribution, or the SHA-256 of the file or module.
        code_sha256: SHA-256 over the plugin's sources: its package, or its file and whatever that
            imports from its own folder. Empty for a built-in plugin, whose sources are part of
            the harness's own ``CodeIdentity``.
    """

    kind: str
    name: str
    owner: str
    distribution: str
    version: str
    code_sha256: str = ""


@dataclass(frozen=True, slots=True)
class CodeIdentity:
    """Which code of the harness computed something.

    Attributes:
        version: Version of the distribution.
        commit: Git commit of the checkout that the code runs from; None outside a checkout.
        is_dirty: True if that checkout has changes that are not committed; None outside one.
        sha256: SHA-256 over every source file that takes part in predictions and scores.
    """

    version: str
    commit: str | None
    is_dirty: bool | None
    sha256: str
