"""The detector's training: squashed photos, augmentation, Faster R-CNN on the shared loop, honest scores."""
