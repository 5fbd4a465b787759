"""A dataset's log, read no further back than asked for."""

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from arraystore.datasets.view import DatasetView
    from arraystore.store import Store
    from arraystore.versions.log import Log

__all__ = ["log_of", "newest_versions"]


def log_of(store: "Store", dataset: "DatasetView") -> "Log":
    """The log of a dataset that the store's role was allowed to open."""
    from arraystore.storage import open_storage
    from arraystore.versions.log import Log
    from layouts.naming import format_key

    return Log(open_storage(store.surface(dataset.storage_class).url), format_key(dataset.key), dataset.storage_class)


def newest_versions(store: "Store", dataset: "DatasetView", number: int) -> list[dict[str, Any]]:
    """Up to so many versions that are kept, newest first, as JSON types."""
    from arraystore.versions.manifest import version_of
    from layouts.naming import escape

    def told(names: Iterable[str]) -> tuple[str, ...]:
        return tuple(plain.get(name, name) for name in names)

    plain = {escape(window): window for window in dataset.windows()}
    log = log_of(store, dataset)
    commits = log.commits(log.at(dataset.version), after=dataset.version - number)
    return [version_of(commit, digest, told).to_json() for commit, digest in reversed(commits)]
