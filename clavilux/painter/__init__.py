"""The painter: controls become pixels of any size.

controls -> composition (marks, plan, palette) -> surface (strokes, areas) -> paint (blocks, dither) -> sRGB picture
"""
