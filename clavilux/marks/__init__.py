KINDS = ("blobs", "strokes", "facets", "dabs", "tiles", "triangles", "stripes", "bands", "rings")
