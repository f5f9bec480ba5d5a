"""The wire protocol: requests, items, answers, as typed records and as text; no connections, no I/O."""
