"""Train the networks on a folder of pictures and a folder of music, and write a bundle.

Needs the extra `train`.
"""
