"""Numbers that painting and training share, with their units. They are defined here and nowhere else."""

# Audio -------------------------------------------------------------------------------------------------------------
SAMPLE_RATE = 22_050  # Hz
FFT_SAMPLES = 2_048  # window of the short-time Fourier transform
HOP_SAMPLES = 512  # 43.07 frames a second
MEL_BANDS = 128  # between 0 Hz and SAMPLE_RATE / 2, Slaney scale
MFCC_ROWS = 20
WINDOW_S = 5.0  # seconds of audio in one feature window
WINDOW_SAMPLES = round(WINDOW_S * SAMPLE_RATE)
WINDOW_FRAMES = 1 + WINDOW_SAMPLES // HOP_SAMPLES  # frames are centred
MAX_AUDIO_S = 4 * 3600.0  # seconds of a file that are read by default

# Latents -----------------------------------------------------------------------------------------------------------
LATENT_DIM = 64  # numbers in z_audio and in z_image

# The painter -------------------------------------------------------------------------------------------------------
SLOTS = 8  # colours of a palette, from dark to light
PLAN_SIDE = 32  # cells of the plan along each side of the picture
ENCODER_SIDE_PX = 64  # side of the square input of the picture encoder
FREQUENCY_RANGE = (2.0, 48.0)  # marks along the short side of the picture
CHAOS_RANGE = (0.0, 1.5)  # weight of the marks against the plan; at 1 each colour covers its share of the plan
SURFACE_NAMES = ("gouache", "impasto", "drawing", "collage", "flat", "print", "layers")
SHAPES_RANGE = (1.6, 7.0)  # large shapes along the short side
DETAIL_RANGE = (0.0, 1.0)  # 0: small marks only in the middle of the focus; 1: in a third of the picture
SOFTNESS_RANGE = (0.0, 1.0)  # 0: most borders are sharp; 1: most are lost
GLAZE_RANGE = (0.0, 16.0)  # L*: slow changes of tone within a colour
BRUSH_RANGE = (0.0, 16.0)  # L*: traces of the brush within a colour
OUTLINE_RANGE = (-1.6, 1.6)  # width of lines where colours meet, % of the short side; dark below 0, light above
WIDEST_OUTLINE = 0.9  # absolute; beyond it, lines get no wider
# In the order of the networks' outputs. In training pictures, the mark classifier estimates how the paint lies; shapes
# and detail are measured.
PAINT = {"softness": SOFTNESS_RANGE, "glaze": GLAZE_RANGE, "brush": BRUSH_RANGE, "outline": OUTLINE_RANGE}
TEXTURE_RANGE = (0.0, 1.0)  # 0: neither traces of the brush nor grain; 1: twice as much as usual
# Changes of the colours of a composition: 0 is none.
SHIFTS = {"lightness": (-1.0, 1.0), "saturation": (-1.0, 1.0), "warmth": (-1.0, 1.0)}
LAYOUT = {"shapes": SHAPES_RANGE, "detail": DETAIL_RANGE}
FINISH = {**PAINT, **LAYOUT}

# Pictures ----------------------------------------------------------------------------------------------------------
SIZE_RANGE_PX = (64, 8_192)  # allowed length of a side of a picture
MAX_ASPECT = 8  # the longer over the shorter side of a picture: the raster of a composition grows with it
DEFAULT_SIZE_PX = 1_024
DENSITY_DPI = 300.0  # pixels per inch written into files, for printers and music shops; does not change pixels
DPI_RANGE = (1.0, 10_000.0)
