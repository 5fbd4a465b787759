"""The six storage classes: what a class holds, how it is found, and what is special to each kind of it."""
