"""Training of the three networks, from two folders to a bundle. Needs the extra `train`."""
