"""One dataset: all that reads it, adds to it, corrects it and looks at it."""
