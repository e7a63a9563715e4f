"""The painter: controls become pixels of any size.

controls -> composition (plan, marks, palette) -> surface (strokes, areas) -> dither -> sRGB picture
"""
