"""Where bytes lie: one protocol, and what keeps it."""

from arraystore.storage.base import Batch, Buffer, Listing, Storage
from arraystore.storage.local import LocalStorage
from arraystore.storage.memory import MemoryStorage
from arraystore.storage.opening import open_storage

__all__ = ["Batch", "Buffer", "Listing", "LocalStorage", "MemoryStorage", "Storage", "open_storage"]
