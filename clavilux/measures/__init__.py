"""Measures that training and evaluation share: image features, cross-modal correspondences, similarity, transport."""
