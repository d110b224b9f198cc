from __future__ import annotations

from pathlib import Path

import numpy as np
import onnxruntime
import pytest

from inference.catalogue import NetworkFacts, describe
from inference.engines.contract import Task

torch = pytest.importorskip("torch", reason="PyTorch is not installed (the extra 'train')")

from export import export  # noqa: E402
from network import Detector, Network, PoseModel  # noqa: E402


@pytest.mark.filterwarnings("ignore")
def test_both_models_answer_as_the_network_does_for_any_batch(tmp_path: Path) -> None:
    torch.manual_seed(0)
    network = Network(labels=2).eval()
    paths = export(network, ("person", "car"), tmp_path)
    pictures = np.random.default_rng(0).random((3, 3, 256, 320), np.float32)
    for task, path, model in zip(
        (Task.DETECT, Task.POSE), paths, (Detector(network), PoseModel(network)), strict=True
    ):
        session = onnxruntime.InferenceSession(str(path))
        assert session.get_outputs()[0].shape == ["batch", *model(torch.zeros(1, 3, 256, 320)).shape[1:]]
        (found,) = session.run(None, {"images": pictures})
        with torch.no_grad():
            wanted = model(torch.from_numpy(pictures)).numpy()
        # Weights are stored as float16.
        assert np.abs(found - wanted).max() < 0.5
        assert path.stat().st_size < 2_000_000
        facts = NetworkFacts(
            session.get_inputs()[0].shape,
            session.get_outputs()[0].shape,
            session.get_modelmeta().custom_metadata_map,
        )
        info, _ = describe(task, path, facts)
        assert info.labels == (("person", "car") if task is Task.DETECT else ())
