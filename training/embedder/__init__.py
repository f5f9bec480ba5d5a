"""Training of the embedders: crops, classes, batches, losses, and how the validation split judges them."""
