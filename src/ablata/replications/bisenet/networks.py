"""The networks and trainings that the questions start from, as overrides of `bisenet_cityscapes`.

What the notebook leaves open is guessed here, once for all questions: a batch of 16, images of 640x360 until line 248
names 1024x1024, as many channels behind the fusion as there are classes (line 165), the backbone ResNet-18, which gives
the 1280 and 1792 channels of lines 89 and 101.
"""

from __future__ import annotations

CHECKPOINTS = "mean IoU after every 10,000 steps, the last at the end"

_PLAIN = (
    "loss=cross_entropy optim.weight_decay=1e-4 optim.groups.no_decay_norm_and_bias=false new_layers_lr=1 "
    'data.augment.color_jitter=null data.augment.scale.values=[0.75,1.0,1.5,1.75,2.0] protocols=["ss"]'
)
_SMALL_CROP = "data.augment.crop.height=360 data.augment.crop.width=640"
_LARGE_CROP = "data.augment.crop.height=1024 data.augment.crop.width=1024"
SMALL_CROP = f"{_PLAIN} {_SMALL_CROP}"
LARGE_CROP = f"{_PLAIN} {_LARGE_CROP}"
"""Cross-entropy on crops of either size, scored on whole images."""

WARM = "schedule.warmup.length=2000 schedule.warmup.start=1e-6"
COLD = "schedule.warmup=null"
PAPER_RATE = f"optim.lr=2.5e-2 {COLD}"

_BARE_HEAD = "model.head.width=null model.head.bias=true"
TWO_AUX = 'model.aux=[{"stride":16,"head":{"width":null}},{"stride":32,"head":{"width":null}}]'
FIRST = (
    f"model.init=torch {_BARE_HEAD} {TWO_AUX} "
    "model.spatial.first=3x3 model.spatial.widths=[64,128,256] model.spatial.width=256 "
    "model.merge=concat model.context.joined_at=end model.context.refine.kernel=0 model.context.after_upsample=0 "
    "model.context.average.form=mean model.context.average.join=multiply"
)
"""All levels enlarged to 1/8 and put side by side."""

WIDER = "model.spatial.widths=[64,256,512] model.spatial.width=512"
AS_FPN = (
    "model.merge=sum model.context.joined_at=levels model.context.width=512 model.context.refine.kernel=1 "
    "model.context.refine.gate_first=true model.context.merge_kernel=3"
)
"""A 1x1 convolution beside each level, a sum, a 3x3 convolution behind it."""

_FPN_NETWORK = (
    f"{_BARE_HEAD} model.head.enlarge=before_head model.aux=[] model.spatial.first=3x3 {WIDER} {AS_FPN} "
    "model.context.after_upsample=0 model.context.average.form=conv_sigmoid model.context.average.join=multiply "
    "model.fusion.stride=2"
)
CLASSES_20 = "data.void=class model.fusion.width=20"
CLASSES_19 = "data.void=ignore model.fusion.width=19"
FPN = f"{_FPN_NETWORK} model.context.average.place=merged model.init=torch"
"""The network of lines 45 to 58, without its classes."""
_BETTER = 'model.init=kaiming model.upsample=nearest model.context.end_kernel=3 protocols=["ss+multiple=1"]'
_BETTER_NETWORK = f"{SMALL_CROP} {PAPER_RATE} train.steps=51000 {_FPN_NETWORK} {CLASSES_20} {_BETTER}"
MERGED_FPN = f"{_BETTER_NETWORK} model.context.average.place=merged"
"""What line 73 came to."""
REFINED_FPN = f"{_BETTER_NETWORK} model.context.average.place=refined"
"""What line 108 goes back to; 57.98."""

LADDER = (
    f"{LARGE_CROP} train.steps=80000 {_BARE_HEAD} model.aux=[] model.merge=concat model.upsample=nearest "
    "model.spatial=null model.context.levels=[] model.context.stride=32 model.context.width=512 "
    "model.context.refine.kernel=0 model.context.refine.gate=null model.context.average=null "
    "model.context.after_upsample=0 model.logits_upsample.align_corners=false"
)
"""Logits from 1/32."""
_HEAD_AUX = '{"stride":%d,"source":"%s","head":{"width":256,"dropout":0.1}}'
FCN_HEAD = "model.context.stride=8 model.head.width=256 model.head.dropout=0.1"
ONE_AUX = f"model.aux=[{_HEAD_AUX % (16, 'features')}]"
AUX_OF_FEATURES = f"model.aux=[{_HEAD_AUX % (16, 'features')},{_HEAD_AUX % (32, 'features')}]"
AUX_OF_REFINED = f"model.aux=[{_HEAD_AUX % (16, 'refined')},{_HEAD_AUX % (32, 'refined')}]"
U_SHAPE = f"{FCN_HEAD} model.context.levels=[16] model.context.merge_kernel=3 {AUX_OF_FEATURES}"


def detail(first: int, second: int, third: int = 512) -> str:
    """Return the settings of a spatial path that ends with 512 channels."""
    return f"model.spatial=convs model.spatial.widths=[{first},{second},{third}] model.spatial.width=512"


TORCHSEG = (
    "model.fusion.gate.reduction=1 model.fusion.gate.norm=true model.head.width=64 model.head.bias=true "
    'model.aux=[{"stride":8,"source":"merged"},{"stride":16,"source":"merged"}] model.init=kaiming_relu'
)
"""The form of the paper's authors."""
