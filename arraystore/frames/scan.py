"""What a scan gives: frames that follow each other, which are also one Arrow stream."""

from collections.abc import Generator, Iterator

from arraystore.frames.frame import Frame
from arraystore.versions.commit import Pin
from layouts.schema import Schema


class Scan(Iterator[Frame]):
    """Frames of one version, each loaded while the one before is looked at; over once it has been gone through.

    An Arrow stream too (`__arrow_c_stream__`), so that `pyarrow.RecordBatchReader.from_stream(scan)`, DuckDB and whatever else takes such
    streams goes through it in bounded memory. For one thread at a time.

    Attributes
    ----------
    schema
        Of every frame.
    pin
        What names the bytes that all frames together are.
    """

    def __init__(self, schema: Schema, pin: Pin, frames: Generator[Frame]) -> None:
        self.schema = schema
        self.pin = pin
        self._frames = frames

    def __next__(self) -> Frame:
        return next(self._frames)

    def close(self) -> None:
        """End it: nothing more is loaded.

        Examples
        --------
        >>> import arraystore
        >>> store = arraystore.open_store("memory://closed", role="data-quality", create=True)
        >>> scan = store.canonical.create(("venue", "trades", "X"), arraystore.schema_by_name("trades")).scan()
        >>> scan.close()
        >>> list(scan)
        []
        """
        self._frames.close()

    def __arrow_c_schema__(self) -> object:
        from arraystore.frames.arrow import arrow_schema

        schema: object = arrow_schema(self.schema).__arrow_c_schema__()
        return schema

    def __arrow_c_stream__(self, requested_schema: object = None) -> object:
        from arraystore.frames.arrow import reader_from

        stream: object = reader_from(self.schema, (frame.rows for frame in self)).__arrow_c_stream__(requested_schema)
        return stream
