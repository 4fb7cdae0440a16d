"""`ablata predict` and `ablata export`: use a trained network here, or hand it on."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from ablata.base.errors import SettingsError
from ablata.cli.console import note, out, print_json

if TYPE_CHECKING:
    from ablata.tasks.classification.predictor import ClassificationPredictor
    from ablata.tasks.detection.predictor import DetectionPredictor
    from ablata.tasks.segmentation.predictor import SegmentationPredictor

_FORMATS = ("onnx", "pt2", "hub")


def predict(
    model: Annotated[str, typer.Argument(help="A run's id, an exported folder, or the name of an export.")],
    images: Annotated[
        list[Path],
        typer.Argument(
            metavar="IMAGE...", help="Image files, or folders of them; films too where every pixel is named."
        ),
    ],
    top: Annotated[int, typer.Option(min=1, help="Classes shown for each.")] = 5,
    protocol: Annotated[str | None, typer.Option(help="Views of an image; by default the run's first.")] = None,
    checkpoint: Annotated[str, typer.Option(help="last or best, of a run.")] = "last",
    output: Annotated[
        Path | None,
        typer.Option(
            help="Write here: an image of the images with their classes; of a "
            "segmenter a folder of overlays and masks; of a detector one of overlays and COCO's JSON."
        ),
    ] = None,
    score: Annotated[float, typer.Option(help="Of a detector: from which on objects are drawn and counted.")] = 0.5,
    json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Name what is on images, on every pixel, or each object, prepared as in training; exit 1 if one is unreadable."""
    from ablata.records.ledger import Ledger
    from ablata.tasks.classification.predictor import ClassificationPredictor
    from ablata.tasks.detection.predictor import DetectionPredictor
    from ablata.tasks.inference.resolve import find_model
    from ablata.tasks.segmentation.predictor import SegmentationPredictor

    with Ledger() as ledger:
        found = find_model(ledger, model, checkpoint)
    if isinstance(found, SegmentationPredictor):
        whole = _segment(found, images, top, protocol, output, as_document=json)
    elif isinstance(found, DetectionPredictor):
        whole = _detect(found, images, protocol, output, score, as_document=json)
    else:
        assert isinstance(found, ClassificationPredictor)
        whole = _classify(found, images, top, protocol, output, as_document=json)
    if not whole:
        raise typer.Exit(1)


def _classify(
    model: ClassificationPredictor, images: list[Path], top: int, protocol: str | None, output: Path | None,
    *, as_document: bool,
) -> bool:  # fmt: skip
    """Predict, print, and tell whether every file could be read."""
    from ablata.tasks.classification.predict import predict_files
    from ablata.tasks.inputs import find_inputs

    files = [one.file for one in find_inputs(images, films=False)]
    found = predict_files(model, files, top=top, protocol=protocol)
    if as_document:
        print_json(found.as_dict())
    else:
        for one in found.done:
            said = ", ".join(f"{name} {probability:.1%}" for name, probability in one.classes)
            out.print(f"{one.file}: {said}", markup=False)
    if output is not None and found.done:
        output.parent.mkdir(parents=True, exist_ok=True)
        found.sheet().save(output)
        note(f"written: {output}")
    for reason in found.unreadable:
        note(f"unreadable: {reason}")
    return not found.unreadable


def _segment(
    model: SegmentationPredictor, images: list[Path], top: int, protocol: str | None, output: Path | None,
    *, as_document: bool,
) -> bool:  # fmt: skip
    """Predict, print each file as it is done, and tell whether all of every file could be read."""
    from ablata.engine.hardware.allocator import keep_memory
    from ablata.tasks.inputs import find_inputs
    from ablata.tasks.segmentation.predict import predict_masks

    if output is not None and output.is_file():
        raise SettingsError("--output of a segmenter must be a folder", found=f"{output} is a file")
    keep_memory()
    done = []
    for one in predict_masks(model, find_inputs(images, films=True), output=output, protocol=protocol):
        done.append(one)
        if one.classes and not as_document:
            said = ", ".join(f"{name} {share:.1%}" for name, share in one.classes[:top])
            frames = f" ({one.frames} frames)" if one.frames > 1 else ""
            out.print(f"{one.file}{frames}: {said}", markup=False)
        if one.problem:
            note(f"unreadable: {one.problem}")
    if as_document:
        named = protocol or model.protocols[0]
        print_json({"protocol": named, "predictions": [one.as_dict() for one in done]})
    if output is not None:
        note(f"written: {output}")
    return not any(one.problem for one in done)


def _detect(
    model: DetectionPredictor, images: list[Path], protocol: str | None, output: Path | None, score: float,
    *, as_document: bool,
) -> bool:  # fmt: skip
    """Predict, print each file as it is done, and tell whether every file could be read."""
    from ablata.tasks.detection.predict import predict_objects
    from ablata.tasks.inputs import find_inputs

    if output is not None and output.is_file():
        raise SettingsError("--output of a detector must be a folder", found=f"{output} is a file")
    done = []
    inputs = find_inputs(images, films=False)
    for one in predict_objects(model, inputs, output=output, protocol=protocol, sure=score):
        done.append(one)
        if one.problem:
            note(f"unreadable: {one.problem}")
        elif not as_document:
            said = ", ".join(f"{count} {name} (surest {best:.2f})" for name, count, best in one.classes)
            out.print(f"{one.file}: {said or f'nothing of score {score:g} or more'}", markup=False)
    if as_document:
        named = protocol or model.protocols[0]
        print_json({"protocol": named, "predictions": [one.as_dict() for one in done]})
    if output is not None:
        note(f"written: {output}")
    return not any(one.problem for one in done)


def export(
    run: Annotated[str, typer.Argument(help="A run's id, or a beginning of it; or an exported folder.")],
    format: Annotated[str, typer.Option(help="onnx, pt2 (torch.export) or hub (a folder that ablata loads).")],
    output: Annotated[
        Path | None, typer.Option(help="File or folder to write; by default RECIPE-RUN here, or in the lab's home.")
    ] = None,
    checkpoint: Annotated[str, typer.Option(help="last or best, of a run.")] = "last",
    size: Annotated[
        str | None,
        typer.Option(
            metavar="HxW",
            help="Height and width of the images that a segmenter's "
            "graph takes, such as 1024x2048; by default those trained on.",
        ),
    ] = None,
) -> None:
    """Write a trained network for use elsewhere, and compare what was written with it."""
    if format not in _FORMATS:
        raise SettingsError("--format must be one of onnx, pt2, hub", found=format)
    if format == "hub" and size is not None:
        raise SettingsError("--size is of a graph: --format onnx or pt2; a folder takes any size", found=size)
    from ablata.records.ledger import Ledger
    from ablata.tasks.inference.hub import export_hub
    from ablata.tasks.inference.onnx_pt2 import export_onnx, export_pt2
    from ablata.tasks.inference.resolve import export_name, export_place, find_model
    from ablata.tasks.segmentation.predictor import sized

    with Ledger() as ledger:
        model = sized(find_model(ledger, run, checkpoint), size)
        name = export_name(model)
        place = output or (export_place(ledger, name) if format == "hub" else Path(f"{name}.{format}"))
    write = {"onnx": export_onnx, "pt2": export_pt2, "hub": export_hub}[format]
    difference = write(model, place)
    note(f"the same network: logits differ by at most {difference:.3g}")
    out.print(f"written: {place}", markup=False)
