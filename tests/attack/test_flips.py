"""Bits flip, files are exchanged, cut and lost, in small stores of every schema and in a large one: never a wrong answer.

Each answer is the right one or an error of ours that names the place, and verify in depth tells of all that it covers. What nobody can
know without an anchor, that the newest commit or an edge of lineage was there, isn't asked for. `ARRAYSTORE_FLIP_BITS=01234567` flips
each bit of each byte of 40 stores (13.5 million), one after the other; by default the lowest of each byte.
"""

import hashlib
import os
import random
from collections.abc import Callable
from pathlib import Path

import pytest

import arraystore
from arraystore.segments.index import forget_indexes
from arraystore.testing.generators import GENERATORS, generate
from layouts.codecs import Profile
from tests.attack.flips import Small, Tally, ask, change, chunks_moved, flip_every, kind_of, names_place, plain, replaced
from tests.attack.quickflips import flip_each

EACH = [(schema, profile.value) for schema in GENERATORS for profile in Profile]
FEW = [("trades", "dense"), ("book_snapshots", "portable"), ("raw_messages", "dense"), ("order_events", "portable")]
STEP = int(os.environ.get("ARRAYSTORE_FLIP_STEP", "1009"))
BITS = [int(bit) for bit in os.environ.get("ARRAYSTORE_FLIP_BITS", "0")]
FLIPS = int(os.environ.get("ARRAYSTORE_FLIPS", "100000"))


@pytest.mark.parametrize(("schema", "profile"), FEW)
def test_a_few_flips_are_found(schema: str, profile: str) -> None:
    tally = Tally()
    flip_every(Small(schema, profile), tally, step=8009, in_full=16)
    assert tally.changes > 20
    assert tally.refused
    tally.check()


def test_a_few_changes_of_whole_files_are_found() -> None:
    small, tally = Small("metrics", "dense"), Tally()
    changes = [*replaced(small, random.Random(1)), *chunks_moved(small)]
    change(small, iter(random.Random(2).sample(changes, 40)), tally)
    assert tally.refused
    tally.check()


def test_the_campaign_would_tell(monkeypatch: pytest.MonkeyPatch) -> None:
    """The tool itself: reads that don't compare checksums give wrong answers, and it says so."""
    small, tally = Small("metrics", "portable"), Tally()
    (path,) = [path for path in small.paths() if path.endswith("/value/0") and "small" in path]
    monkeypatch.setattr("arraystore.segments.codec.crc32c", lambda _: 0x48674BC7)
    for place in range(16, len(small.objects[path]) - 4):
        data = small.objects[path]
        small.objects[path] = data[:place] + bytes([data[place] ^ 1]) + data[place + 1 :]
        ask(small, path, tally, ["whole"])
        small.objects[path] = data
    assert tally.silent


@pytest.mark.slow
@pytest.mark.timeout(100_000)
@pytest.mark.parametrize(("schema", "profile"), EACH)
def test_flips_in_stores_of_every_schema_are_found(schema: str, profile: str) -> None:
    tally = Tally()
    flip_every(Small(schema, profile), tally, step=STEP, in_full=64)
    print(f"\nflips {schema} {profile}: {tally}")  # noqa: T201 - counts are what it is run for
    tally.check()


@pytest.mark.slow
@pytest.mark.timeout(100_000)
@pytest.mark.parametrize(("schema", "profile"), EACH)
def test_each_bit_of_stores_of_every_schema_counts(schema: str, profile: str) -> None:
    tally = Tally()
    unread = flip_each(Small(schema, profile), tally, BITS, in_full=1009)
    print(f"\nbits {BITS} of each byte of {schema} {profile}: {tally}, {unread} where only verify looks")  # noqa: T201
    assert tally.refused > tally.asked // 2
    tally.check()


@pytest.mark.slow
@pytest.mark.timeout(3600)
@pytest.mark.parametrize(("schema", "profile"), FEW)
def test_changes_of_whole_files_are_found(schema: str, profile: str) -> None:
    small, tally = Small(schema, profile), Tally()
    change(small, replaced(small, random.Random(1)), tally)
    change(small, chunks_moved(small), tally)
    print(f"\nchanges {schema} {profile}: {tally}")  # noqa: T201 - counts are what it is run for
    tally.check()


class Large:
    """A store of megabytes on a disk, whose files are damaged in place."""

    def __init__(self, root: Path) -> None:
        self.root = root
        quality = arraystore.open_store(root, role="data-quality", create=True)
        for name, days, rows in (
            ("trades", 8, 20_000),
            ("book_snapshots", 4, 2_000),
            ("raw_messages", 3, 8_000),
            ("order_events", 3, 3_000),
        ):
            dataset = quality.canonical.create(("venue", name, "X"), arraystore.schema_by_name(name))
            for day in range(days):
                dataset.append(generate(name, rows, seed=day, start=f"2024-08-{8 + day:02d}"))
            for day in range(3):
                dataset.append(generate(name, 3, seed=day, start=f"2024-08-{20 + day:02d}"))
            dataset.add_file(random.Random(name).randbytes(1_500_000), name="file")
        self.files = sorted(path for path in root.rglob("*") if path.is_file() and path.stat().st_size)
        self.sizes = [path.stat().st_size for path in self.files]
        self.expected: dict[object, object] = {}
        self.views: dict[tuple[str, ...], arraystore.Dataset] = {}

    def chosen(self, chance: random.Random) -> tuple[Path, int]:
        """A file, half of the time by its size, and a bit of it."""
        path = chance.choices(self.files, self.sizes)[0] if chance.random() < 0.5 else chance.choice(self.files)
        return path, chance.randrange(path.stat().st_size * 8)

    def question(self, path: Path, opened: arraystore.Store) -> tuple[object, Callable[[], object]]:
        """The quickest question that stands on a file: one column of one window, a file, or the history."""
        parts = path.relative_to(self.root).parts
        if parts[0] != "canonical" or len(parts) < 6:
            fresh = arraystore.open_store(self.root, role="operations")
            return "names", lambda: (fresh.canonical.find(), [len(fresh.surface(name)) for name in ("raw", "derived")])
        key, inside = parts[1:4], parts[4:]
        if inside[0] == "_artifacts":
            return (key, "file"), lambda: hashlib.sha256(opened.canonical[key].artifacts()["file"].read()).digest()
        if inside[0].startswith("_"):
            fresh = arraystore.open_store(self.root, role="operations")
            return (key, "tails"), lambda: (
                [manifest.to_json() for manifest in fresh.canonical[key].manifests()],
                plain(fresh.canonical[key].read("2024-08-20", "2024-08-24")),
            )
        if key not in self.views:
            self.views[key] = opened.canonical[key]
        view = self.views[key]
        schema = view.schema
        column = next((name for name in (inside[-2].removesuffix("_valid").removesuffix("_count"),) if name in schema), schema.axis)
        return (key, inside[0], column), lambda: digest(view.read(columns=[column], window=inside[0]))


def digest(frame: arraystore.Frame) -> bytes:
    """Every value bit for bit, in short."""
    whole = hashlib.blake2b()
    for name, array in sorted(frame.rows.arrays.items()):
        whole.update(f"{name} {array.dtype} {array.shape}".encode())
        whole.update(array)
    whole.update(repr(frame.rows.labels).encode())
    return whole.digest()


def flip_large(large: Large, count: int, tally: Tally) -> None:
    chance = random.Random(7)
    opened = arraystore.open_store(large.root, role="operations")
    for _ in range(count):
        path, bit = large.chosen(chance)
        name, told = large.question(path, opened)
        forget_indexes()
        if name not in large.expected:
            large.expected[name] = told()
            forget_indexes()
        tally.changes += 1
        tally.asked += 1
        shown = str(path.relative_to(large.root))
        with path.open("r+b") as file:
            file.seek(bit // 8)
            (byte,) = file.read(1)
            file.seek(bit // 8)
            file.write(bytes([byte ^ 1 << bit % 8]))
            file.flush()
            try:
                if large.question(path, opened)[1]() != large.expected[name]:
                    tally.silent.append(f"{shown} bit {bit}")
            except arraystore.ArrayStoreError as error:
                tally.refused += 1
                if not names_place(str(error), shown) and str(large.root) not in str(error):
                    tally.unnamed[f"{kind_of(shown)}: {error!s:.160}"] += 1
            except Exception as error:  # noqa: BLE001 - whatever it is, it isn't ours
                tally.strange[f"{kind_of(shown)}: {error!r:.200}"] += 1
            finally:
                file.seek(bit // 8)
                file.write(bytes([byte]))


@pytest.mark.slow
@pytest.mark.timeout(20_000)
def test_random_flips_of_a_large_store_are_found(tmp_path: Path) -> None:
    tally = Tally()
    large = Large(tmp_path / "store")
    flip_large(large, FLIPS, tally)
    print(f"\nlarge store of {sum(large.sizes)} bytes in {len(large.files)} files: {tally}")  # noqa: T201
    assert tally.refused > FLIPS // 3
    tally.check()
