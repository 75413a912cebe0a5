"""Networks in files of ONNX: what they return, several as samples, and what is refused."""

import pickle
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import xarray as xr

import xfusion as xf
from xfusion.models import loaded
from xfusion.models.external_weights import external_files

onnx = pytest.importorskip("onnx")
pytest.importorskip("onnxruntime")


def scene() -> xr.DataArray:
    pixels = np.random.default_rng(0).random((2, 50, 70)).astype(np.float32)
    return xr.DataArray(pixels, dims=("band", "y", "x"))


def written(path: Path, seed: int = 0, shape: Any = ("n", 2, "h", "w"), outputs: int = 1) -> Path:
    """Write a convolution of 3 x 3 pixels and a sigmoid."""
    helper, proto = onnx.helper, onnx.TensorProto
    weights = np.random.default_rng(seed).normal(size=(1, 2, 3, 3)).astype(np.float32)
    nodes = [
        helper.make_node("Conv", ["pixels", "weights"], ["logit"], pads=[1, 1, 1, 1]),
        helper.make_node("Sigmoid", ["logit"], ["mean"]),
        helper.make_node("Mul", ["mean", "mean"], ["variance"]),
    ]
    of = [
        helper.make_tensor_value_info(name, proto.FLOAT, None)
        for name in ("mean", "variance")[:outputs]
    ]
    pixels = helper.make_tensor_value_info("pixels", proto.FLOAT, shape)
    graph = helper.make_graph(
        nodes, "net", [pixels], of, [onnx.numpy_helper.from_array(weights, "weights")]
    )
    opset = [helper.make_opsetid("", 17)]
    onnx.save(helper.make_model(graph, opset_imports=opset, ir_version=9), path)
    return path


def test_tiles_of_a_file_are_the_whole_scene_and_blocks_change_nothing(tmp_path: Path) -> None:
    model = xf.models.onnx(written(tmp_path / "net.onnx"))
    found = xf.predict(scene(), model, sigma=0.1, tile=32, overlap=4)
    np.testing.assert_allclose(found.mu, model(scene().to_numpy()[None])[0, 0], atol=1e-6)
    lazy = xf.predict(scene().chunk(x=13), model, sigma=0.1, tile=32, overlap=4)
    xr.testing.assert_identical(lazy.compute(), found)
    assert found.attrs["prediction_model"].startswith("net.onnx ")
    assert len(pickle.dumps(model)) < 500


def test_several_files_are_samples(tmp_path: Path) -> None:
    paths = [written(tmp_path / f"{k}.onnx", k) for k in range(5)]
    found = xf.predict(scene(), xf.models.onnx(paths), tile=32, overlap=4)
    each = np.stack([xf.models.onnx(path)(scene().to_numpy()[None])[0, 0] for path in paths])
    np.testing.assert_allclose(found.mu, each.mean(0), atol=1e-6)
    np.testing.assert_allclose(found.sigma, each.std(0, ddof=1) * np.sqrt(2), atol=1e-5)
    assert found.attrs["passes"] == 5


def test_two_outputs_are_mean_and_variance_where_that_is_said(tmp_path: Path) -> None:
    model = xf.models.onnx(written(tmp_path / "net.onnx", outputs=2))
    found = xf.predict(scene(), xf.models.mean_and_variance(model), tile=32, overlap=4)
    np.testing.assert_allclose(found.sigma, found.mu, rtol=1e-5)
    with pytest.raises(ValueError, match="returned tuple of 2"):
        xf.predict(scene(), model, sigma=0.1)


def test_weights_in_files_of_their_own_are_part_of_what_a_network_is(tmp_path: Path) -> None:
    names = []
    for seed in (0, 0, 1):
        path = written(tmp_path / "plain.onnx", seed)
        apart: Any = {"save_as_external_data": True, "size_threshold": 0, "location": "net.data"}
        onnx.save(onnx.load(path), tmp_path / "net.onnx", **apart)
        model = xf.models.onnx(tmp_path / "net.onnx")
        names.append(model.name)
        plain = xf.models.onnx(path)(scene().to_numpy()[None])
        np.testing.assert_array_equal(model(scene().to_numpy()[None]), plain)
        if seed == 0:
            (tmp_path / "net.data").unlink()
    assert names[0] == names[1] != names[2]
    again = xf.models.onnx(tmp_path / "net.onnx")
    (tmp_path / "net.data").write_bytes(bytes((tmp_path / "net.data").stat().st_size))
    loaded._LOADED.clear()
    with pytest.raises(ValueError, match="or a file of its weights, is not what it was"):
        again(scene().to_numpy()[None])
    (tmp_path / "net.data").unlink()
    with pytest.raises(FileNotFoundError, match=r"net\.data"):
        xf.models.onnx(tmp_path / "net.onnx")


def test_files_of_weights_are_found_wherever_a_tensor_is_and_nothing_in_what_is_no_network() -> (
    None
):
    helper, proto = onnx.helper, onnx.TensorProto

    def tensor(name: str) -> Any:
        made = proto(name=name, data_type=proto.FLOAT, dims=[1], data_location=proto.EXTERNAL)
        made.external_data.add(key="offset", value="4096")
        made.external_data.add(key="location", value=f"{name}.bin")
        return made

    nodes = [helper.make_node("Constant", [], ["a"], value=tensor("of_node"))]
    inner = helper.make_graph(nodes, "inner", [], [], [tensor("of_graph")])
    branches = helper.make_node("If", ["x"], ["y"], then_branch=inner, else_branch=inner)
    own = helper.make_function("own", "f", [], ["a"], nodes, [helper.make_opsetid("", 17)])
    outer = helper.make_graph([branches], "outer", [], [], [tensor("of_model")])
    content = helper.make_model(outer, functions=[own]).SerializeToString()
    assert external_files(content) == ["of_graph.bin", "of_model.bin", "of_node.bin"]
    for length in range(len(content)):
        with suppress(ValueError):
            external_files(content[:length])
    with pytest.raises(ValueError, match="field"):
        external_files(np.random.default_rng(0).bytes(1000))


def test_files_of_strangers_are_refused_before_anything_of_them_is_opened(tmp_path: Path) -> None:
    apart: Any = {"save_as_external_data": True, "size_threshold": 0, "location": "net.data"}
    onnx.save(onnx.load(written(tmp_path / "plain.onnx")), tmp_path / "net.onnx", **apart)
    content = (tmp_path / "net.onnx").read_bytes()
    for location in (b"/dev/nul", b"../../..", b"../a.bin"):
        (tmp_path / "net.onnx").write_bytes(content.replace(b"net.data", location))
        with pytest.raises(ValueError, match="is no file in its folder and is not opened"):
            xf.models.onnx(tmp_path / "net.onnx")
    (tmp_path / "net.onnx").write_bytes(content)
    (tmp_path / "net.data").rename(tmp_path.parent / "moved.data")
    (tmp_path / "net.data").symlink_to(tmp_path.parent / "moved.data")
    with pytest.raises(ValueError, match="is no file in its folder and is not opened"):
        xf.models.onnx(tmp_path / "net.onnx")
    with pytest.raises(ValueError, match="is no file but a folder or a device"):
        xf.models.onnx("/dev/zero")
    (tmp_path / "text.onnx").write_text("no network at all")
    with pytest.raises(ValueError, match="is no file of ONNX"):
        xf.models.onnx(tmp_path / "text.onnx")


def test_sizes_that_a_file_does_not_have_are_refused_by_the_name_of_the_file(
    tmp_path: Path,
) -> None:
    net = onnx.load(written(tmp_path / "net.onnx"))
    net.graph.initializer[0].dims[0] = 1 << 40
    (tmp_path / "net.onnx").write_bytes(net.SerializeToString())
    huge = xf.models.onnx(tmp_path / "net.onnx")
    with pytest.raises(ValueError, match=r"net\.onnx is no network that onnxruntime opens"):
        huge(scene().to_numpy()[None])
    (tmp_path / "nothing.onnx").write_bytes(b"")
    nothing = xf.models.onnx(tmp_path / "nothing.onnx")
    with pytest.raises(ValueError, match=r"nothing\.onnx is no network that onnxruntime opens"):
        nothing(scene().to_numpy()[None])


def test_shapes_and_files_that_do_not_fit_are_refused(tmp_path: Path) -> None:
    fixed = xf.models.onnx(written(tmp_path / "fixed.onnx", shape=(1, 2, 32, 32)))
    assert xf.predict(scene(), fixed, sigma=0.1, tile=32, overlap=4, batch=1).mu.notnull().all()
    with pytest.raises(
        ValueError, match=r"takes pixels of shape \(1, 2, 32, 32\), was given \(8, 2"
    ):
        xf.predict(scene(), fixed, sigma=0.1, tile=32, overlap=8, batch=8)
    with pytest.raises(FileNotFoundError):
        xf.models.onnx(tmp_path / "none.onnx")
    changed = xf.models.onnx(written(tmp_path / "changed.onnx"))
    written(tmp_path / "changed.onnx", seed=1)
    with pytest.raises(ValueError, match="is not what it was"):
        xf.predict(scene(), changed, sigma=0.1)
