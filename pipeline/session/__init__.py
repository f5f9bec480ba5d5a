"""One connection as a state machine without I/O: what comes in and what the shell reports go in, actions come out."""
