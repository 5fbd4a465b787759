"""A dataset's versions: the records of its commits, what they fold to, and the one place where a new version appears."""
