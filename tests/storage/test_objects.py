"""What object stores do that others don't: they lie, they repeat, they answer late, and they are far away."""

import errno

import pytest
from obstore.store import MemoryStore

import arraystore
from arraystore.errors import AlreadyExists, CommitUnknown, InvalidInput, NotFound, StorageError
from arraystore.storage import Listing
from arraystore.storage.objects import ObjectStorage
from arraystore.storage.transfers import COALESCE_BYTES, cut_ranges, join_ranges
from tests.store.conftest import rows

QUICK = {"retry_config": {"max_retries": 0}}


def test_a_server_that_ignores_the_condition_is_refused(s3):
    s3.honest = False
    with pytest.raises(StorageError, match=r"exactly one may.*If-None-Match") as caught:
        s3.storage().probe()
    assert caught.value.errno == errno.EOPNOTSUPP
    assert s3.objects == {}


def test_a_server_that_looks_first_and_writes_later_is_refused(s3):
    s3.racy = True
    storage = s3.storage()
    storage.create("a", b"x")
    with pytest.raises(AlreadyExists):  # asked twice in a row, it seems to be honest
        storage.create("a", b"y")
    with pytest.raises(StorageError, match="racing creates"):
        storage.probe()
    assert s3.objects == {"a": b"x"}


def test_a_create_is_one_request(s3):
    s3.storage("p").create("a", b"x")
    assert s3.requests == ["PUT /bucket/p/a"]


def test_a_create_whose_answer_is_lost_is_settled_by_what_is_there(s3):
    for faults, ours in {
        ("lost answer",): True,
        ("lost request",): True,
        ("late request",): True,
        ("lost request", "lost answer"): True,
        ("another's",): False,
        ("lost request", "another's"): False,
    }.items():
        s3.faults, s3.late = list(faults), {}
        s3.objects.clear()
        if ours:
            s3.storage(**QUICK).create("a", b"x")
        else:
            with pytest.raises(AlreadyExists):
                s3.storage(**QUICK).create("a", b"x")
        assert s3.objects == {"a": b"x" if ours else b"another's"}, faults


@pytest.mark.parametrize("faults", [["deaf"], ["lost request", "deaf"], ["lost request", "lost request"], ["lost request", "forbidden"]])
def test_a_create_that_nothing_settles_is_unknown(s3, faults):
    s3.faults = faults
    with pytest.raises(CommitUnknown, match=r"'a' may have been created or not.*read it"):
        s3.storage(**QUICK).create("a", b"x")


def test_a_commit_whose_answer_is_lost_is_acknowledged_once(s3):
    def opener(url, /, *, create=False):
        return s3.storage(url.partition("://")[2].strip("/"), **QUICK)

    store = arraystore.open_store("s3://store", role="data-quality", create=True, opener=opener)
    trades = store.canonical.create(("venue", "trades", "X"), arraystore.schema_by_name("trades"))
    for number in range(5):
        s3.faults = ["lost answer"] * 3
        assert trades.append(rows(10, first=10 * number)).version == number + 2
        s3.faults = []
    assert trades.refresh().read()["time"].tolist() == rows(50)["time"].tolist()
    assert not trades.verify(deep=True)


def test_a_create_that_was_repeated_may_be_told_of_its_own_object(s3):
    s3.faults = ["lost answer"]
    storage = s3.storage()
    with pytest.raises(AlreadyExists):
        storage.create("a", b"x")
    assert storage.get("a") == b"x"


def test_a_batch_knows_its_own_object_again(s3):
    s3.faults = ["lost answer"]
    storage = s3.storage()
    with storage.batch() as batch:
        assert batch.put("a", b"x") == 1
    assert storage.get("a") == b"x"


def test_a_batch_without_an_answer_has_failed(s3):
    s3.faults = ["deaf"]
    with s3.storage(**QUICK).batch() as batch, pytest.raises(StorageError, match="'a'"):
        batch.put("a", b"x")


def test_two_creates_that_were_both_refused_are_asked_again(s3):
    s3.faults = ["conflict", "conflict"]
    storage = s3.storage()
    storage.create("a", b"x")
    assert storage.get("a") == b"x"


def test_a_name_that_stays_refused_is_told(s3):
    s3.faults = ["conflict"] * 20
    with pytest.raises(StorageError, match="refused as taken") as caught:
        s3.storage().create("a", b"x")
    assert caught.value.errno == errno.EBUSY


def test_a_refusal_is_told_with_its_remedy(s3):
    s3.faults = ["forbidden"] * 3
    storage = s3.storage()
    for verb in (lambda: storage.create("a", b"x"), lambda: storage.put("a", b"x", durable=True), storage.probe):
        with pytest.raises(StorageError, match="credentials") as caught:
            verb()
        assert caught.value.errno == errno.EACCES
        assert storage.url in str(caught.value)


def test_a_server_that_is_away_is_told(s3):
    storage = s3.storage(**QUICK)
    storage.create("a", b"x")
    s3.server_close()
    s3.shutdown()
    for verb in (storage.get, storage.exists, storage.list, storage.delete, lambda key: storage.get_ranges(key, [(0, 1)])):
        with pytest.raises(StorageError, match="network"):
            verb("a")


def test_long_streams_go_up_in_parts(s3):
    storage = s3.storage()
    with storage.batch() as batch:
        batch.put("short", [b"x" * (1 << 20)] * 15)
        batch.put("long", [b"x" * (1 << 20)] * 40)
    assert [request.partition("?")[0] for request in s3.requests[:1]] == ["PUT /bucket/short"]
    assert sum("partNumber" in request for request in s3.requests) == 3
    assert (len(s3.objects["short"]), len(s3.objects["long"])) == (15 << 20, 40 << 20)


def test_ranges_that_lie_close_are_one_request(s3):
    storage = s3.storage()
    data = bytes(range(256)) * (20 << 12)
    storage.create("a", data)
    s3.requests.clear()
    far = 10 << 20
    assert storage.get_ranges("a", [(far, far + 5), (0, 10), (100, 110), (5, 8)]) == [
        data[far : far + 5],
        data[:10],
        data[100:110],
        data[5:8],
    ]
    assert len(s3.requests) == 2


def test_ranges_past_the_end_ask_where_that_is(s3):
    storage = s3.storage(**QUICK)
    storage.create("a", b"0123456789")
    s3.requests.clear()
    assert storage.get_ranges("a", [(2, 4), (8, 20), (5 << 20, 6 << 20)]) == [b"23", b"89", b""]
    assert sum(request.startswith("HEAD") for request in s3.requests) == 1
    assert storage.get_ranges("a", [(1 << 30, 1 << 31)]) == [b""]


def test_foreign_names_in_a_bucket_are_not_listed(s3):
    storage = s3.storage("p")
    s3.objects.update({"p/a": b"", "p/with space": b"", "p/d/x": b"", "p/ünï/x": b"", "p/.tmp-1": b"", "other": b"", "pp/a": b""})
    listing = storage.list("")
    assert (listing.objects, listing.prefixes) == (("a",), ("d",))


def test_marks_of_folders_are_not_objects(s3):
    """Consoles and some servers keep an empty object `d/` where a folder is, or was."""
    storage = s3.storage("p")
    s3.objects.update({"p/": b"", "p/d/": b"", "p/d/x": b"", "p/e/": b""})
    assert storage.list("") == Listing((), ("d", "e"))
    assert storage.list("d") == Listing(("x",), ())
    assert storage.list("e") == Listing((), ())


def test_a_bucket_that_cannot_be_opened_is_told():
    with pytest.raises(InvalidInput, match="s3://"):
        ObjectStorage.from_url("s3://")


def test_a_store_that_was_handed_in_is_named_by_its_description():
    store = MemoryStore()
    assert ObjectStorage(store) == ObjectStorage(store)
    assert "MemoryStore" in ObjectStorage(store).url
    with pytest.raises(NotFound, match="MemoryStore"):
        ObjectStorage(store).get("a")


def test_spans_cover_their_ranges_and_no_long_holes():
    gap = COALESCE_BYTES
    assert join_ranges([]) == []
    assert join_ranges([(5, 5), (7, 7)]) == []
    assert join_ranges([(10, 20), (0, 5), (3, 12)]) == [(0, 20)]
    assert join_ranges([(0, 1), (1 + gap, 2 + gap), (3 + 2 * gap, 4 + 2 * gap)]) == [(0, 2 + gap), (3 + 2 * gap, 4 + 2 * gap)]
    assert join_ranges([(0, 100), (10, 20)]) == [(0, 100)]


def test_pieces_that_came_short_are_cut_short():
    assert cut_ranges([(0, 4), (2, 9), (9, 12), (4, 4)], [(0, 12)], [memoryview(b"01234")]) == [b"0123", b"234", b"", b""]
    assert cut_ranges([(50, 60), (0, 2)], [], []) == [b"", b""]
