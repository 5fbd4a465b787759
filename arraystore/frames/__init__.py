"""Rows on their way in and out: what callers have, checked, and what they get, in the forms other libraries know."""
