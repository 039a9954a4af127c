"""Data sets of one publisher: what they have in common, and what fetching all of them takes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from pydantic import BaseModel, ConfigDict

from dygenept.data.catalog import DatasetEntry, dataset_entries, source_of
from dygenept.errors import DataError, nearest
from dygenept.plugin.environment import Environment


class CollectionEntry(BaseModel):
    """One collection of the registry; its data sets name it under ``collection``.

    Attributes:
        summary: One line.
        citation: Whom to cite.
        licence: Terms that whoever fetches its files agrees to.
        address: Where people read about it.
        read_in: Where what is said here was read.
        untried: What could not be tried.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    summary: str = ""
    citation: str = ""
    licence: str = ""
    address: str = ""
    read_in: str = ""
    untried: str = ""


@dataclass(frozen=True, slots=True)
class FetchPlan:
    """What fetching a collection would transfer.

    Attributes:
        names: Its data sets, in the order of the registry.
        missing: Those that are not on disk.
        n_bytes: Bytes of the missing ones whose size is known.
        unknown: Missing ones whose size nobody says.
    """

    names: tuple[str, ...]
    missing: tuple[str, ...]
    n_bytes: int
    unknown: tuple[str, ...]

    @property
    def estimate(self) -> str:
        """Say it in words."""
        size = f"{self.n_bytes / 1e9:,.1f} GB"
        if not self.unknown:
            return size
        names = ", ".join(self.unknown[:3]) + (", …" if len(self.unknown) > 3 else "")
        verb = "is" if len(self.unknown) == 1 else "are"
        return f"at least {size}; nobody says how large {len(self.unknown)} {verb} ({names})"


def collection_entries(environment: Environment) -> Mapping[str, CollectionEntry]:
    """Return the registered collections, validated once.

    Raises:
        ConfigError: If an entry has an unknown key.
    """
    return environment.entries("collections", CollectionEntry)


def collection_of(entry: DatasetEntry, environment: Environment) -> CollectionEntry:
    """Return the collection of a data set; an empty one where it names none that is registered."""
    return collection_entries(environment).get(entry.collection, CollectionEntry())


def plan_fetch(collection: str, environment: Environment) -> FetchPlan:
    """Say what fetching all data sets of a collection would transfer; nothing is fetched.

    Raises:
        DataError: If no data set belongs to a collection of this name.
    """
    entries = dataset_entries(environment)
    members = {name: entry for name, entry in entries.items() if entry.collection == collection}
    if not members:
        known = {entry.collection for entry in entries.values()} - {""}
        raise DataError(f"unknown collection {collection!r}; {nearest(collection, known)}")
    missing: list[str] = []
    unknown: list[str] = []
    n_bytes = 0
    for name, entry in members.items():
        status = source_of(name, entry, manager=environment.manager).status(environment.data_dir)
        if status.is_present:
            continue
        missing.append(name)
        if status.download_bytes is None:
            unknown.append(name)
        else:
            n_bytes += status.download_bytes
    return FetchPlan(tuple(members), tuple(missing), n_bytes, tuple(unknown))


def matching(word: str, entries: Mapping[str, DatasetEntry]) -> dict[str, DatasetEntry]:
    """Return the data sets that have all words, in any case, in their name or description."""
    return {
        name: entry
        for name, entry in entries.items()
        if has_words(
            word,
            *(name, *entry.aliases, entry.summary, entry.citation, entry.collection),
            *(entry.modality, *entry.cell_types, entry.source),
        )
    }


def has_words(words: str, *texts: str) -> bool:
    """True if each of some words is in one of the texts, in any case."""
    text = "\n".join(texts).casefold()
    return all(word in text for word in words.casefold().split())
