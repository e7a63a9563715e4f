"""The painter: controls become pixels, at any size, as a function of place."""
