"""Train the networks on a folder of pictures and a folder of music, and write a bundle.

Needs the extra `train`.
"""

from clavilux.system.extras import require

require("torch", "train")
