"""Measures for training and evaluation: image features, cross-modal correspondences, similarity, transport."""
