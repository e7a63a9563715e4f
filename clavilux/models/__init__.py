"""The three networks, in PyTorch: what is trained. Painting never imports this package; it runs the exported graphs."""
