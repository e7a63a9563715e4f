"""Constants that painting and training share, with their units."""

# Audio -------------------------------------------------------------------------------------------------------------
SAMPLE_RATE = 22_050  # Hz
FFT_SAMPLES = 2_048  # length of a window of the short-time Fourier transform
HOP_SAMPLES = 512  # 43.07 frames a second
MEL_BANDS = 128  # on the Slaney scale, from 0 Hz to `FeatureSettings.fmax_hz`, at most SAMPLE_RATE / 2
MFCC_ROWS = 20
WINDOW_S = 5.0  # seconds of audio in one feature window
WINDOW_SAMPLES = round(WINDOW_S * SAMPLE_RATE)
WINDOW_FRAMES = 1 + WINDOW_SAMPLES // HOP_SAMPLES  # frames are centred
MAX_AUDIO_S = 4 * 3600.0  # by default, only the first MAX_AUDIO_S seconds of a file are read

# Latents -----------------------------------------------------------------------------------------------------------
LATENT_DIM = 64  # length of z_audio (the latent of sound) and of z_image (the latent of a picture)
SONG_LIMIT = 3.5  # standard deviations at which song codes are clipped, so that unusual songs stay near training songs

# The painter -------------------------------------------------------------------------------------------------------
SLOTS = 8  # number of colours in a palette, which is sorted from dark to light
PLAN_SIDE = 32  # cells along each side of the plan, which has the probability of each colour in each cell
ENCODER_SIDE_PX = 64  # side of the square input of the picture encoder
FREQUENCY_RANGE = (2.0, 48.0)  # number of marks along the short side of the picture
CHAOS_RANGE = (0.0, 1.5)  # 0: marks follow the plan; 1: they mix its colours with the probabilities of the plan
FIGURE_NAMES = (
    "auto", "none", "face", "couple", "trio", "mask", "veil", "king", "helmet", "pharaoh", "statue", "skull", "angel",
    "hand", "hands", "eye", "sun", "hill", "boat", "guitar", "shell",
)  # fmt: skip
SURFACE_NAMES = ("gouache", "impasto", "drawing", "collage", "flat", "print", "layers")
SHAPES_RANGE = (1.6, 7.0)  # number of large shapes along the short side of the picture
DETAIL_RANGE = (0.0, 1.0)  # 0: small marks only in the middle of the focus; 1: in a third of the picture
SOFTNESS_RANGE = (0.0, 1.0)  # 0: most borders between areas are sharp; 1: most are blurred
GLAZE_RANGE = (0.0, 16.0)  # strength of gradual changes of tone within an area, in L*
BRUSH_RANGE = (0.0, 16.0)  # strength of brushwork within an area, in L*
OUTLINE_RANGE = (-1.6, 1.6)  # twice the mean width of lines between areas, in % of the short side; dark below 0
WIDEST_OUTLINE = 0.9  # larger absolute values of the outline count as this one
# Names of controls and their ranges, in the order of the outputs of the networks. In training pictures, the controls in
# PAINT are estimated by the mark classifier, and those in LAYOUT are measured in the plan.
PAINT = {"softness": SOFTNESS_RANGE, "glaze": GLAZE_RANGE, "brush": BRUSH_RANGE, "outline": OUTLINE_RANGE}
LAYOUT = {"shapes": SHAPES_RANGE, "detail": DETAIL_RANGE}
FINISH = {**PAINT, **LAYOUT}
TEXTURE_RANGE = (0.0, 1.0)  # 0: neither brushwork nor grain; 0.5 is the default; 1: twice the default
SHIFTS = {"lightness": (-1.0, 1.0), "saturation": (-1.0, 1.0), "warmth": (-1.0, 1.0)}  # shifts of colours; 0: none

# Pictures ----------------------------------------------------------------------------------------------------------
SIZE_RANGE_PX = (64, 8_192)  # allowed length of a side of a picture
MAX_ASPECT = 8  # largest ratio of longer to shorter side of a picture; the memory of a composition grows with it
DEFAULT_SIZE_PX = 1_024
BACKGROUNDS = ("painted", "transparent")  # values of `clavilux.options.PaintOptions.background`
DENSITY_DPI = 300.0  # default of the pixels per inch that picture files state; it does not change the pixels
DPI_RANGE = (1.0, 10_000.0)
MM_PER_INCH = 25.4
