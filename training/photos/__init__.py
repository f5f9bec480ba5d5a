"""Labelled photos on disk: readers, splits, and a report of all that is wrong with them."""
