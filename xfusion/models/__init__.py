"""Retrievals from bands: by a network or any callable, or by logistic functions of an index."""

from .onnx_files import onnx
from .returned import ensemble, mean_and_variance, samples
from .torch_modules import torch

__all__ = ["ensemble", "mean_and_variance", "onnx", "samples", "torch"]
