"""The newest version, found without a listing: from a hint, by steps that double (FORMAT.md section 8)."""

from contextlib import suppress

from arraystore.errors import Corrupt, InvalidInput, NotFound, VersionExpired
from arraystore.versions.fetch import fetch_number
from arraystore.versions.records import CommitRecords
from layouts.naming import parse_version_name

HINT_LIMIT = 1 << 62
HINT_EVERY = 16
FOLD_AHEAD = 64


class HeadSearch(CommitRecords):
    """Finds the newest version. Above the bound versions are dense; at and below it an object says nothing, nor does the lack of one."""

    def newest(self) -> int:
        """The newest version there is, whatever its commit says; NotFound where there is no log."""

        def look() -> int:
            while True:
                version = self._find_head()
                if self.bound() <= version:  # else what was found was packed, or expired, meanwhile
                    return version

        return self.steadily(look)

    def newest_after(self, version: int) -> int:
        """The newest version there is, found by galloping from one that was seen; VersionExpired if what follows that may be gone."""
        while True:
            bound = self.bound()
            low = max(version, bound)
            newest = self._last_from(low)
            if newest == low and self._has_object(low + 2):
                self._refuse_hole(low)
            floor = self.floor_record()
            if floor.floor > version:
                told = f"what followed version {version} was removed by retention, up to {floor.floor}: read anew, and go on from there"
                raise VersionExpired(f"{self.prefix}: {told}")
            if floor.bound == bound:
                return newest

    def _is_near(self, version: int) -> bool:
        """Whether folding commit by commit from `version` leads to the newest; nearly always one look tells."""
        if not self._has_object(version + 2):
            return True
        self._refuse_hole(version)
        return not self._has_object(version + FOLD_AHEAD)

    def _refuse_hole(self, version: int) -> None:
        """Versions are dense: a lack of the one after `version`, with the next there, is a loss, unless retention or packing took it."""
        if not self._has_object(version + 1) and self.bound() <= version:
            raise self._missing(version + 2, version + 1)

    def _find_head(self) -> int:
        """Gallop from the hint (or the bound) and bisect to the last version there is; never by listing the log."""
        version = self._last_from(self._start())
        while self._has_object(version + 2):
            self._refuse_hole(version)
            version = self._last_from(version + 1 if self._has_object(version + 1) else self._start())
        return version

    def _last_from(self, low: int) -> int:
        step = 1
        while self._has_object(low + step):
            low += step
            step *= 2
        high = low + step
        while high - low > 1:
            middle = (low + high) // 2
            if self._has_object(middle):
                low = middle
            else:
                high = middle
        return low

    def _start(self) -> int:
        hint, bound = self._hint(), self.bound()
        if bound < hint < HINT_LIMIT and self._has_object(hint):
            return hint
        if self._has_object(bound + 1):
            return bound + 1
        names = self.storage.list(f"{self.prefix}/_checkpoints").objects
        for name in sorted(names, reverse=True):
            try:
                version = parse_version_name(name)
            except InvalidInput:
                continue
            if self._has_object(version):
                return version
        self._refuse_headless(bound)
        msg = f"{self.storage.url}/{self.prefix}: no dataset is there; `find` and `arraystore ls` tell which there are"
        raise NotFound(msg)

    def _hint(self) -> int:
        """The version that the hint names, 0 where there is none."""
        try:
            return fetch_number(self.storage, f"{self.prefix}/_log/latest")
        except (NotFound, ValueError, Corrupt):
            return 0

    def _refuse_headless(self, bound: int) -> None:
        """A log that doesn't begin where it must isn't none: a file was lost."""
        for name in self.storage.list(f"{self.prefix}/_log").objects:
            with suppress(InvalidInput):
                if (version := parse_version_name(name)) > bound:
                    raise self._missing(version, bound + 1)

    def _missing(self, version: int, wanted: int) -> Corrupt:
        return Corrupt(
            f"{self._key(wanted)}: the commit of version {wanted}, on the way to version {version}, is missing: restore it from a replica"
        )
