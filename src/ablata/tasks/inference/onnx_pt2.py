"""A trained network as a graph that runs without ablata: ONNX, or torch.export's archive.

A graph maps `images`, float32 [B, C, H, W], normalised, any B, to `logits`, [B, K] or [B, K, H, W], or to `features`,
[B, D], of a network that is trained for its embeddings. What it must be fed
and what comes out stands in the file itself, as JSON under `ablata` (ONNX metadata; `extra/ablata.json` in an archive).
"""

from __future__ import annotations

import contextlib
import io
import json
import logging
import tempfile
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, cast

import torch
from torch import Tensor

from ablata.base.errors import AblataError, SettingsError
from ablata.base.files import atomic_path
from ablata.engine.predictor import Predictor

_ROWS = 5
"""Images in the batch of comparison; another number than the graph was traced with."""
TOLERANCE = 1e-3
"""Largest difference of an output, as a fraction of the largest one (or of 1)."""


def export_pt2(model: Predictor, path: Path) -> float:
    """Write a network as an archive of `torch.export`, read it back and compare.

    Returns:
        The largest difference of an output on a batch of noise.

    Raises:
        AblataError: the network cannot be traced, or the archive gives other outputs; nothing is written then.
    """
    metadata = json.dumps(preparation(model))
    path.parent.mkdir(parents=True, exist_ok=True)
    with _quiet(), tempfile.TemporaryDirectory(prefix=f".{path.name}.", dir=path.parent) as folder:
        program = _traced(model)
        # Without example inputs the archive holds tensors and JSON alone; torch would pickle them.
        program.example_inputs = None
        # torch.export wants this ending, and writes the file's name into the archive.
        draft = Path(folder) / f"{path.stem}.pt2"
        torch.export.save(program, draft, extra_files={"ablata.json": metadata})
        back = torch.export.load(draft)
        difference = _compared(model, cast(Callable[[Tensor], Tensor], back.module()), path)
        draft.replace(path)
    return difference


def export_onnx(model: Predictor, path: Path) -> float:
    """Write a network as one ONNX file, run it with ONNX Runtime and compare.

    Returns:
        The largest difference of an output on a batch of noise.

    Raises:
        SettingsError: the libraries are not installed.
        AblataError: the network cannot be translated, or the file gives other outputs; nothing is written then.
    """
    try:
        import onnxruntime
        import onnxscript  # noqa: F401 - torch's exporter needs it and says so only with a traceback
    except ImportError as error:
        raise SettingsError(
            "--format onnx needs the extra onnx", found=str(error), do="pip install 'ablata[onnx]'"
        ) from None
    with _quiet(), atomic_path(path) as draft:
        traced = _traced(model)
        try:
            translated: Any = torch.onnx.export(
                traced, input_names=["images"], output_names=[model.output_name], verbose=False, dynamo=True
            )
        except Exception as error:
            # The exporter has no exception of its own for an operation that it does not know.
            raise _export_error("ONNX", model, error) from None
        translated.model.metadata_props["ablata"] = json.dumps(preparation(model))
        translated.save(draft, external_data=False)
        session = onnxruntime.InferenceSession(str(draft), providers=["CPUExecutionProvider"])

        def run(images: Tensor) -> Tensor:
            return torch.from_numpy(session.run([model.output_name], {"images": images.numpy()})[0])

        return _compared(model, run, path)


def preparation(model: Predictor) -> dict[str, Any]:
    """Return what a graph must be fed and what its outputs mean; JSON-safe."""
    said = {
        "input": model.input(),
        "output": model.output(),
        "recipe": model.facts.get("recipe", {}).get("name"),
        "run": model.facts.get("run"),
        "scores": model.facts.get("scores"),
        "evaluation": model.evaluation(),
    }
    return said | {key: value for key, value in model.contract.items() if key not in ("splits", "teacher")}


def _traced(model: Predictor) -> Any:
    batch, network = torch.export.Dim("batch"), model.exportable()
    try:
        return torch.export.export(network, (model.example(2),), dynamic_shapes={"images": {0: batch}})
    except Exception as error:
        # Tracing fails in as many ways as there are networks.
        raise _export_error("torch.export", model, error) from None


def _export_error(how: str, model: Predictor, error: Exception) -> AblataError:
    reason = str(error).strip().partition("\n")[0]
    return AblataError(
        f"The network must be one that {how} can write",
        found=f"{model.kind}: {type(error).__name__}: {reason}",
        do="export it with --format hub, which keeps the weights and builds the network anew",
    )


@torch.no_grad()
def _compared(model: Predictor, exported: Callable[[Tensor], Tensor], path: Path) -> float:
    images = model.example(_ROWS)
    own = model.outputs(images).float()
    difference = float((exported(images).float() - own).abs().max())
    if not difference <= TOLERANCE * max(1.0, float(own.abs().max())):
        raise AblataError(
            f"An exported network must give the {model.output_name} of the one it was made from",
            found=f"{path}: a difference of {difference:.3g} among values up to {float(own.abs().max()):.3g}",
            do="it was not written; export with --format hub, or report the network",
        )
    return difference


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Keep the exporters' progress and advice to their developers off the terminal."""
    before = logging.root.manager.disable
    logging.disable(logging.WARNING)
    try:
        with warnings.catch_warnings(), contextlib.redirect_stdout(io.StringIO()), torch.no_grad():
            warnings.simplefilter("ignore")
            yield
    finally:
        logging.disable(before)
