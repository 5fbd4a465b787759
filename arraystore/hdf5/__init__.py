"""HDF5 out and in: files that h5py, xarray, netCDF tools and pandas open with full names and exact times."""
