"""A trained network as a graph that runs without ablata: ONNX, or torch.export's archive.

A graph maps `images`, float32 [B, C, H, W], normalised, any B, to `logits`, [B, K] or [B, K, H, W], or to `features`,
[B, D], of a network that is trained for its embeddings. What it must be fed
and what comes out stands in the file itself, as JSON under `ablata` (ONNX metadata; `extra/ablata.json` in an archive).
"""

from __future__ import annotations

import json
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, cast

import torch
from torch import Tensor

from ablata.base.errors import SettingsError
from ablata.base.files import atomic_path
from ablata.engine.predictor import Predictor
from ablata.tasks.inference.graph_checks import compared, export_error, preparation, quiet, traced


def export_pt2(model: Predictor, path: Path, images: Sequence[Path] = ()) -> float:
    """Write a network as an archive of `torch.export`, read it back and compare.

    Args:
        model: the network.
        path: the file.
        images: image files to compare on, beside noise.

    Returns:
        The largest difference of an output.

    Raises:
        AblataError: the network cannot be traced, or the archive gives other outputs; nothing is written then.
    """
    metadata = json.dumps(preparation(model))
    path.parent.mkdir(parents=True, exist_ok=True)
    with quiet(), tempfile.TemporaryDirectory(prefix=f".{path.name}.", dir=path.parent) as folder:
        program = traced(model)
        # Without example inputs the archive holds tensors and JSON alone; torch would pickle them.
        program.example_inputs = None
        # torch.export wants this ending, and writes the file's name into the archive.
        draft = Path(folder) / f"{path.stem}.pt2"
        torch.export.save(program, draft, extra_files={"ablata.json": metadata})
        back = torch.export.load(draft)
        difference = compared(model, cast(Callable[[Tensor], Tensor], back.module()), path, images)
        draft.replace(path)
    return difference


def export_onnx(model: Predictor, path: Path, images: Sequence[Path] = ()) -> float:
    """Write a network as one ONNX file, run it with ONNX Runtime and compare; arguments as of `export_pt2`.

    Returns:
        The largest difference of an output.

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
    with quiet(), atomic_path(path) as draft:
        program = traced(model)
        try:
            translated: Any = torch.onnx.export(
                program, input_names=["images"], output_names=[model.output_name], verbose=False, dynamo=True
            )
        except Exception as error:
            # The exporter has no exception of its own for an operation that it does not know.
            raise export_error("ONNX", model, error) from None
        translated.model.metadata_props["ablata"] = json.dumps(preparation(model))
        translated.save(draft, external_data=False)
        session = onnxruntime.InferenceSession(str(draft), providers=["CPUExecutionProvider"])

        def run(images: Tensor) -> Tensor:
            return torch.from_numpy(session.run([model.output_name], {"images": images.numpy()})[0])

        return compared(model, run, path, images)
