"""Every number that painting and training share, with its unit. Nothing else may define them a second time."""

# Listening ---------------------------------------------------------------------------------------------------------
SAMPLE_RATE = 22_050  # Hz
FFT_SAMPLES = 2_048  # window of the short-time Fourier transform
HOP_SAMPLES = 512  # 43.07 frames a second
MEL_BANDS = 128  # between 0 Hz and SAMPLE_RATE / 2, Slaney scale
MFCC_ROWS = 20
WINDOW_S = 5.0  # seconds of sound that one feature window covers
WINDOW_SAMPLES = 110_250  # WINDOW_S * SAMPLE_RATE
WINDOW_FRAMES = 216  # 1 + WINDOW_SAMPLES // HOP_SAMPLES, frames centred
MAX_AUDIO_S = 4 * 3600.0  # seconds of a file that are listened to unless the caller says otherwise

# Latents -----------------------------------------------------------------------------------------------------------
LATENT_DIM = 64  # of z_audio and of z_image

# The painter -------------------------------------------------------------------------------------------------------
SLOTS = 8  # colours of a palette, from dark to light
PLAN_SIDE = 32  # cells of the plan along each side of the picture
ENCODER_SIDE_PX = 64  # side of the square picture that the picture encoder sees
FREQUENCY_RANGE = (2.0, 48.0)  # marks along the short side of the picture
CHAOS_RANGE = (0.0, 1.5)  # weight of the marks against the plan; 1 keeps the shares of the plan exactly
SOFTNESS_RANGE = (0.0, 1.0)  # 0: every border is crisp; 1: colours pass into each other wherever they compete
GLAZE_RANGE = (0.0, 16.0)  # L*: deviation of slow changes of tone within a colour
BRUSH_RANGE = (0.0, 16.0)  # L*: deviation of bristles within a colour
OUTLINE_RANGE = (-1.6, 1.6)  # width of lines where colours meet, in percent of the short side; below 0 they are dark
SYMMETRY_RANGE = (0.0, 1.0)  # share of the picture that repeats the other side
# In the order that networks use. The eye reads the surface; symmetries are read by laying pictures on their images.
SURFACE = {"softness": SOFTNESS_RANGE, "glaze": GLAZE_RANGE, "brush": BRUSH_RANGE, "outline": OUTLINE_RANGE}
SYMMETRIES = {"mirror": SYMMETRY_RANGE, "flip": SYMMETRY_RANGE}
FINISH = {**SURFACE, **SYMMETRIES}

# Pictures ----------------------------------------------------------------------------------------------------------
SIZE_RANGE_PX = (64, 8_192)  # allowed length of a side
DEFAULT_SIZE_PX = 1_024
DENSITY_DPI = 300  # pixels an inch that printers and some shops ask for; said in the file, it changes no pixel
