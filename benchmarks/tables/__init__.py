"""Ways to keep a table on disk and read it back: ours, and those of others, behind one small protocol."""
