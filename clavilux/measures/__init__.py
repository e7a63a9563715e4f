"""Measures for training and evaluation: image features, diversity, similarity, cross-modal correspondences."""
