"""The detector and the embedders: architectures, weights, and what runs them."""
