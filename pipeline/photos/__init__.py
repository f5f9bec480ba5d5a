"""Photos as files and as pixels: which may be read, how they are decoded, where copies go."""
