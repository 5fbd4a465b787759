"""Looking at a dataset without reading it: as a lazy xarray Dataset, or as a Dask data frame."""

from collections.abc import Iterable
from typing import Any

from arraystore import arguments
from arraystore.arguments import TimeLike
from arraystore.datasets.extent import Extent, extent_of
from arraystore.datasets.rowsview import RowsView
from layouts.classes import Action


class Lazily(RowsView):
    """What a view offers to libraries that decide themselves what to read, and when."""

    def to_xarray(
        self,
        start: TimeLike | None = None,
        end: TimeLike | None = None,
        columns: Iterable[str] | None = None,
        *,
        clock: str | None = None,
        window: str | None = None,
        chunks: Any = None,
    ) -> Any:
        """An `xarray.Dataset` of the rows that `read` would give, which reads only what is computed, and only when it is.

        Opening reads neither values nor times: the axis is an indexed coordinate over the bounds of chunks. `.sel` of a slice (both ends
        belong to it, as everywhere in xarray), of a time, also with `method="ffill"`, `"bfill"` or `"nearest"` and a tolerance, and of
        many times decodes the chunks in which these lie. Selections of up to 4 million rows get a pandas index like any other Dataset's;
        larger ones stay lazy (to align such with others, give them theirs: `ds.assign_coords(time=ds.time.values)`). Of rows at one same
        time, `ffill` takes the last, `bfill` and `nearest` the first; an exact one that several rows have takes them all.

        Where rows are in order of arrival and the axis clock steps back, no slice holds a range: `.sel` raises `InvalidInput` there, and
        `start` and `end` of this call select.

        The Dataset is of this handle's version for good. It can be pickled, which takes a few hundred bytes: another process opens the
        store again by URL, in the same role (not one in `memory://`, which no other process has).

        Parameters
        ----------
        start, end, clock, window
            As `read` takes them.
        columns
            Names; None for all. The axis always comes too.
        chunks
            None: arrays that read when they are used, and then keep what was read as a whole. "auto" or {}: Dask arrays in pieces along
            windows and chunks, of about what Dask's setting `array.chunk-size` says (128 MiB); a number of rows, or what `Dataset.chunk`
            takes: in such. Dask copies what it computes once more before it hands it over; for arrays as they are, `read` is quicker.

        Returns
        -------
        xarray.Dataset
            What loads is `read(…).to_xarray(by_row=True)`: every variable has the row dimension (named as the axis), of levels a second
            one, `level`; times are datetime64[ns], text and bytes `str` and `bytes` objects, labels the `str` they stand for (None where
            null), decimals mantissas with the attribute `decimal_places`; where a column `x` may be null, `x_valid` tells where it isn't.
        """
        from arraystore.labelled.lazy import dataset_of

        return dataset_of(self, start, end, columns, clock=clock, window=window, chunks=chunks)  # type: ignore[arg-type] # it is a view

    def to_dask_dataframe(
        self,
        start: TimeLike | None = None,
        end: TimeLike | None = None,
        columns: Iterable[str] | None = None,
        *,
        clock: str | None = None,
        window: str | None = None,
        rows: int | None = None,
    ) -> Any:
        """A `dask.dataframe.DataFrame` of the rows that `read` would give, indexed by the axis clock in UTC, read partition by partition.

        Each partition is what `Frame.to_pandas` makes of its rows, but that labels are text. Partitions are whole windows, or parts of
        long ones, and no time is in two of them; so divisions are known, unless the clock steps back at a cut. The graph holds one
        reader, which any process can open again, as with `to_xarray`.

        Parameters
        ----------
        start, end, columns, clock, window
            As `to_xarray` takes them.
        rows
            Of a partition, at most about so many; None for about 128 MiB of them.
        """
        from arraystore.labelled.lazy import dataframe_of

        return dataframe_of(self, start, end, columns, clock=clock, window=window, rows=rows)  # type: ignore[arg-type] # it is a view

    def to_arrow_dataset(
        self,
        start: TimeLike | None = None,
        end: TimeLike | None = None,
        columns: Iterable[str] | None = None,
        *,
        window: str | None = None,
        instruments: Iterable[str] | str | None = None,
    ) -> Any:
        """A `pyarrow.dataset.Dataset` of the rows that `read` would give, for whatever queries such: it reads what a query needs.

        Columns that a query doesn't name aren't decoded, nor chunks outside of the times that its filter leaves, on the axis or another
        clock. It is of this handle's version for good. Batches come in the dataset's order, in at most 128 MiB at once.

        Parameters
        ----------
        start, end, columns, window, instruments
            As `read` takes them: nothing else can be seen of it.

        Examples
        --------
        >>> import arraystore, pyarrow.compute as pc
        >>> store = arraystore.open_store("memory://arrow-dataset", role="data-quality", create=True)
        >>> trades = store.canonical.create(("venue", "trades", "X"), arraystore.schema_by_name("trades"))
        >>> receipt = trades.append({"time": [1, 2], "price": [1.0, 2.0], "size": [1.0, 1.0], "side": [1, 1], "flags": [0, 0]})
        >>> trades.to_arrow_dataset().to_table(columns=["price"], filter=pc.field("size") > 0)["price"].to_pylist()
        [1.0, 2.0]
        """
        from arraystore.tabular.arrowdata import arrow_dataset

        return arrow_dataset(self._pinned_view(), start, end, columns, window=window, instruments=instruments)

    def to_duckdb(
        self,
        connection: Any = None,
        start: TimeLike | None = None,
        end: TimeLike | None = None,
        columns: Iterable[str] | None = None,
        *,
        window: str | None = None,
        instruments: Iterable[str] | str | None = None,
    ) -> Any:
        """A `duckdb.DuckDBPyRelation` of the rows that `read` would give, for queries that decode only what they need.

        DuckDB hands us the columns that a query names and the range that it leaves of a time. It does that only for times in µs, so each
        time column `x` is a TIMESTAMP in UTC here, rounded down to whole microseconds, and has the exact one beside it: `x_ns`, a BIGINT
        of ns since 1970 UTC, on which ranges are handed over as well. It is of this handle's version for good.

        Parameters
        ----------
        connection
            A connection of `duckdb.connect`; None for DuckDB's default one, which `duckdb.sql` uses.
        start, end, columns, window, instruments
            As `read` takes them: nothing else can be seen of it.

        Examples
        --------
        >>> import arraystore
        >>> store = arraystore.open_store("memory://to-duckdb", role="data-quality", create=True)
        >>> trades = store.canonical.create(("venue", "trades", "X"), arraystore.schema_by_name("trades"))
        >>> receipt = trades.append({"time": [1, 2], "price": [1.0, 2.0], "size": [1.0, 1.0], "side": [1, 1], "flags": [0, 0]})
        >>> trades.to_duckdb().filter("time < '1970-01-02' and time_ns > 1").project("price, side").fetchall()
        [(2.0, 'buy')]
        """
        from arraystore.tabular.relation import relation_of

        return relation_of(self._pinned_view(), connection, start, end, columns, window=window, instruments=instruments)

    def to_polars(
        self,
        start: TimeLike | None = None,
        end: TimeLike | None = None,
        columns: Iterable[str] | None = None,
        *,
        window: str | None = None,
        instruments: Iterable[str] | str | None = None,
    ) -> Any:
        """A `polars.LazyFrame` of the rows that `read` would give, which decodes only what `collect` needs.

        Columns that aren't used aren't decoded, nor chunks outside of the times and instruments that filters leave, nor rows after a
        `head`. It is of this handle's version for good, and comes in batches, so that `collect(engine="streaming")` and `sink_parquet`
        take any number of rows.

        Parameters
        ----------
        start, end, columns, window, instruments
            As `read` takes them: nothing else can be seen of it.

        Examples
        --------
        >>> import arraystore, polars
        >>> store = arraystore.open_store("memory://to-polars", role="data-quality", create=True)
        >>> trades = store.canonical.create(("venue", "trades", "X"), arraystore.schema_by_name("trades"))
        >>> receipt = trades.append({"time": [1, 2], "price": [1.0, 2.0], "size": [1.0, 1.0], "side": [1, 1], "flags": [0, 0]})
        >>> trades.to_polars().filter(polars.col("size") > 0).select(polars.col("price").mean()).collect().item()
        1.5
        """
        from arraystore.tabular.lazyframe import lazyframe_of

        return lazyframe_of(self._pinned_view(), start, end, columns, window=window, instruments=instruments)

    def _pinned_view(self) -> Any:
        """This version and no other, and what a role may do with it checked."""
        self._place.require(Action.READ)
        return self._still()

    def __arrow_c_schema__(self) -> object:
        return self.scan().__arrow_c_schema__()

    def __arrow_c_stream__(self, requested_schema: object = None) -> object:
        """All rows of this version, as `scan` gives them; what Arrow libraries (pyarrow, Polars, DuckDB, pandas) ask of a table."""
        return self.scan().__arrow_c_stream__(requested_schema)

    def extent(
        self, start: TimeLike | None = None, end: TimeLike | None = None, *, clock: str | None = None, window: str | None = None
    ) -> Extent:
        """The rows of a range by their numbers; for the modules of this package."""
        self._place.require(Action.READ)
        span = arguments.bounds(start, end)
        state, schema = self._state, self.schema_of(window) if window is not None else self.schema
        clock = arguments.clock(schema, clock)
        name = None if window is None else self._on_disk(window)
        return extent_of(self._place.storage, self._log, state, schema, start=span[0], stop=span[1], clock=clock, window=name)
