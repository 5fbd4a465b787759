"""Datasets as others label them: lazily, as xarray's Datasets and trees and as Dask's arrays and data frames."""
