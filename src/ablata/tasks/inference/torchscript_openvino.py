"""A trained network as TorchScript (for C++ programs with libtorch), or as OpenVINO's graph (for Intel processors).

Inputs and outputs are those of an ONNX graph. What it must be fed stands in the file: `extra/ablata.json` of
TorchScript, `rt_info/ablata` of OpenVINO's XML, beside which the weights lie in a file of the same name that ends in
.bin.
"""

from __future__ import annotations

import json
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from ablata.base.errors import SettingsError
from ablata.base.files import atomic_path
from ablata.engine.predictor import Predictor
from ablata.tasks.inference.graph_checks import compared, export_error, preparation, quiet, traced, traced_with


def export_torchscript(model: Predictor, path: Path, images: Sequence[Path] = ()) -> float:
    """Write a network as TorchScript, traced, read it back and compare.

    Args:
        model: the network.
        path: the file.
        images: image files to compare on, beside noise.

    Returns:
        The largest difference of an output.

    Raises:
        AblataError: the network cannot be traced, or the file gives other outputs; nothing is written then.
    """
    extra = {"ablata.json": json.dumps(preparation(model))}
    with quiet(), atomic_path(path) as draft:
        try:
            trace: Any = torch.jit.trace
            program = trace(model.exportable().eval(), traced_with(model), check_trace=False)
        except Exception as error:
            raise export_error("TorchScript", model, error) from None
        program.save(str(draft), _extra_files=extra)
        back: Any = torch.jit.load(str(draft), map_location="cpu")  # type: ignore[no-untyped-call]
        return compared(model, back, path, images)


def export_openvino(model: Predictor, path: Path, images: Sequence[Path] = ()) -> float:
    """Write a network as OpenVINO's graph in fp32, run it on the processor and compare.

    Args:
        model: the network.
        path: the XML file; the weights go beside it.
        images: image files to compare on, beside noise.

    Returns:
        The largest difference of an output.

    Raises:
        SettingsError: the library is not installed, or the file is called something else than `.xml`.
        AblataError: the network cannot be translated, or the graph gives other outputs; nothing is written then.
    """
    try:
        import openvino
    except ImportError as error:
        raise SettingsError(
            "--format openvino needs the extra openvino", found=str(error), do="pip install 'ablata[openvino]'"
        ) from None
    if path.suffix != ".xml":
        raise SettingsError(
            "OpenVINO's graph must be an XML file", found=str(path), do=f"write {path.with_suffix('.xml').name}"
        )
    path.parent.mkdir(parents=True, exist_ok=True)
    with quiet(), tempfile.TemporaryDirectory(prefix=f".{path.name}.", dir=path.parent) as folder:
        program = traced(model)
        try:
            graph = openvino.convert_model(program)
        except Exception as error:
            raise export_error("OpenVINO", model, error) from None
        graph.set_rt_info(json.dumps(preparation(model)), "ablata")
        graph.outputs[0].get_tensor().set_names({model.output_name})
        draft = Path(folder) / path.name
        openvino.save_model(graph, draft, compress_to_fp16=False)
        # Its own default on new processors is bf16, whose outputs are not those of the network.
        compiled = openvino.Core().compile_model(draft, "CPU", {"INFERENCE_PRECISION_HINT": "f32"})

        def run(batch: Tensor) -> Tensor:
            return torch.from_numpy(compiled([batch.numpy()])[0].copy())

        difference = compared(model, run, path, images)
        draft.with_suffix(".bin").replace(path.with_suffix(".bin"))
        draft.replace(path)
    return difference
