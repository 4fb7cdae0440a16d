"""`ablata predict`: use a trained network on image files."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from ablata.cli.asking import TrustCode
from ablata.cli.console import note, out, print_json


def predict(
    model: Annotated[
        str, typer.Argument(help="A run's id or its folder, an exported folder, or the name of an export.")
    ],
    images: Annotated[
        list[Path],
        typer.Argument(metavar="IMAGE...", help="Image files, or folders of them; videos too for a segmenter."),
    ],
    top: Annotated[int, typer.Option(min=1, help="How many classes, or nearest images, are shown for each image.")] = 5,
    protocol: Annotated[
        str | None,
        typer.Option(
            metavar="NAME", help="How an image is cropped, scaled, flipped; by default the run's first protocol."
        ),
    ] = None,
    checkpoint: Annotated[str, typer.Option(metavar="last|best", help="Checkpoint of a run.")] = "last",
    output: Annotated[
        Path | None,
        typer.Option(
            help="Write here. Classifier: one image file with all images and their classes. Segmenter: a folder of "
            "masks and overlays. Detector: a folder of overlays and COCO's JSON. Re-identification: a folder of "
            "embeddings and nearest images."
        ),
    ] = None,
    score: Annotated[float, typer.Option(help="Score threshold of a detector's objects.")] = 0.5,
    gallery: Annotated[
        list[Path] | None,
        typer.Option(help="Re-identification: image files or folders that are searched for the nearest images."),
    ] = None,
    tile: Annotated[
        int | None,
        typer.Option(
            min=64, metavar="PIXELS", help="Segmenter: predict in tiles of this side, for images of any size."
        ),
    ] = None,
    annotations: Annotated[
        Path | None,
        typer.Option(
            help="Detector: COCO's JSON whose image ids the results carry; by default those of its own data set."
        ),
    ] = None,
    fps: Annotated[
        bool,
        typer.Option(
            "--fps",
            help="Say how many images or frames a second, not what is on each; with normalisation folded.",
        ),
    ] = False,
    fold: Annotated[
        bool,
        typer.Option("--fold/--no-fold", help="With --fps: fold normalisation into convolutions, where exact."),
    ] = True,
    trust_code: TrustCode = False,
    json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Predict classes, masks, boxes or embeddings of images. Prepared as in training; exit 1 if one is unreadable."""
    from ablata.api.models import load_model
    from ablata.api.models import predict as predict_images
    from ablata.api.speed import predict_timed

    found = load_model(model, checkpoint=checkpoint, trust_code=trust_code, say=note)
    options: dict[str, Any] = {
        "protocol": protocol, "output": output, "top": top, "score_threshold": score, "gallery": gallery or (),
        "annotations": annotations, "tile": tile, "say": note,
    }  # fmt: skip
    timed = predict_timed(found, images, fold=fold, **options) if fps else None
    predictions = predict_images(found, images, **options) if timed is None else timed
    for prediction in predictions:
        if prediction.problem:
            note(f"unreadable: {prediction.problem}")
        if not json and timed is None and (text := prediction.text()):
            out.print(text, markup=False)
    if json:
        print_json({"protocol": predictions.protocol, "predictions": predictions.to_rows()})
    if timed is not None:
        note(str(timed.speed))
    if output is not None and output.exists():
        note(f"written: {output}")
    if any(prediction.problem for prediction in predictions):
        raise typer.Exit(1)
