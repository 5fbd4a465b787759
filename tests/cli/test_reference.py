"""Every command is documented as it is, and the examples of its help do what they say."""

import re
import shlex
import shutil
from pathlib import Path

import msgspec
import numpy as np
import pytest
from click.testing import CliRunner, Result

import arraystore
from arraystore.cli import main
from arraystore.cli.command import Command
from arraystore.cli.configuration import SETTINGS
from arraystore.cli.reference import commands_markdown
from tests.cli.conftest import EQUITY, messages, trades_of
from tests.cli.test_reviews import fills
from tests.store.test_resolve import tell

PAGE = Path(__file__).parents[2] / "docs" / "cli.md"
EXAMPLES = [(name, example) for name, command in main.commands.items() if isinstance(command, Command) for example in command.examples]

#: What needs buckets, other programs, root, vendors' files, a process that died, or has tests of its own that take long.
ELSEWHERE = ("s3://", "--apply", "quotes/*_quote.zip", "arraystore demo", "…", "my-venue.toml", "--abandon", " plot ", " report ", " fast")
#: Examples that end otherwise than well: with findings, or about a version before there was one.
ENDS = {"c0ffee": (1,), "3 2024-09-01": (3,), "lint": (0, 1), "doctor": (0, 1)}


def test_the_page_is_what_the_commands_say() -> None:
    assert PAGE.read_text(encoding="utf-8") == commands_markdown(main) + "\n", "run: python -m arraystore.cli.reference > docs/cli.md"


def test_every_command_has_its_section() -> None:
    sections = re.findall(r"^## (.*)$", PAGE.read_text(encoding="utf-8"), re.MULTILINE)
    assert sections == [*main.commands]


@pytest.fixture(scope="module")
def template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A directory with all that examples name: a store `data`, copies, files."""
    place = tmp_path_factory.mktemp("examples")
    root = place / "data"
    quality = arraystore.open_store(root, role="data-quality", create=True)
    recording = arraystore.open_store(root, role="data-recording")
    raw = recording.raw.create(("binance-usdm", "market", "rec-1"), arraystore.schema_by_name("raw_messages"))
    pins = [raw.append(messages(), coverage=("2024-08-08", "2024-08-09"), completeness="complete").pin]
    for venue, symbol in (("binance-usdm", "BTCUSDT"), ("binance-usdm", "ETHUSDT"), ("venue", "X"), ("vendor", "X")):
        for feed in ("trades", "quotes"):
            made = quality.canonical.create((venue, feed, symbol), arraystore.schema_by_name(feed))
            if feed == "quotes":
                count = 30
                made.append(
                    {
                        "time": np.datetime64("2024-08-08T12", "ns") + np.arange(count) * np.timedelta64(1, "s"),
                        **dict.fromkeys(("bid_price", "ask_price", "bid_size", "ask_size"), np.ones(count)),
                        "flags": np.zeros(count, np.uint8),
                    }
                )
                continue
            made.append(trades_of("2024-08-08", 3), inputs=pins)
            made.append(trades_of("2024-08-09", 4))
            made.append(trades_of("2024-08-09", 5) | {"time": np.datetime64("2024-08-09T13", "ns") + np.arange(5)})
    trades = quality.canonical["binance-usdm/trades/BTCUSDT"]
    case = {"schema": trades.schema, "reason": "gap", "failed_checks": ["ids"], "source": "x.gz"}
    quality.quarantine.hold(("binance-usdm", "trades", "BTCUSDT"), trades.read(window="2024-08-08"), **case)
    backtesting = arraystore.open_store(root, role="backtesting")
    with backtesting.experiments.run("mm-grid", run_id="7f3a") as run:
        run.log(sharpe=1.5)
        run.write("equity", EQUITY, schema=arraystore.schema_by_name("equity"))
    live = arraystore.open_store(root, role="live")
    live.execution_records.session("live", "2024-08-08").append("fills", fills("a", "b"))
    analysis = arraystore.open_store(root, role="analysis")
    analysis.derived.create(("bars", "1m", "binance-usdm", "BTCUSDT"), arraystore.schema_by_name("bars", interval="1m"))
    tell(quality, [("btc", "binance-usdm", "BTCUSDT", "2020-01-01", None, "2020-01-01")])
    quality.tag("release-1", [trades.pin()], reason="first")
    shutil.copytree(root / "canonical" / "binance-usdm", place / "bars.zarr")
    (place / "heads.json").write_bytes(msgspec.json.encode(live_heads(root)))
    (place / "cursor.json").write_text(arraystore.open_store(root, role="operations").raw.changes().cursor)
    arraystore.open_store(root, role="operations").copy(place / "backup")
    return place


def live_heads(root: Path) -> object:
    """Heads, as `audit --head --json` prints them."""
    return arraystore.open_store(root, role="operations").heads().to_json()


@pytest.fixture
def here(template: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy of it, as the directory that commands run in."""
    place = tmp_path / "here"
    shutil.copytree(template, place)
    (place / "home").mkdir()
    monkeypatch.chdir(place)
    for each in SETTINGS:
        monkeypatch.delenv(each.variable, raising=False)
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path))
    return place


@pytest.mark.parametrize(("name", "example"), EXAMPLES)
def test_an_example_names_only_options_that_there_are(name: str, example: str) -> None:
    words = shlex.split(example.partition(" > ")[0].partition(" | ")[0])
    options = {option for each in main.commands[name].params for option in (*each.opts, *each.secondary_opts)}
    assert [word for word in words if word.startswith("-") and word.partition("=")[0] not in options] == []


def run_example(example: str) -> Result:
    """Run one as a shell would, in this directory; places of the example's machine are here."""
    line, _, target = example.replace("/mnt/backup/data", "backup").replace("/srv/data", "data").replace("~/", "home/").partition(" > ")
    result = CliRunner().invoke(main, shlex.split(line)[1:], prog_name="arraystore", env={"ARRAYSTORE_ROOT": "data"})
    if target:
        Path(target).parent.mkdir(parents=True, exist_ok=True)
        Path(target).write_text(result.stdout)
    return result


def check_example(example: str) -> None:
    if "import-hdf5" in example:
        run_example("arraystore export-hdf5 canonical/venue/trades/X -o trades.h5")
    if "--release" in example or "--reject" in example:
        run_example("arraystore quarantine canonical/venue/trades/X 2024-08-08 --hold gap --role data-quality")
    result = run_example(example)
    wanted = next((codes for sign, codes in ENDS.items() if sign in example), (0,))
    assert result.exit_code in wanted, (example, result.output)
    if "--json" in example and result.exit_code == 0:
        msgspec.json.decode(result.stdout)


LOOKING = [
    example
    for name, example in EXAMPLES
    if not any(sign in example for sign in ELSEWHERE) and ("dry_run" not in [each.name for each in main.commands[name].params])
]
CHANGING = [example for _, example in EXAMPLES if not any(sign in example for sign in ELSEWHERE) and example not in LOOKING]


@pytest.mark.usefixtures("here")
def test_examples_that_look_do_what_they_say() -> None:
    assert len(LOOKING) > 40
    for example in LOOKING:
        check_example(example)


@pytest.mark.usefixtures("here")
@pytest.mark.parametrize("example", CHANGING)
def test_an_example_that_changes_something_does_what_it_says(example: str) -> None:
    check_example(example)
