"""A frame that is one window's rows, and tells which."""

from arraystore.frames.frame import Frame
from arraystore.frames.rows import Rows
from arraystore.versions.commit import Pin
from arraystore.versions.manifest import Manifest


class WindowFrame(Frame):
    """The rows of one window (or series): a `Frame` with the `window`'s name, its Dataset `manifest`, and a `pin` of it."""

    def __init__(self, rows: Rows, pin: Pin | None, manifest: Manifest) -> None:
        super().__init__(rows, pin)
        self.manifest = manifest

    @property
    def window(self) -> str:
        """The window's name."""
        return self.manifest.window
