"""Kernels of the spatial path, a context path down to 1/8, learned enlargement (lines 106 to 192)."""

from __future__ import annotations

from ablata.replications.bisenet.networks import CHECKPOINTS, REFINED_FPN
from ablata.replications.trial import Conclusion, Question, Trial

_FPN_LINES = (106, 107, 108, 109)
_FPN_SCORES = (50.63, 52.60, 55.09, 57.09, 57.98)

SPATIAL_PATH = Question(
    name="spatial-path",
    title="Larger kernels in the spatial path?",
    base=REFINED_FPN,
    control=Trial(
        "3x3",
        "three 3x3 convolutions of 64, 256, 512",
        "",
        _FPN_LINES,
        _FPN_SCORES,
        note="A 1x1 convolution to 512 follows them, so that a third of 1024 leaves the fusion's width alone.",
    ),
    trials=(
        Trial(
            "first-7x7",
            "the first 7x7",
            "model.spatial.first=7x7",
            (111, 112, 113),
            (47.74, 53.10, 54.50, 56.04, 58.22),
        ),
        Trial(
            "first-three-3x3",
            "the first three of 3x3 with 32, 32, 64",
            "model.spatial.first=three_3x3",
            (115, 116),
            (50.11, 53.87, 54.48, 56.57, 58.10),
        ),
        Trial(
            "second-5x5", "the second 5x5", "model.spatial.second=5", (118, 119), (50.81, 52.50, 56.01, 56.12, 58.09)
        ),
        Trial(
            "third-1024",
            "the third 1024 wide",
            "model.spatial.widths=[64,256,1024]",
            (121, 122),
            (50.84, 53.98, 54.62, 57.15, 58.19),
        ),
        Trial(
            "third-1024-5x5",
            "the third 1024 wide and 5x5",
            "model.spatial.widths=[64,256,1024] model.spatial.third=5",
            (124, 125),
            (50.90, 51.01, 55.43, 56.09, 58.35),
        ),
        Trial(
            "last-3x3",
            "the last 3x3 for 1x1",
            "model.spatial.last=3",
            (130, 131),
            (48.84, 52.52, 55.01, 56.55, 58.31),
            note="Taken for the spatial path's last; it might be the classifier.",
        ),
        Trial(
            "all",
            "the first 7x7, the second 5x5, the third 5x5 and 1024 wide, the last 1x1",
            "model.spatial.first=7x7 model.spatial.second=5 model.spatial.third=5 model.spatial.widths=[64,256,1024]",
            (134, 135),
            (51.56, 54.15, 55.01, 56.34, 58.50),
            note="Line 134 has 5x4, read as 5x5.",
        ),
    ),
    conclusions=(
        Conclusion(
            text="A third convolution of 1024 and a large first kernel do somewhat better.",
            lines=(127,),
            claims={"first-7x7": "better", "third-1024": "better", "third-1024-5x5": "better"},
        ),
        Conclusion(text="Three of 3x3 in place of 7x7 are no great success.", lines=(128,)),
        Conclusion(text="All about the same, it matters little.", lines=(132,), claims={"last-3x3": "same"}),
    ),
    meaning=CHECKPOINTS,
)

_TO_8 = "model.context.levels=[16,8]"
_BARE = "model.context.end_kernel=0"
_WIDE_MAP = "model.fusion.stride=1"

EIGHTH = Question(
    name="eighth",
    title="A context path whose FPN goes down to 1/8: a convolution at its end, the fusion at stride 1?",
    base=REFINED_FPN,
    control=Trial("sixteenth", "an FPN down to 1/16, then enlarged", "", _FPN_LINES, _FPN_SCORES),
    trials=(
        Trial(
            "eighth",
            "an FPN down to 1/8, no convolution at its end",
            f"{_TO_8} {_BARE}",
            (137, 138),
            (50.14, 53.07, 55.52, 56.40, 58.21),
        ),
        Trial("end-conv", "and a convolution at its end", _TO_8, (139,), (49.76, 52.14, 54.78, 56.71, 57.86)),
        Trial(
            "fusion-stride-1",
            "no convolution at its end, the fusion's convolution at stride 1",
            f"{_TO_8} {_BARE} {_WIDE_MAP}",
            (140,),
            (52.41, 55.97, 57.95, 59.40, 60.70),
        ),
        Trial("end-conv-stride-1", "both", f"{_TO_8} {_WIDE_MAP}", (141,)),
    ),
    conclusions=(
        Conclusion(
            text="With a convolution behind each sum, one more at the end is of no use.",
            lines=(139,),
            claims={"end-conv": "same"},
        ),
        Conclusion(text="It does much.", lines=(140,), claims={"fusion-stride-1": "better"}),
    ),
    meaning=CHECKPOINTS,
)

_EIGHTH = f"{REFINED_FPN} {_TO_8} {_BARE} {_WIDE_MAP}"

OUTPUT = Question(
    name="learned-output",
    title="Should the last map be enlarged by learned kernels?",
    base=_EIGHTH,
    control=Trial("bilinear", "bilinear", "", (140,), (52.41, 55.97, 57.95, 59.40, 60.70)),
    trials=(
        Trial(
            "16x16",
            "one kernel of 16x16 with stride 8",
            "model.logits_upsample=deconv",
            (144, 145),
            (51.72, 54.88, 56.85, 59.24, 60.39),
        ),
        Trial(
            "three-4x4",
            "three of 4x4 with stride 2, nothing between them",
            "model.logits_upsample=deconv model.logits_upsample.steps=doubling",
            (146,),
        ),
    ),
    meaning=CHECKPOINTS,
)

_FPN_FORM = "model.context.refine.kernel=1 model.context.merge_kernel=3"
_FCN_FORM = "model.context.refine.kernel=3"
_NO_OUTER = "model.context.merge_kernel=0"
_TO_16 = "model.context.levels=[16]"

LEARNED = Question(
    name="learned-merge",
    title="Learned kernels in the context path: as an FPN or an FCN, with or without 1/8?",
    base=f"{_EIGHTH} model.upsample=deconv",
    control=Trial(
        "fcn",
        "3x3 convolutions beside the levels, none behind the sums, down to 1/8",
        f"{_FCN_FORM} {_NO_OUTER}",
        (148, 152, 153),
        (51.39, 50.62, 55.98, 58.44, 60.50),
    ),
    trials=(
        Trial(
            "fpn",
            "1x1 convolutions beside the levels, 3x3 behind the sums",
            _FPN_FORM,
            (148, 149, 150),
            (47.90, 52.89, 55.58, 57.89, 59.46),
        ),
        Trial(
            "fpn-16",
            "the FPN's, 1/8 enlarged alone",
            f"{_FPN_FORM} {_TO_16}",
            (155, 156, 157),
            (49.09, 54.31, 56.62, 58.22, 59.51),
        ),
        Trial(
            "fcn-16",
            "the FCN's, 1/8 enlarged alone",
            f"{_FCN_FORM} model.context.merge_kernel=3 {_TO_16}",
            (155, 159, 160),
            (49.84, 52.76, 55.23, 56.86, 59.50),
            note="Line 168 takes the convolution behind the sum away, so it is there.",
        ),
    ),
    conclusions=(
        Conclusion(text="With learned kernels the FCN's form beats the FPN's.", lines=(153,), claims={"fpn": "worse"}),
        Conclusion(
            text="The gated map at 1/8 has to be added.",
            lines=(162,),
            claims={"fpn-16": "worse", "fcn-16": "worse"},
        ),
    ),
    meaning=CHECKPOINTS,
)

LATER = Question(
    name="later",
    title="From the FCN's form at 1/16: fusion, convolutions, average, auxiliary loss, widths, cards?",
    base=f"{_EIGHTH} model.upsample=deconv {_FCN_FORM} model.context.merge_kernel=3 {_TO_16}",
    control=Trial(
        "fcn-16",
        "3x3 convolutions, learned kernels from Kaiming's distribution",
        "",
        (159, 160),
        (49.84, 52.76, 55.23, 56.86, 59.50),
    ),
    trials=(
        Trial(
            "fusion-keeps",
            "the fusion keeps its channels; 1x1 to the classes, then learned kernels",
            "model.fusion.width=null model.fusion.project=20 model.logits_upsample=deconv",
            (165,),
        ),
        Trial(
            "no-outer",
            "no convolution behind the sum",
            _NO_OUTER,
            (168, 169),
            (48.97, 53.31, 55.92, 57.77, 59.90),
        ),
        Trial(
            "average-level",
            "and the average as one more level, enlarged and added",
            f"{_NO_OUTER} model.context.average.form=conv_relu model.context.average.join=add "
            "model.context.average.place=level",
            (172, 173, 174),
            (48.82, 53.12, 55.82, 57.51, 59.74),
        ),
        Trial(
            "aux-32",
            "an auxiliary head on 1/32, enlarged 32 times at once",
            'model.aux=[{"stride":32,"head":{"width":null},"upsample":{"kind":"deconv"}}]',
            (177, 178, 179),
        ),
        Trial(
            "straight",
            "1/32 and 1/16 each enlarged to 1/8 by kernels of its own, then added",
            "model.context.joined_at=end",
            (182,),
        ),
        Trial(
            "average-pool",
            "the average, enlarged, added to 1/32",
            "model.context.average.form=conv_relu model.context.average.join=add",
            (185,),
        ),
        Trial("32-64-256", "a spatial path of 32, 64, 256", "model.spatial.widths=[32,64,256]", (188,)),
        Trial(
            "plain-side-by-side",
            "only interpolated and put side by side, no convolution",
            "model.upsample=bilinear model.merge=concat model.context.joined_at=end model.context.refine.kernel=0 "
            "model.context.refine.gate_first=false model.context.merge_kernel=0",
            (190,),
        ),
        Trial(
            "two-cards",
            "two cards in place of one",
            "compute.sync_batch_norm=false",
            (192,),
            note="Processes are given to torchrun, not to the recipe; what they change is the normalisation.",
        ),
    ),
    meaning=CHECKPOINTS,
)

KERNELS = (SPATIAL_PATH, EIGHTH, OUTPUT, LEARNED, LATER)
