"""A segment that stock xarray opens is taken back as the rows that were written."""

import numpy as np
import pytest
import xarray as xr

from arraystore.frames.frame import Frame
from arraystore.frames.intake import rows_from
from arraystore.segments.segment import write_segment
from arraystore.storage.opening import open_storage
from arraystore.testing.strategies import differences

NAME = f"0-{'0' * 32}"


@pytest.fixture(params=["all", "no nulls", "one row", "null throughout"])
def some_rows(request, rows):
    """Rows whose segments have, or lack, validity and whole columns."""
    taken = {"all": [0, 1, 2], "no nulls": [0, 2], "one row": [2], "null throughout": [1, 1]}[request.param]
    return rows.take(np.array(taken)).tidy()


@pytest.mark.parametrize("options", [{}, {"decode_cf": False}, {"decode_times": False}, {"chunks": None}], ids=str)
@pytest.mark.parametrize("profile", ["dense", "portable"])
def test_a_segment_opened_by_xarray_is_the_rows_that_were_written(some_rows, profile, options, tmp_path):
    with open_storage(str(tmp_path)).batch() as batch:
        write_segment(batch, NAME, NAME, some_rows, schema_number=0, profile=profile)
    with xr.open_zarr(tmp_path / NAME, consolidated=False, **options) as data:
        assert differences(rows_from(data, some_rows.schema), some_rows) == []
        if not options:
            ours = Frame(some_rows).to_xarray()
            shared = [name for name in ours.variables if name in data.variables]
            assert set(data.variables) <= set(ours.variables)
            xr.testing.assert_identical(data[shared].load().drop_attrs(deep=False), ours[shared].drop_attrs(deep=False))
