"""Trained networks: loaded, used on images, scored again, written for use elsewhere."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, overload

from ablata.api.opening import lab_of_run, warn
from ablata.api.rows import ResultRows, html_table
from ablata.base.errors import SettingsError, listing, suggestion
from ablata.base.files import refuse_other_kind
from ablata.base.overrides import Overrides, override_texts
from ablata.data.io.input_files import find_input_files
from ablata.engine.predictor import Prediction, PredictOptions, Predictor
from ablata.records.ledger import Ledger
from ablata.studies.evaluation import Evaluation, evaluate_run
from ablata.tasks.inference.hub import export_hub
from ablata.tasks.inference.onnx_pt2 import export_onnx, export_pt2
from ablata.tasks.inference.resolve import export_name, export_place, find_model
from ablata.tasks.inference.torchscript_openvino import export_openvino, export_torchscript

if TYPE_CHECKING:
    import pandas as pd

GRAPHS = {"onnx": export_onnx, "pt2": export_pt2, "torchscript": export_torchscript, "openvino": export_openvino}
_ENDINGS = {"torchscript": "pt", "openvino": "xml"}


def load_model(
    model: str | Path,
    *,
    checkpoint: str = "last",
    trust_code: bool = False,
    say: Callable[[str], None] = warn,
    ledger: Ledger | None = None,
) -> Predictor:
    """Return a trained network with what its outputs mean.

    `.network` is the torch module, in evaluation mode and on the processor; `.classes` are the names of its labels,
    `.prepared(...)` normalises images as in training, `.outputs(...)` runs prepared ones through the network.

    Args:
        model: a run's id, a beginning of it or its folder, an exported folder, or the name of an export.
        checkpoint: of a run, the `last` or the `best` checkpoint.
        trust_code: run code that came with an imported study, or with a folder exported elsewhere.
        say: called with a line about the user's code that is run; by default a warning.
        ledger: where the run is; None: the lab's own.

    Raises:
        UserError: nothing has that name, or what has it is damaged.
    """
    with lab_of_run(model, ledger) as (opened, name):
        return find_model(opened, name, checkpoint, trust=trust_code, say=say)


def predict(
    model: str | Path | Predictor,
    images: str | Path | Sequence[str | Path],
    *,
    protocol: str | None = None,
    output: str | Path | None = None,
    top: int = 5,
    score_threshold: float = 0.5,
    gallery: Sequence[str | Path] = (),
    tile: int | None = None,
    annotations: str | Path | None = None,
    checkpoint: str = "last",
    trust_code: bool = False,
    say: Callable[[str], None] = warn,
    ledger: Ledger | None = None,
) -> Predictions:
    """Predict classes, masks, boxes or embeddings of image files, prepared as in training.

    Args:
        model: a run's id, an exported folder, the name of an export, or what `load_model` returned.
        images: image files, or folders of them; videos too for a segmenter.
        protocol: how an image is cropped, scaled and flipped; None: the run's first.
        output: where to draw what was predicted: a file of a classifier, else a folder; None: nowhere.
        top: classes, or nearest images, of each.
        score_threshold: score threshold of a detector, in [0, 1]: objects below it are neither drawn nor counted.
        gallery: of re-identification, image files or folders to find each image's nearest in.
        tile: of a segmenter, height and width in pixels of the parts that are predicted one by one, so that an image of
            any size fits into memory; None: whole images.
        annotations: of a detector, a JSON file of COCO's under whose image ids results are written; None: those of its
            data set, where all images are of it, else 1, 2, ...
        checkpoint: of a run, `last` or `best`.
        trust_code: run code that came with an imported study, or with a folder exported elsewhere.
        say: called with a line about the user's code that is run; by default a warning.
        ledger: where the run is; None: the lab's own.

    Returns:
        A prediction a file, in order; one for a file that cannot be read has its reason as `problem`.

    Raises:
        UserError: the model or a file does not exist, or images would be prepared otherwise than in training.
    """
    if isinstance(model, Predictor):
        found = model
    else:
        found = load_model(model, checkpoint=checkpoint, trust_code=trust_code, say=say, ledger=ledger)
    paths = [images] if isinstance(images, str | Path) else images
    inputs = find_input_files([Path(path) for path in paths], videos=found.videos)
    options = PredictOptions(
        protocol,
        None if output is None else Path(output),
        top,
        score_threshold,
        tuple(map(Path, gallery)),
        tile,
        None if annotations is None else Path(annotations),
    )
    return Predictions(found.predict_files(inputs, options), protocol or found.protocols[0])


class Predictions(Sequence[Prediction]):
    """Predictions of files, made as they are asked for: iterate to have each as soon as it is done.

    Args:
        made: yields them.
        protocol: how images were cropped, scaled and flipped.
    """

    def __init__(self, made: Iterator[Prediction], protocol: str) -> None:
        self.protocol = protocol
        self._coming, self._done = made, list[Prediction]()

    def __iter__(self) -> Iterator[Prediction]:
        yield from self._done
        for prediction in self._coming:
            self._done.append(prediction)
            yield prediction

    def _all(self) -> list[Prediction]:
        self._done += self._coming
        return self._done

    @overload
    def __getitem__(self, index: int) -> Prediction: ...
    @overload
    def __getitem__(self, index: slice) -> list[Prediction]: ...
    def __getitem__(self, index: int | slice) -> Prediction | list[Prediction]:
        return self._all()[index]

    def __len__(self) -> int:
        return len(self._all())

    @property
    def rows(self) -> ResultRows:
        """One row a file: file, what the task predicts, problem, outputs."""
        return ResultRows(prediction.as_dict() for prediction in self)

    def to_rows(self) -> list[dict[str, Any]]:
        """Return them as a list of dictionaries, JSON-safe."""
        return self.rows.to_rows()

    def to_frame(self) -> pd.DataFrame:
        """Return them as a pandas DataFrame."""
        return self.rows.to_frame()

    def __repr__(self) -> str:
        return "\n".join(prediction.text() or f"{prediction.file}: {prediction.problem}" for prediction in self)

    def _repr_html_(self) -> str:
        told = [(prediction.text() or str(prediction.file), prediction.problem) for prediction in self]
        return html_table(("prediction", "problem"), told)


def evaluate(
    run: str,
    *,
    overrides: Overrides = (),
    protocols: Sequence[str] | None = None,
    split: str = "val",
    checkpoint: str = "last",
    weights: str = "eval",
    save_predictions: str | Path | None = None,
    score_threshold: float | None = None,
    trust_code: bool = False,
    say: Callable[[str], None] = warn,
    ledger: Ledger | None = None,
) -> Evaluation:
    """Score the model of a run again: totals, and every class. The scores are kept with the run.

    Args:
        run: its id, a beginning of it, or its folder.
        overrides: where things are, such as `{"data.root": "/mnt/images"}`; nothing that makes another model.
        protocols: how to score; None: as the recipe does.
        split: what to score on.
        checkpoint: `last` or `best`.
        weights: `eval`: the EMA weights where the run keeps them; `raw`: the trained weights themselves.
        save_predictions: a new .npz file for every sample's predictions; of a detector also a .json for every detection
            in COCO's form of results, under the set's own image ids.
        score_threshold: of a detector, score from which detections count in precision, recall and the confusion matrix;
            None: 0.5.
        trust_code: run code that came with an imported study, or with a folder exported elsewhere.
        say: called with a line about the user's code that is run; by default a warning.
        ledger: where the run is; None: the lab's own.

    Raises:
        UserError: no such run or checkpoint, or the data at hand does not fit it.
    """
    with lab_of_run(run, ledger) as (opened, name):
        return evaluate_run(
            opened, name, override_texts(overrides), protocols=protocols, split=split, which=checkpoint,
            weights=weights, save_to=None if save_predictions is None else Path(save_predictions),
            score_threshold=score_threshold, trust_code=trust_code, say=say,
        )  # fmt: skip


def export(
    model: str | Path,
    format: str,
    output: str | Path | None = None,
    *,
    checkpoint: str = "last",
    size: str | None = None,
    free_size: bool = False,
    images: Sequence[str | Path] = (),
    trust_code: bool = False,
    say: Callable[[str], None] = warn,
    ledger: Ledger | None = None,
) -> tuple[Path, float]:
    """Write a trained network for use elsewhere, and compare what was written with it.

    Args:
        model: a run's id, a beginning of it or its folder, or an exported folder.
        format: `onnx`, `pt2` (torch.export), `torchscript`, `openvino`, or `hub` (a folder that ablata loads).
        output: file or folder to write; None: RECIPE-RUN here, or of `hub` in the lab's home.
        checkpoint: of a run, `last` or `best`.
        size: height and width of a segmenter's images in the graph, such as `1024x2048`; None: as trained on.
        free_size: a graph for images of any height and width, compared at three of them.
        images: image files, and folders of them, on which the graph is compared with the network, beside noise.
        trust_code: run code that came with an imported study, or with a folder exported elsewhere.
        say: called with a line about the user's code that is run; by default a warning.
        ledger: where the run is; None: the lab's own.

    Returns:
        Where it was written, and the largest difference of an output between the two networks.

    Raises:
        UserError: a name is wrong, the place is taken, or the network cannot be written in that format.
    """
    if format not in (*GRAPHS, "hub"):
        raise SettingsError(
            f"The format of an export must be one of {listing((*GRAPHS, 'hub'))}",
            found=format,
            do=suggestion(format, (*GRAPHS, "hub")),
        )
    if format == "hub" and (size is not None or free_size or images):
        raise SettingsError(
            "Size, free size and images to compare on are of graphs; a folder takes images of any size",
            found="the format hub",
            do=f"leave them out, or use one of {listing(GRAPHS)}",
        )
    files = [one.file for one in find_input_files([Path(path) for path in images])] if images else []
    with lab_of_run(model, ledger) as (opened, run):
        found = find_model(opened, run, checkpoint, trust=trust_code, say=say)
        found = found if size is None else found.with_size(size)
        found = found.with_free_size() if free_size else found
        name = export_name(found)
        ending = _ENDINGS.get(format, format)
        target = Path(output or (export_place(opened, name) if format == "hub" else f"{name}.{ending}"))
        if format != "hub":
            refuse_other_kind(target, (f".{ending}",))
    return target, export_hub(found, target) if format == "hub" else GRAPHS[format](found, target, files)
