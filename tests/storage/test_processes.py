"""Several processes on one root: one of them creates, all of them queue, and forks start afresh."""

import os
import shutil
import subprocess
import sys
import tempfile
import threading
from itertools import chain
from pathlib import Path
from textwrap import dedent

import pytest

from arraystore.storage import LocalStorage, MemoryStorage


def start(script: str, *arguments: str) -> subprocess.Popen:
    return subprocess.Popen(
        [sys.executable, "-W", "ignore", "-c", dedent(script), *arguments], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )


def finish(*processes: subprocess.Popen) -> list[list[str]]:
    """Let them run at once, when all are ready; returns the words each said afterwards."""
    for process in processes:
        assert process.stdout.readline() == "ready\n"
    for process in processes:
        process.stdin.write("go\n")
        process.stdin.flush()
    said = [process.communicate(timeout=60)[0].split() for process in processes]
    assert [process.returncode for process in processes] == [0] * len(processes)
    return said


CREATE = """
    import sys
    from arraystore.errors import AlreadyExists
    from arraystore.storage import open_storage

    root, me = sys.argv[1:]
    storage = open_storage(root)
    print("ready", flush=True)
    input()
    for version in range(60):
        try:
            storage.create(f"d/_log/{version}", me.encode())
            print(version)
        except AlreadyExists:
            pass
"""


def test_of_racing_processes_exactly_one_creates(tmp_path):
    storage = LocalStorage(tmp_path / "root", create=True)
    won = finish(*(start(CREATE, storage.url, str(me)) for me in range(3)))
    assert sorted(chain(*won), key=int) == [str(version) for version in range(60)]
    for me, versions in enumerate(won):
        assert all(storage.get(f"d/_log/{version}") == str(me).encode() for version in versions)


COUNT = """
    import sys
    from arraystore.storage import open_storage

    storage = open_storage(sys.argv[1])
    print("ready", flush=True)
    input()
    for _ in range(50):
        with storage.lock("d/_log/lock"):
            storage.put("count", b"%d" % (int(storage.get("count")) + 1), durable=False)
"""


def test_processes_queue_on_a_lock(tmp_path):
    storage = LocalStorage(tmp_path / "root", create=True)
    storage.create("count", b"0")
    finish(*(start(COUNT, storage.url) for _ in range(2)))
    assert storage.get("count") == b"100"


@pytest.mark.parametrize("kind", ["memory", "local", "two storages of one root"])
def test_threads_queue_on_a_lock(tmp_path, kind):
    storage = MemoryStorage() if kind == "memory" else LocalStorage(tmp_path / "root", create=True)
    storage.create("count", b"0")

    def count():
        mine = LocalStorage(storage.url) if kind.startswith("two") else storage
        for _ in range(50):
            with mine.lock("lock"):
                mine.put("count", b"%d" % (int(mine.get("count")) + 1), durable=False)

    threads = [threading.Thread(target=count) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert storage.get("count") == b"200"


def test_the_lock_of_a_killed_process_is_free(tmp_path):
    storage = LocalStorage(tmp_path / "root", create=True)
    holder = start(
        """
        import sys, time
        from arraystore.storage import open_storage

        with open_storage(sys.argv[1]).lock("lock"):
            print("ready", flush=True)
            time.sleep(60)
        """,
        storage.url,
    )
    assert holder.stdout.readline() == "ready\n"
    holder.kill()
    holder.communicate()
    with storage.lock("lock"):
        assert storage.size("lock") == 0


FORK = """
    import os, sys
    from arraystore.storage import open_storage

    storage = open_storage(sys.argv[1])
    print("ready", flush=True)
    input()
    storage.create("d/before", b"x")
    batch = storage.batch().__enter__()
    batch.put("d/open", b"x")
    child = os.fork()
    me = "parent" if child else "child"
    inherited = storage._root._opened
    storage.create(f"d/{me}", b"x")
    storage.sync("d")
    with storage.lock("lock"):
        assert storage.get("d/before") == b"x"
    if not child:
        assert storage._root._opened is not inherited
        assert storage._root._opened.root.fd > 2
        os._exit(0)
    assert storage._root._opened is inherited
    assert os.waitpid(child, 0)[1] == 0
    batch.__exit__(None, None, None)
    print(*storage.list("d").objects)
"""


def test_a_forked_process_opens_its_root_afresh(tmp_path):
    storage = LocalStorage(tmp_path / "root", create=True)
    assert finish(start(FORK, storage.url)) == [["before", "child", "open", "parent"]]


READER = """
    import errno, os, sys
    from arraystore.errors import StorageError
    from arraystore.storage import LocalStorage

    os.setgroups([])
    os.setgid(65534)
    os.setuid(65534)
    storage = LocalStorage(sys.argv[1])
    print("ready", flush=True)
    input()
    assert storage.get("d/_log/1") == b"x"
    assert storage.list("d").prefixes == ("_log",)
    assert not storage.ignores_case
    storage.sync("d/_log")
    with storage.lock("d/_log/lock"), storage.lock("d/_log/other"), storage.lock("e/lock"):
        print("passed")
    for verb in (
        lambda: storage.create("d/_log/2", b"x"),
        lambda: storage.create("e/2", b"x"),
        lambda: storage.put("d/_log/1", b"y", durable=True),
        lambda: storage.delete("d/_log/1"),
        lambda: storage.get("closed/a"),
        lambda: storage.list("closed"),
        storage.probe,
    ):
        try:
            verb()
        except StorageError as error:
            assert error.errno == errno.EACCES and "check the owner" in str(error) and storage.url in str(error), error
            print("refused")
"""


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become somebody else")
def test_who_may_only_read_reads_and_passes_every_lock(request):
    folder = tempfile.mkdtemp()  # pytest's own folders are closed to others
    request.addfinalizer(lambda: shutil.rmtree(folder))
    storage = LocalStorage(folder)
    storage.create("d/_log/1", b"x")
    storage.create("closed/a", b"x")
    with storage.lock("d/_log/lock"):
        pass
    for path, mode in (("", 0o755), ("closed", 0o700)):
        Path(folder, path).chmod(mode)
    assert finish(start(READER, folder)) == [["passed"] + ["refused"] * 7]
    assert sorted(path.name for path in Path(folder).rglob("*")) == ["1", "_log", "a", "closed", "d", "lock"]


FORK_OBJECTS = """
    import os, sys
    from obstore.store import LocalStore
    from arraystore.errors import StorageError
    from arraystore.storage.objects import ObjectStorage

    storage = ObjectStorage(LocalStore(sys.argv[1]))
    print("ready", flush=True)
    input()
    storage.create("a", b"x")
    child = os.fork()
    if not child:
        refused = 0
        for verb in (lambda: storage.get("a"), lambda: storage.create("b", b"x"), lambda: storage.list(""), storage.probe):
            try:
                verb()
            except StorageError as error:
                refused += "spawn" in str(error)
        os._exit(refused)
    print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
"""


def test_a_forked_process_is_refused_by_object_stores_where_it_would_hang(tmp_path):
    assert finish(start(FORK_OBJECTS, str(tmp_path))) == [["4"]]
