"""One immutable Zarr group of a window: written, indexed, planned, decoded and proved."""
