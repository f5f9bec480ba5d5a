"""The catalogue of known individuals: what it stores, the port to it, its SQL store and the import of CSV files."""
