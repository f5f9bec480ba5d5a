"""Synthetic whales: procedural photos of individual animals with ground truth.

A world is a seed; an individual is a seed in it; a photo is a plan (`views.plan_photo`, exact on every machine) and its
rendering (`render.render_jpeg`, the same bytes on the same machine). `series` says which photos a data set has,
`writers` writes them, `python -m training.synthetic` is the command line.
"""
