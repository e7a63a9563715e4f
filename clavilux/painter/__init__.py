"""The painter: controls become pixels of any size.

controls -> paint -> canvas (marks, plan, slots, dither) -> outline -> surface -> sRGB picture
"""
