"""How long versions stay readable, per storage class: one table of data, which arguments may override."""

from dataclasses import dataclass

from layouts.classes import StorageClass, parse_storage_class

DAY_NS = 86_400 * 10**9


@dataclass(frozen=True, slots=True, kw_only=True)
class Retention:
    """Which versions of a dataset expire, and what goes before that.

    A version expires when neither `keep_versions` (it is one of so many newest) nor `keep_ns` (it was the newest one within that time)
    keeps it; both None keep every version. What a pin of another dataset or a tag names never expires. `delay_ns` lies between a
    version's being marked and its removal; writers that planned less than `grace_ns` ago, on a version
    that is kept, aren't disturbed by a segment floor.
    """

    keep_versions: int | None = None
    keep_ns: int | None = None
    delay_ns: int = 7 * DAY_NS
    grace_ns: int = DAY_NS

    @property
    def keeps_all(self) -> bool:
        """Whether nothing ever expires."""
        return self.keep_versions is None and self.keep_ns is None


RETENTION: dict[StorageClass, Retention] = {
    StorageClass.RAW: Retention(),
    StorageClass.CANONICAL: Retention(),
    StorageClass.DERIVED: Retention(keep_versions=10, keep_ns=90 * DAY_NS),
    StorageClass.QUARANTINE: Retention(),
    StorageClass.EXPERIMENTS: Retention(),
    StorageClass.EXECUTION_RECORDS: Retention(),
}


def retention_of(storage_class: StorageClass | str) -> Retention:
    """The rule of a class.

    >>> retention_of("canonical").keeps_all, retention_of("derived").keep_versions
    (True, 10)
    """
    return RETENTION[parse_storage_class(storage_class)]
