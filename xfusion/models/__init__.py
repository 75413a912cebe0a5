"""Retrievals from bands: by a network or any callable, or by logistic functions of an index."""

from .declaring import ensemble, mean_and_variance, samples
from .onnx_files import onnx
from .torch_modules import torch

__all__ = ["ensemble", "mean_and_variance", "onnx", "samples", "torch"]
