"""Datasets as query engines see them: the columns and ranges that a query needs become a plan of ours, and the rest is never decoded."""
