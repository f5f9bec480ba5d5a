"""The steps from each layout of the catalogue's tables to the next, for Alembic; run by `pipeline.catalogue.migrating`.

A step is never edited once a release has it, and knows nothing of the tables of later layouts. Of the
project's code it may use only what later steps set right where it changes: the fold of names (`pipeline.names`).
"""
