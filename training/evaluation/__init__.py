"""How well models recognise individuals: encounter-disjoint, with unknown individuals, with intervals."""
