"""The rights that `policy posix` gives, tried by processes of other users, against the file system itself."""

import json
import os
import pickle
import shutil
import subprocess
import tempfile
import traceback
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

import arraystore
from arraystore.cli import main
from arraystore.upkeep.posix import PosixPolicy, posix_policy
from arraystore.upkeep.posixacl import encode_acl
from layouts.classes import ACCESS, Action, Role, StorageClass, may
from layouts.policy import directories
from tests.store.conftest import START, rows
from tests.upkeep.conftest import TRADES, fill, operations

FIRST_NUMBER = 61_200
NUMBERS = {role: FIRST_NUMBER + place for place, role in enumerate(Role)}
STRANGER = FIRST_NUMBER + 50
KEYS = {
    "raw": ("venue", "feed", "rec"),
    "canonical": ("venue", "trades", "Z"),
    "derived": ("bars", "1m", "venue", "Z"),
    "quarantine": ("venue", "trades", "Z"),
    "experiments": ("grid", "z"),
    "execution-records": ("live", "s", "fills"),
}


def needs_root(folder: Path) -> None:
    if os.geteuid() != 0:
        pytest.skip("only root acts as other users")
    try:
        os.setxattr(folder, "system.posix_acl_default", encode_acl({}, 7))
        os.removexattr(folder, "system.posix_acl_default")
    except OSError as error:
        pytest.skip(f"{folder} keeps no access control lists: {error}")


@pytest.fixture(scope="module")
def base() -> Iterator[Path]:
    """A folder that every user can reach, as pytest's own are not."""
    folder = Path(tempfile.mkdtemp(prefix="arraystore-policy-"))
    try:
        needs_root(folder)
        folder.chmod(0o755)
        yield folder
    finally:
        shutil.rmtree(folder)


@pytest.fixture(scope="module")
def guarded(base: Path) -> Path:
    """A store with something in it that was there before, guarded."""
    root = base / "store"
    fill(str(root))
    policy_of(root).apply(NUMBERS)
    return root


def policy_of(root: Path) -> PosixPolicy:
    return posix_policy(str(root), operations(str(root)).attributes.roots)


def as_user(number: int, action: Callable[[], Any], umask: int = 0o077) -> Any:
    """What an action returns, or the name of the error that it raises, in a process of another user."""
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        try:
            os.close(reading)
            os.setgroups([])
            os.setgid(number)
            os.setuid(number)
            os.umask(umask)
            try:
                told = action()
            except Exception as error:  # noqa: BLE001 - whatever it is, the parent wants to know
                told = f"{type(error).__name__}: {error}\n{traceback.format_exc()}"
            os.write(writing, pickle.dumps(told))
        finally:
            os._exit(0)
    os.close(writing)
    with os.fdopen(reading, "rb") as pipe:
        told = pipe.read()
    os.waitpid(child, 0)
    return pickle.loads(told)


def as_role(role: Role, action: Callable[[], Any], **options: Any) -> Any:
    return as_user(NUMBERS[role], action, **options)


def write_all(root: str, role: Role, number: int) -> list[str]:
    """Write whatever the role may: a dataset of its own in each class, rows, lineage, a run, a session, a tag."""
    done = []
    store = arraystore.open_store(root, role=role)
    trades = arraystore.schema_by_name("trades")
    pins = [store.canonical[TRADES].pin()] if may(role, "canonical", Action.READ) else []
    for name in ("raw", "canonical", "derived", "quarantine"):
        if may(role, name, Action.WRITE):
            surface = store.surface(name)
            dataset = surface.create((*KEYS[name][:-1], f"{role}-{number}"), trades)
            dataset.append(rows(6000, START, step=1000), inputs=pins if name != "raw" else [])
            dataset.append(rows(3, START + 10**13))
            dataset.add_file(b"file", name="f")
            assert dataset.read().row_count == 6003
            done.append(name)
    if may(role, "experiments", Action.WRITE):
        with store.experiments.run("grid", run_id=f"{number}-{role}") as run:
            run.read(store.canonical[TRADES], "2024-08-08", "2024-08-09")
            run.log(x=1.0)
        done.append("experiments")
    for kind in ("live", "backtest"):
        if may(role, "execution-records", Action.WRITE, (kind,)):
            fill_row = {
                "account": ["a"],
                "strategy": ["s"],
                "instrument": ["X"],
                "fill_id": ["1"],
                "side": [1],
                "price": [1.0],
                "size": [1.0],
            }
            session = store.execution_records.session(kind, f"s{number}")
            session.append("fills", {"time": [START], **fill_row})
            session.close()
            done.append(f"{kind} session")
    if pins:
        store.tag(f"{role}-{number}", pins)
    return done


def read_all(root: str, role: Role) -> dict[str, int]:
    """Every row the role may read."""
    store = arraystore.open_store(root, role=role)
    found = {}
    for each in StorageClass:
        if may(role, each, Action.READ):
            surface = store.surface(each)
            found[each.value] = sum(surface[key].read(window=name).row_count for key in surface for name in surface[key].windows())
            assert len(surface.summaries()) == len(surface)
            list(surface.changes())
    assert store.verify(deep=True).findings == ()
    assert store.audit().is_clean
    return found


@pytest.fixture(scope="module")
def warm(base: Path) -> None:
    """Loads all modules there are, since other users can't read where Python lies."""
    root = str(base / "warm")
    fill(root)
    for role in Role:
        write_all(root, role, 1)
        read_all(root, role)
    operations(root).rebuild_lineage()
    operations(root).canonical[TRADES].compact()


@pytest.mark.usefixtures("warm")
def test_each_role_does_all_it_may_whatever_the_umask(guarded: Path) -> None:
    root = str(guarded)
    for number, umask in enumerate((0o077, 0o000)):
        done = {role: as_role(role, lambda role=role, number=number: write_all(root, role, number), umask=umask) for role in Role}
        assert {role: told for role, told in done.items() if isinstance(told, str)} == {}
    assert done[Role.BACKTESTING] == ["derived", "experiments", "backtest session"]
    assert done[Role.LIVE] == ["live session"]
    wanted = {role: read_all(root, role) for role in Role}
    assert {role: as_role(role, lambda role=role: read_all(root, role)) for role in Role} == wanted
    assert sum(wanted[Role.OPERATIONS].values()) > 80_000


@pytest.mark.usefixtures("warm")
def test_operations_maintains_what_others_wrote_and_others_go_on(guarded: Path) -> None:
    root = str(guarded)

    def maintain() -> Any:
        store = arraystore.open_store(root, role="operations")
        dataset = store.canonical[TRADES]
        dataset.compact()
        store.rebuild_lineage()
        shard = next(guarded.glob("canonical/venue/trades/X/2024-08-09/*/price/0"))
        shard.write_bytes(b"damaged")
        return [each.where for each in store.repair(f"{guarded.parent}/copy").restored]

    operations(root).copy(guarded.parent / "copy")
    subprocess.run(["chmod", "-R", "a+rX", str(guarded.parent / "copy")], check=True)
    told = as_role(Role.OPERATIONS, maintain)
    assert (len(told), "price/0" in told[0]) == (1, True)

    def go_on() -> int:
        dataset = arraystore.open_store(root, role="data-quality").canonical[TRADES]
        return dataset.append(rows(9000, START + 20 * 86_400 * 10**9, step=1000)).version

    assert isinstance(as_role(Role.DATA_QUALITY, go_on), int)
    assert isinstance(as_role(Role.ANALYSIS, lambda: read_all(root, Role.ANALYSIS)), dict)


def attempts(path: str) -> dict[str, Callable[[], Any]]:
    """What somebody may try on a directory and what lies in it, without this library."""
    folder = Path(path)
    return {
        "list": lambda: list(folder.iterdir()),
        "create": lambda: (folder / "planted").write_bytes(b""),
        "make a directory": (folder / "planted.d").mkdir,
        "link": lambda: (folder / "planted.l").symlink_to("/"),
        "rename": lambda: folder.rename(f"{path}.gone"),
        "open up": lambda: folder.chmod(0o777),
    }


def tried(path: str) -> set[str]:
    done = set()
    for name, attempt in attempts(path).items():
        try:
            attempt()
        except OSError:
            continue
        done.add(name)
    return done


def tidy(path: str) -> None:
    for name in ("planted", "planted.l"):
        Path(path, name).unlink(missing_ok=True)
    if Path(path, "planted.d").exists():
        Path(path, "planted.d").rmdir()


@pytest.mark.parametrize("role", [*Role, None], ids=str)
def test_nobody_does_more_in_any_directory_than_the_matrix_says(guarded: Path, role: Role | None) -> None:
    """Every directory of the policy, and one dataset of each class that was there before."""
    number = STRANGER if role is None else NUMBERS[role]
    allowed: dict[str, tuple[bool, bool]] = {}
    for guard in policy_of(guarded).directories:
        rights = guard.rule.rights.get(role, "") if role else ""
        allowed[guard.path] = (bool(rights), rights == "rwx")
    for rule in ACCESS:
        for dataset in guarded.joinpath(rule.storage_class).glob("/".join("[!_]*" for _ in rule.key_template)):
            key = dataset.relative_to(guarded / rule.storage_class).parts
            reads = role is not None and may(role, rule.storage_class, Action.READ, key)
            writes = role is not None and any(may(role, rule.storage_class, action, key) for action in (Action.WRITE, Action.MAINTAIN))
            allowed |= {str(place): (reads, writes) for place in (dataset, dataset / "_log")}
    allowed = {path: rights for path, rights in allowed.items() if Path(path).is_dir()}
    for path, (reads, writes) in allowed.items():
        done = as_user(number, lambda path=path: tried(path))
        made = {"create", "make a directory", "link"}
        owned = "rename" in done
        assert ("list" in done) == reads, path
        assert made & done == (made if writes else set()), path
        assert "open up" not in done or Path(path).stat().st_uid == number, path
        if owned:
            Path(f"{path}.gone").rename(path)
            above = str(Path(path).parent)
            assert allowed.get(above, (False, True))[1], f"{path} was renamed"
            assert path not in {guard.path for guard in policy_of(guarded).directories}, "no directory of the policy goes"
        tidy(path)


@pytest.mark.parametrize("role", [Role.DATA_RECORDING, Role.BACKTESTING, Role.ANALYSIS, Role.LIVE, Role.DATA_QUALITY])
def test_no_writer_redirects_a_class_root(guarded: Path, role: Role) -> None:
    def attack() -> list[str]:
        done = []
        for path in (guarded, *(guarded / each for each in StorageClass)):
            for attempt in (
                lambda path=path: (path / "zarr.json").write_bytes(b"{}"),
                lambda path=path: (path / "zarr.json").unlink(),
                lambda path=path: (path / "zarr.json").rename(path / "old"),
                lambda path=path: path.rename(f"{path}-old"),
                lambda path=path: Path("/etc/hostname").rename(path / "zarr.json"),
                lambda path=path: path.rmdir(),
            ):
                try:
                    attempt()
                except OSError:
                    continue
                done.append(str(path))
        return done

    before = {path: path.read_bytes() for path in (guarded / "zarr.json", *guarded.glob("*/zarr.json"))}
    assert as_role(role, attack) == []
    assert {path: path.read_bytes() for path in before} == before


@pytest.mark.usefixtures("warm")
def test_a_backtest_cannot_touch_live_records(guarded: Path) -> None:
    root = str(guarded)
    assert as_role(Role.LIVE, lambda: write_all(root, Role.LIVE, 77)) == ["live session"]
    assert "backtest session" in as_role(Role.BACKTESTING, lambda: write_all(root, Role.BACKTESTING, 77))
    records = [path for path in (guarded / "execution-records/live").rglob("*") if path.is_file()]
    assert records

    def attack() -> int:
        done = 0
        for path in records:
            for attempt in (
                path.read_bytes,
                path.unlink,
                lambda path=path: path.write_bytes(b""),
                lambda path=path: (guarded / "tags/l").hardlink_to(path),
            ):
                try:
                    attempt()
                except OSError:
                    continue
                done += 1
        return done

    before = {path: path.read_bytes() for path in records}
    assert as_role(Role.BACKTESTING, attack) == 0
    assert {path: path.read_bytes() for path in records} == before
    found = as_role(Role.BACKTESTING, lambda: [key[0] for key in arraystore.open_store(root, role="backtesting").execution_records])
    assert set(found) == {"backtest"}

    def as_if_live() -> object:
        return arraystore.open_store(root, role="live").execution_records.find()

    through = as_role(Role.BACKTESTING, as_if_live)
    assert "StorageError" in through, "saying that one is live opens nothing"


@pytest.mark.usefixtures("warm")
def test_links_planted_in_one_class_lead_maintenance_of_another_nowhere(base: Path) -> None:
    """A recorder plants links in raw, where they are, so that operations, who may do more, would follow them."""
    guarded = base / "linked"
    fill(str(guarded))
    policy_of(guarded).apply(NUMBERS)
    root, target = str(guarded), guarded / "canonical/venue/trades/X"
    before = {path: path.read_bytes() for path in (guarded / "canonical").rglob("*") if path.is_file()}
    prices = next(target.glob("2024-08-09/*/price"))

    def plant() -> None:
        dataset = arraystore.open_store(root, role="data-recording").raw.create(
            ("venue", "feed", "linked"), arraystore.schema_by_name("trades"), exist_ok=True
        )
        dataset.append(rows(6000, START, step=1000))
        place = guarded / "raw/venue/feed/linked"
        segment = next(place.glob("2024-08-08/*"))
        shutil.rmtree(segment / "price")
        (segment / "price").symlink_to(prices)
        (place / "_checkpoints").symlink_to(target)
        (place / "_manifests").symlink_to(target)
        (guarded / "raw/venue/other").symlink_to(guarded / "canonical/venue/trades")

    assert as_role(Role.DATA_RECORDING, plant) is None

    def maintain() -> Any:
        store = arraystore.open_store(root, role="operations")
        told = [key for key in store.raw if key[1] == "other"], len(store.verify(["raw"], deep=True).findings)
        store.repair(None, ["raw"])
        return told

    told = as_role(Role.OPERATIONS, maintain)
    assert not isinstance(told, str), told
    assert (told[0], told[1] > 0) == ([], True)
    policy_of(guarded).apply(NUMBERS)
    assert {path: path.read_bytes() for path in before} == before
    assert as_user(STRANGER, lambda: tried(str(target))) == set()


def test_the_plan_follows_the_matrix() -> None:
    for directory in directories():
        if directory.place and not directory.path:
            readers = {role for role in Role if may(role, directory.place, Action.READ)}
            assert set(directory.rights) == readers
    assert {directory.path for directory in directories() if directory.place == "execution-records"} >= {"", "live", "backtest"}


def test_the_command_prints_a_plan_and_a_script(tmp_path: Path) -> None:
    arraystore.init_store(
        tmp_path / "a store", roots={"raw": str(tmp_path / "tapes"), "derived": "s3://bucket/derived"}, opener=_local_only
    )

    def run(*args: str) -> Any:
        return CliRunner().invoke(main, ["policy", "posix", "--root", str(tmp_path / "a store"), *args])

    told = run("--json", "--users", "live=trader,backup")
    plan = json.loads(told.stdout)
    assert (plan["groups"]["live"], plan["users"]["live"], plan["applied"]) == ("arraystore-live", ["trader", "backup"], False)
    assert plan["elsewhere"] == {"derived": "s3://bucket/derived"}
    assert "guard it by credentials" in told.stderr
    places = {each["path"]: each for each in plan["directories"]}
    assert places[str(tmp_path / "tapes")]["rights"] == {"data-recording": "rwx", "data-quality": "r-x", "operations": "rwx"}
    script = run("--group", "live=traders").stdout
    assert f"mkdir -p -m 700 '{tmp_path}/a store/canonical'" in script
    assert "traders" in script
    assert subprocess.run(["sh", "-n"], input=script, text=True, check=False).returncode == 0
    for wrong in (["--users", "nobody=x"], ["--users", "live=-rf"], ["--group", "live=a;b"]):
        assert run(*wrong).exit_code == 2


def _local_only(url: str, /, *, create: bool = False) -> Any:
    from arraystore.storage import MemoryStorage, open_storage

    return MemoryStorage() if "://" in url else open_storage(url, create=create)


def test_the_script_does_what_applying_does(base: Path) -> None:
    if shutil.which("setfacl") is None:
        pytest.skip("setfacl isn't installed")
    roots = [base / "by-script", base / "by-hand"]
    fill(str(roots[0]))
    shutil.copytree(*roots)
    script, hand = map(policy_of, roots)
    text = script.script()
    for role, number in NUMBERS.items():
        text = text.replace(f"g:arraystore-{role}:", f"g:{number}:")
    lines = [line for line in text.splitlines() if not line.startswith(("getent", "usermod"))]
    subprocess.run(["sh"], input="\n".join(lines), text=True, check=True, capture_output=True)
    hand.apply(NUMBERS)
    listed = []
    for root in roots:
        told = subprocess.run(["getfacl", "-Rpn", "."], cwd=root, check=True, capture_output=True, text=True).stdout
        listed.append(sorted(told.split("\n\n")))
    assert listed[0] == listed[1]


@pytest.mark.slow
def test_applying_makes_groups_and_adds_users(base: Path) -> None:
    """With accounts as an administrator has them; they are removed again."""
    for tool in ("useradd", "userdel", "groupdel", "usermod", "groupadd"):
        if shutil.which(tool) is None:
            pytest.skip(f"{tool} isn't installed")
    mark, user = f"as{os.getpid() % 100_000}", f"as{os.getpid() % 100_000}u"
    groups = {role: f"{mark}-{place}" for place, role in enumerate(Role)}
    root = base / "accounts"
    fill(str(root))
    subprocess.run(["useradd", "--no-create-home", user], check=True)
    try:
        options = [word for role, group in groups.items() for word in ("--group", f"{role}={group}")]
        args = [
            "policy",
            "posix",
            "--root",
            str(root),
            *options,
            "--users",
            f"analysis={user}",
            "--users",
            f"backtesting={user}",
            "--apply",
        ]
        for _ in range(2):
            told = CliRunner().invoke(main, args)
            assert (told.exit_code, "append-only" in told.stdout) == (0, True), told.output
        member = subprocess.run(["id", "-Gn", user], check=True, capture_output=True, text=True).stdout.split()
        assert {groups[Role.ANALYSIS], groups[Role.BACKTESTING]} < set(member)

        def look(place: str) -> subprocess.CompletedProcess[str]:
            words = ["setpriv", "--reuid", user, "--regid", user, "--init-groups", "--", "ls", str(root / place)]
            return subprocess.run(words, check=False, capture_output=True, text=True)

        assert {
            place: look(place).returncode == 0 for place in ("canonical", "experiments", "raw", "quarantine", "execution-records/live")
        } == {
            "canonical": True,
            "experiments": True,
            "raw": False,
            "quarantine": False,
            "execution-records/live": True,
        }
    finally:
        subprocess.run(["userdel", user], check=False)
        for group in groups.values():
            subprocess.run(["groupdel", group], check=False, capture_output=True)
