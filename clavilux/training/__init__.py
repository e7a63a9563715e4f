"""Training of the networks: a folder of pictures and a folder of music -> bundle. Needs the extra `train`."""
