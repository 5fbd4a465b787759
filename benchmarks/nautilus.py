"""NautilusTrader's Parquet catalog, streamed as its backtest engine does: chunks merged by time, each row an object."""

from pathlib import Path
from typing import Any

import numpy as np

from benchmarks import synthetic


class Catalog:
    """A catalog of trades and quotes."""

    def __init__(self, place: Path) -> None:
        from nautilus_trader.persistence.catalog import ParquetDataCatalog

        self._catalog: Any = ParquetDataCatalog(str(place))

    @staticmethod
    def make(place: Path, rows: int) -> None:
        """The first rows of trades and of quotes, as ticks."""
        import pandas as pd
        from nautilus_trader.persistence.catalog import ParquetDataCatalog
        from nautilus_trader.persistence.wranglers import QuoteTickDataWrangler, TradeTickDataWrangler
        from nautilus_trader.test_kit.providers import TestInstrumentProvider

        instrument = TestInstrumentProvider.btcusdt_perp_binance()
        catalog: Any = ParquetDataCatalog(str(place))
        quotes, trades = synthetic.quotes(rows).columns, synthetic.trades(rows).columns
        wanted = {name: quotes[name] for name in ("bid_price", "ask_price", "bid_size", "ask_size")}
        catalog.write_data(QuoteTickDataWrangler(instrument).process(pd.DataFrame(wanted, index=_index(quotes["time"]))))
        wanted = {"price": trades["price"], "quantity": np.maximum(trades["size"], 0.001), "buyer_maker": trades["side"] < 0}
        frame = pd.DataFrame(wanted | {"trade_id": np.arange(rows).astype(str)}, index=_index(trades["time"]))
        catalog.write_data(TradeTickDataWrangler(instrument).process(frame))

    def stream(self) -> int:
        """Every row of both, in order of time; how many there are."""
        from nautilus_trader.core.nautilus_pyo3 import DataBackendSession
        from nautilus_trader.model.data import QuoteTick, TradeTick, capsule_to_list

        session: Any = DataBackendSession()
        for kind in (QuoteTick, TradeTick):
            self._catalog.backend_session(data_cls=kind, session=session)
        return sum(len(capsule_to_list(chunk)) for chunk in session.to_query_result())


def _index(time: np.ndarray) -> Any:
    import pandas as pd

    return pd.DatetimeIndex(time.view("datetime64[ns]"), tz="UTC")
