"""What is wrong with the images of a folder, and what is worth knowing of them: what training would refuse, too."""

from __future__ import annotations

from ablata.base.quantities import counted
from ablata.data.io.bit_depth import DARK, bits_advice, dark_detail
from ablata.data.io.decode import ImageRules
from ablata.data.io.masks import of_one_page
from ablata.data.label_tools.finding import LabelFinding
from ablata.data.label_tools.survey import Survey
from ablata.data.labels.layout import LabeledFolder, Sample, propose_suffixes
from ablata.data.loading.cache import name_below


def image_findings(survey: Survey, rules: ImageRules) -> tuple[list[LabelFinding], list[LabelFinding]]:
    """Return the problems and remarks of images.

    Args:
        survey: what was read.
        rules: images were decoded by.
    """
    problems = [LabelFinding("unreadable", where, why, do) for where, why, do in survey.images]
    remarks: list[LabelFinding] = []
    if survey.highest and not rules.says_depth and max(survey.highest.values()) < DARK:
        where = max(survey.highest, key=survey.highest.__getitem__)
        detail = f"{counted(len(survey.highest), 'image')} of 16 bits, {dark_detail(survey.highest[where])}"
        problems.append(LabelFinding("dark", where, detail, bits_advice(survey.highest[where])))
    elif survey.highest:
        bits = f"{rules.bits} bits count" if rules.bits else f"up to {max(survey.highest.values()):,}"
        where = next(iter(survey.highest))
        remarks.append(
            LabelFinding("16-bit images", where, f"{counted(len(survey.highest), 'image')}, {bits}; read as 8 bits")
        )
    if survey.transparent:
        many = counted(len(survey.transparent), "image has", "images have")
        detail = f"{many} an alpha channel (a fourth band) with transparent pixels"
        detail += ", which show white" if rules.bands is None else f"; bands {list(rules.bands)} are read"
        do = "" if rules.bands else "data.bands=[0,1,2] reads the colours without it"
        remarks.append(LabelFinding("transparent", survey.transparent[0], detail, do))
    if survey.single and rules.page:
        remarks.append(LabelFinding("pages", survey.single[0], of_one_page(len(survey.single), rules.page)))
    return problems, remarks + _turned(survey, rules)


def _turned(survey: Survey, rules: ImageRules) -> list[LabelFinding]:
    """Remark on files in which a camera noted an orientation."""
    images, labels = survey.turned
    if not images and not labels:
        return []
    noted = f"{counted(len(images), 'image')} and {counted(len(labels), 'label file')}"
    detail = f"the camera noted an orientation (EXIF) in {noted}"
    if rules.orientation == "applied":
        detail += "; each is turned upright as it says (data.orientation=applied)"
    else:
        detail += "; all are read as stored (data.orientation=ignored)"
    remarks = [LabelFinding("orientation", (images or labels)[0], detail)]
    if survey.apart:
        other = "ignored" if rules.orientation == "applied" else "applied"
        detail = f"{len(survey.apart)} label files have another orientation noted than their image, at one size"
        do = f"look at ablata data preview: where label files lie wrong over images, set data.orientation={other}"
        remarks.append(LabelFinding("orientation", survey.apart[0], detail, do))
    return remarks


def pairing(labelled: LabeledFolder) -> tuple[list[LabelFinding], set[Sample]]:
    """Find label files whose names end otherwise than their images', and the setting that pairs them.

    Returns:
        The problem, and the samples that it explains.
    """
    proposed = propose_suffixes(labelled)
    if not proposed.pairs:
        return [], set()
    image, label = proposed.pairs[0]
    assert image.image is not None
    assert label.label is not None
    names = [name_below(file, labelled.root) for file in (image.image, label.label)]
    behind = f", in which {proposed.image} stands there" if proposed.image else ""
    detail = f"{len(proposed.pairs)} label files are called like their image with {proposed.mask} behind{behind}: "
    settings = proposed.settings
    do = f"say so: {' '.join(settings)} (ablata data convert: {' '.join(f'--set {one}' for one in settings)})"
    found = LabelFinding("names", f"{proposed.mask}", detail + ", ".join(names), do)
    return [found], {sample for pair in proposed.pairs for sample in pair}
