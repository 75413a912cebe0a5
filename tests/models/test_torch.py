"""Networks in PyTorch: dropout is what sampling gives, and the module stays as it was."""

import copy
import os
import pickle
import subprocess
import sys
import warnings
from collections.abc import Callable
from typing import Any

import dask
import numpy as np
import pytest
import xarray as xr

import xfusion as xf
from xfusion.models.what_a_module_is import module_digest

torch = pytest.importorskip("torch")
nn = torch.nn


def net(dropout: Any = None, bands: int = 2) -> Any:
    torch.manual_seed(0)
    return nn.Sequential(
        nn.Conv2d(bands, 8, 3, padding=1),
        nn.BatchNorm2d(8),
        nn.ReLU(),
        nn.Dropout2d(0.3) if dropout is None else dropout,
        nn.Conv2d(8, 1, 3, padding=1),
        nn.Sigmoid(),
    )


def scene(side: int = 60) -> xr.DataArray:
    pixels = np.random.default_rng(0).random((2, side, side)).astype(np.float32)
    return xr.DataArray(pixels, dims=("band", "y", "x"))


def state_of(module: Any) -> list[Any]:
    return [
        [m.training for m in module.modules()],
        [p.requires_grad for p in module.parameters()],
        [v.clone().numpy().tolist() for v in module.state_dict().values()],
        [len(m._forward_hooks) for m in module.modules()],
        torch.is_grad_enabled(),
        torch.get_rng_state().tolist(),
    ]


@pytest.mark.parametrize("kind", [nn.Dropout2d, nn.Dropout])
def test_200_passes_are_what_explicit_sampling_gives(kind: Any) -> None:
    module, passes = net(kind(0.3)), 200
    bands = scene(32)
    found = xf.predict(bands, xf.models.torch(module), passes=passes, seed=1, tile=32, overlap=4)
    module.eval()
    module[3].train()
    torch.manual_seed(5)
    tensor = torch.from_numpy(bands.to_numpy())[None]
    with torch.no_grad():
        samples = np.stack([module(tensor)[0, 0].numpy() for _ in range(2000)]).astype(float)
    mean, deviation = samples.mean(0), samples.std(0, ddof=1)
    # standard errors of both, of the mean of 200 and of 2000
    off = (found.mu - mean) / (deviation * np.sqrt(1 / passes + 1 / 2000))
    assert 0.7 < float((off**2).mean()) < 1.4 if kind is nn.Dropout else abs(off).max() < 5
    spread = found.sigma / deviation / np.sqrt((passes - 1) / (passes - 3))
    assert float(abs(np.log(spread)).max()) < 5 / np.sqrt(2 * (passes - 1)) * 1.5
    assert float(np.log(spread).mean()) == pytest.approx(0, abs=0.1)


def test_the_module_and_torch_are_left_as_they_were() -> None:
    module = net().train()
    module[0].weight.requires_grad_(requires_grad=False)
    module[1].eval()
    before = state_of(module)
    model = xf.models.torch(module)
    xf.predict(scene(), model, passes=5, seed=1, tile=32, overlap=4)
    assert state_of(module) == before
    assert all(not hooks for m in model.module.modules() for hooks in [m._forward_hooks])


def test_what_is_trained_on_does_not_change_what_was_taken() -> None:
    module = net()
    model = xf.models.torch(module, dropout=False)
    one = xf.predict(scene(), model, sigma=0.1)
    with torch.no_grad():
        module[0].weight.mul_(2)
    xr.testing.assert_identical(xf.predict(scene(), model, sigma=0.1), one)
    other = xf.models.torch(module, dropout=False)
    assert other.name != model.name
    assert not xf.predict(scene(), other, sigma=0.1).mu.equals(one.mu)


WAYS: dict[str, Callable[[float], Any]] = {
    "attribute": float,
    "private": float,
    "tensor": lambda factor: torch.tensor([factor]),
    "array": lambda factor: np.array([factor]),
    "mapping": lambda factor: {"of all": [factor]},
    "closure": lambda factor: lambda pixels: pixels * factor,
}


def scaled_by(factor: float, how: str) -> Any:
    """A class of one name and repr, that differs in what it does."""

    class Scaled(nn.Module):  # type: ignore[misc, name-defined]  # of a module that may be missing
        def __init__(self) -> None:
            super().__init__()
            if how == "buffer":
                self.register_buffer("factor", torch.tensor([factor]), persistent=False)
            elif how != "code":
                setattr(self, "_factor" if how == "private" else "factor", WAYS[how](factor))

        def forward(self, pixels: Any) -> Any:
            held = getattr(self, "_factor", getattr(self, "factor", 1.0))
            if callable(held):
                return held(pixels[:, 0])
            value = held["of all"] if isinstance(held, dict) else held
            return pixels[:, 0] * float(np.ravel(value)[0])

    if how == "code" and factor == 2:
        setattr(Scaled, "forward", lambda self, pixels: pixels[:, 0] * 2.0)  # noqa: B010  # one name
    return Scaled()


@pytest.mark.parametrize("how", [*WAYS, "buffer", "code"])
def test_networks_of_one_structure_and_weights_are_told_apart_by_what_they_do(how: str) -> None:
    one, again, other = (
        xf.models.torch(scaled_by(factor, how), dropout=False) for factor in (1.0, 1.0, 2.0)
    )
    assert one.name == again.name != other.name
    bands = scene(32).chunk(y=16)
    made = [xf.predict(bands, m, sigma=0.1, tile=32, overlap=4).mu for m in (one, other)]
    first, second = dask.compute(*made)  # by the names of their tasks, in one graph
    np.testing.assert_allclose(second, 2 * first, rtol=1e-6)


def test_what_a_layer_of_torch_does_not_say_of_itself_tells_it_apart() -> None:
    few, many = (nn.MultiheadAttention(8, heads) for heads in (2, 4))
    many.load_state_dict(few.state_dict())
    assert repr(few) == repr(many)
    assert module_digest(few) != module_digest(many)


def test_an_object_that_holds_itself_has_a_digest() -> None:
    module = scaled_by(1.0, "mapping")
    module.factor["itself"] = module.factor
    assert module_digest(module) == module_digest(copy.deepcopy(module))


def test_a_digest_is_the_same_in_every_process() -> None:
    code = (
        "from tests.models.test_torch import scaled_by, net, xf\n"
        "print(xf.models.torch(scaled_by(2.0, 'code'), dropout=False).name, "
        "xf.models.torch(net()).name, xf.models.torch(net).name)"
    )
    seed = {"PYTHONHASHSEED": "1"}
    found = subprocess.check_output([sys.executable, "-c", code], env={**os.environ, **seed})
    here = [xf.models.torch(scaled_by(2.0, "code"), dropout=False), xf.models.torch(net())]
    assert found.decode().split() == [
        part for model in (*here, xf.models.torch(net)) for part in model.name.split()
    ]


def test_one_draw_of_dropout_is_warned_of_with_what_mends_it() -> None:
    with pytest.warns(UserWarning, match=r"passes=1 .* one draw .*passes=20, .*dropout=False"):
        xf.predict(scene(), xf.models.torch(net()), sigma=0.1, seed=0)
    with warnings.catch_warnings():
        warnings.simplefilter("error", UserWarning)
        xf.predict(scene(), xf.models.torch(net(), dropout=False), sigma=0.1)
        xf.predict(scene(), xf.models.torch(net()), passes=4, seed=0)


def test_dropped_channels_leave_no_seams() -> None:
    bands = scene(100)
    model = xf.models.torch(net())
    tiles = xf.predict(bands, model, passes=4, seed=2, tile=32, overlap=4, batch=3)
    whole = xf.predict(bands, model, passes=4, seed=2, tile=100, overlap=4)
    np.testing.assert_allclose(tiles.mu, whole.mu, atol=1e-6)
    np.testing.assert_allclose(tiles.sigma, whole.sigma, atol=1e-5)


def test_blocks_and_threads_change_nothing() -> None:
    bands, model = scene(100), xf.models.torch(net(nn.Dropout(0.2)))
    options: dict[str, Any] = {"passes": 5, "seed": 2, "tile": 32, "overlap": 4, "batch": 3}
    eager = xf.predict(bands, model, **options)
    lazy = xf.predict(bands.chunk(y=17), model, **options)
    xr.testing.assert_identical(lazy.compute(), eager)
    sent = pickle.loads(pickle.dumps(model))
    xr.testing.assert_identical(xf.predict(bands, sent, **options), eager)


def test_a_function_makes_the_module_once_in_a_process() -> None:
    made = []

    def make() -> Any:
        made.append(1)
        return net()

    found = xf.predict(scene(), xf.models.torch(make), passes=5, seed=1, tile=32, overlap=4)
    plain = xf.predict(scene(), xf.models.torch(net()), passes=5, seed=1, tile=32, overlap=4)
    assert made == [1]
    assert found.mu.equals(plain.mu)


def test_what_is_made_once_is_called_by_one_thread_at_a_time() -> None:
    options: dict[str, Any] = {"passes": 6, "seed": 1, "tile": 32, "overlap": 4, "batch": 1}
    expected = xf.predict(scene(100), xf.models.torch(net()), **options)
    makers = [xf.models.torch(net) for _ in range(3)]
    blocks = [scene(100).chunk(y=y) for y in (20, 30, 40)]
    lazy = [xf.predict(b, m, **options) for b, m in zip(blocks, makers, strict=True)]
    for found in dask.compute(*lazy, scheduler="threads", num_workers=4):
        np.testing.assert_array_equal(found.mu, expected.mu)


class Windows(nn.Module):  # type: ignore[misc, name-defined]  # of a module that may be missing
    """A layer of dropout on windows of 8 x 8 pixels, one after the other along the batch."""

    def __init__(self, side: int = 8) -> None:
        super().__init__()
        self.drop, self.side = nn.Dropout(0.3), side

    def forward(self, pixels: Any) -> Any:
        batch, bands, rows, columns = pixels.shape
        side = self.side
        cut = pixels.reshape(batch, bands, rows // side, side, columns // side, side)
        windows = self.drop(cut.permute(0, 2, 4, 1, 3, 5).reshape(-1, bands, side, side))
        back = windows.reshape(batch, rows // side, columns // side, bands, side, side)
        return back.permute(0, 3, 1, 4, 2, 5).reshape(pixels.shape)[:, 0]


def test_windows_along_the_batch_drop_values_of_their_own_whatever_the_batch() -> None:
    model = xf.models.torch(Windows())
    pixels = np.ones((3, 2, 32, 32), np.float32)
    several = model(pixels, seed=1, tile_seeds=[5, 6, 7])
    for k, seed in enumerate((5, 6, 7)):
        np.testing.assert_array_equal(several[k], model(pixels[k : k + 1], tile_seeds=[seed])[0])
    corners = {several[0, i : i + 8, j : j + 8].tobytes() for i in (0, 8) for j in (0, 8)}
    assert len(corners) == 4

    class Mean(nn.Module):  # type: ignore[misc, name-defined]  # as above
        def __init__(self) -> None:
            super().__init__()
            self.drop = nn.Dropout(0.3)

        def forward(self, pixels: Any) -> Any:
            return self.drop(pixels.mean(0, keepdim=True))[:, 0].expand(len(pixels), -1, -1)

    with pytest.raises(ValueError, match=r"is given 1 items of 3 tiles: .* batch=1 lets"):
        xf.models.torch(Mean())(pixels, seed=1, tile_seeds=[5, 6, 7])


@pytest.mark.filterwarnings("ignore:.*torch.jit.trace:DeprecationWarning", "ignore:The .grad attr")
def test_torchscript_is_a_module_without_layers_that_drop() -> None:
    plain = net(nn.Identity()).eval()
    traced = torch.jit.trace(plain, torch.zeros(1, 2, 8, 8))
    expected = xf.predict(scene(), xf.models.torch(plain), sigma=0.1)
    found = xf.predict(scene(), xf.models.torch(traced), sigma=0.1)
    np.testing.assert_allclose(found.mu, expected.mu, atol=1e-6)
    assert all(weights.requires_grad for weights in traced.parameters())
    other = torch.jit.trace(nn.Sequential(*plain[:-1], nn.Tanh()), torch.zeros(1, 2, 8, 8))
    assert module_digest(traced) != module_digest(other)


def test_a_head_of_mean_and_log_variance_keeps_both_parts_apart() -> None:
    class Head(nn.Module):  # type: ignore[misc, name-defined]  # of a module that may be missing
        def __init__(self) -> None:
            super().__init__()
            self.net = net()

        def forward(self, pixels: Any) -> Any:
            return self.net(pixels), torch.log(0.01 + pixels[:, :1])

    model = xf.models.mean_and_variance(xf.models.torch(Head()), log=True)
    found = xf.predict(scene(), model, passes=5, seed=0)
    np.testing.assert_allclose(found.sigma_aleatoric**2, 0.01 + scene()[0], rtol=1e-4)
    total = found.sigma_epistemic**2 + found.sigma_aleatoric**2
    np.testing.assert_allclose(found.sigma**2, total, rtol=1e-5)


def test_mixed_precision_gives_nearly_the_same_in_float32() -> None:
    precise, mixed = (
        xf.predict(scene(), xf.models.torch(net(), mixed_precision=m), passes=5, seed=0)
        for m in (False, True)
    )
    assert mixed.mu.dtype == np.float32
    np.testing.assert_allclose(mixed.mu, precise.mu, atol=0.01)
    assert not mixed.mu.equals(precise.mu)


def test_modules_that_cannot_draw_and_what_is_no_module_are_refused() -> None:
    with pytest.raises(ValueError, match="passes=5 of the model Sequential .* draws no noise"):
        xf.predict(scene(), xf.models.torch(net(nn.Identity())), passes=5)
    with pytest.raises(ValueError, match="the layer '3' is AlphaDropout, whose noise is not known"):
        xf.models.torch(net(nn.AlphaDropout(0.1)))
    with pytest.raises(TypeError, match="the module is str"):
        xf.models.torch("net.pt")
    with pytest.raises(TypeError, match=r"a torch module: xf.models.torch\(module\)"):
        xf.predict(scene(), net(), passes=5)
    twice = copy.deepcopy(net(bands=3))
    with pytest.raises(RuntimeError, match="channels"):
        xf.predict(scene(), xf.models.torch(twice), passes=5)


@pytest.mark.parametrize("decomposed", [False, True])
def test_an_exported_program_is_its_module_and_what_keeps_no_statistics_does_not_train(
    decomposed: bool,
) -> None:
    norms = torch.nn.InstanceNorm2d(2), torch.nn.BatchNorm2d(2, track_running_stats=False)
    plain = torch.nn.Sequential(*norms, *net()).eval()
    pixels = torch.from_numpy(scene(32).to_numpy())[None]
    program = torch.export.export(plain, (pixels,))
    program = program.run_decompositions() if decomposed else program
    how: dict[str, Any] = {"sigma": 0.1, "tile": 32, "overlap": 4, "batch": 1}
    found = xf.predict(scene(32), xf.models.torch(program), **how)
    with torch.no_grad():
        np.testing.assert_allclose(found.mu, plain(pixels)[0, 0].numpy(), atol=1e-5)


def test_exported_modules_predict_if_they_were_exported_for_it_and_are_refused_if_not() -> None:
    plain = net().eval()
    with torch.no_grad():
        expected = plain(torch.from_numpy(scene(32).to_numpy())[None])[0, 0].numpy()
    pixels = (torch.zeros(1, 2, 32, 32),)
    for_it, in_training = (torch.export.export(m, pixels).module() for m in (plain, net()))
    how: dict[str, Any] = {"sigma": 0.1, "tile": 32, "overlap": 4, "batch": 1}
    for given in (for_it, lambda: for_it):
        found = xf.predict(scene(32), xf.models.torch(given, dropout=False), **how)
        np.testing.assert_allclose(found.mu, expected, atol=1e-6)
    with pytest.raises(ValueError, match=r"exported while .* in training mode.*call \.eval\(\)"):
        xf.models.torch(in_training)
    made_later = xf.models.torch(lambda: in_training, dropout=False)
    with pytest.raises(ValueError, match="exported while it was in training mode"):
        xf.predict(scene(32), made_later, **how)
