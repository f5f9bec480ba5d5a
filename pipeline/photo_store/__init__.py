"""Photos by their hash, beside a catalogue: in a folder of this machine or an object store that several share."""
