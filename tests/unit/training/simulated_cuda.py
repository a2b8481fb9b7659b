"""A simulated CUDA device: tensors with real values in the CPU's memory that count as being on `cuda:0`.

`torch.device("cuda")` moves a tensor there, and from then on every function of torch that Python code calls (a
`TorchFunctionMode` sees them all, also those of torchvision and of a user's network) is checked:

- It gets tensors of both devices: `WrongDeviceError`, as in CUDA, where only single numbers of the CPU may be mixed in.
  CUDA accepts an index of the CPU, and waits for it; here it is `WrongDeviceError` too.
- The host needs a value (`float`, `bool`, `.cpu()`, `nonzero`, an index of truth values): counted in `waits`.
- A tensor that was copied on another stream is used before the current one waits for the copy, or without
  `record_stream`, so that its memory may be given away while it is read: `WrongStreamError`.
- A generator of the CPU draws numbers on the device, or NumPy gets a tensor of the device: refused, as CUDA does.

`torch._subclasses.FakeTensorMode` was the other choice. It has no values, so every `float()` would have to be replaced,
its backward pass needs a driver (autograd's engine asks for the device's context), and it lets the CPU be indexed by
a device's index. Here models are really trained, and can be compared with the CPU's to the last bit.

Replaced are only functions that ask the driver: names, capability, memory, streams, events, the state of the
generator; autocast, which is the CPU's with the same type; and CUDA graphs, in whose place a step runs again. Not
simulated: the kernels of CUDA, their rounding, and checks inside torch's C++.

`simulated_mps` is the same for the GPU of a Mac, which has no float64: a tensor of that type is refused there.
"""

import threading
from contextlib import contextmanager, nullcontext
from types import SimpleNamespace

import torch
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode

from tui_influence.training import device_images, precision, step

CUDA, MPS = torch.device("cuda", 0), torch.device("mps", 0)
BYTES = 1 << 34
_current = threading.local()


class WrongDeviceError(AssertionError):
    """A function got tensors of both devices."""


class WrongStreamError(AssertionError):
    """A tensor was used while it was still being copied, or may be given away while it is used."""


class CudaTensor(Tensor):
    """A tensor that counts as being on the device."""

    __torch_function__ = torch._C._disabled_torch_function_impl
    simulated = CUDA
    device = property(lambda _self: CudaTensor.simulated)
    is_cuda = property(lambda _self: CudaTensor.simulated is CUDA)
    is_cpu = property(lambda _self: False)

    def record_stream(self, stream):
        self.used_on = {*getattr(self, "used_on", ()), stream}

    def __deepcopy__(self, memo):
        copied = self.detach().clone().requires_grad_(self.requires_grad)
        memo[id(self)] = copied = nn.Parameter(copied, self.requires_grad) if isinstance(self, nn.Parameter) else copied
        return copied


class CudaParameter(CudaTensor, nn.Parameter):
    """A parameter that counts as being on the device."""


class Stream:
    """A stream: the others whose copies it has waited for."""

    def __init__(self, *_):
        self.awaited = {self}

    def wait_event(self, event):
        self.awaited.add(event.stream)

    def record_event(self):
        return Event(self)


class Event:
    """A point in a stream."""

    def __init__(self, stream):
        self.stream = stream

    def synchronize(self):
        """Wait: of no consequence, as everything is computed at once."""


def is_simulated(value):
    return isinstance(value, CudaTensor)


def _on_device(tensor):
    if CudaTensor.simulated is MPS and tensor.dtype == torch.float64:
        raise TypeError("Cannot convert a MPS Tensor to float64 dtype as the MPS framework doesn't support float64")
    if not is_simulated(tensor):
        tensor.__class__ = CudaParameter if isinstance(tensor, nn.Parameter) else CudaTensor
    return tensor


def _copy_of_cpu(tensor):
    copied = tensor.clone()
    copied.__class__ = Tensor
    return copied


def _leaves(value):
    """The values in tuples, lists and dicts."""
    if isinstance(value, dict):
        value = list(value.values())
    return [leaf for part in value for leaf in _leaves(part)] if isinstance(value, tuple | list) else [value]


def _replaced(function, value):
    """The same with each replaced."""
    if isinstance(value, dict):
        return {key: _replaced(function, part) for key, part in value.items()}
    if isinstance(value, tuple | list):
        return type(value)(_replaced(function, part) for part in value)
    return function(value)


def _is_cuda(value):
    kind = CudaTensor.simulated.type
    return (isinstance(value, torch.device) and value.type == kind) or (
        isinstance(value, str) and value.split(":")[0] == kind
    )


def _without_cuda(value):
    return "cpu" if _is_cuda(value) else value


_READS = {Tensor.__float__, Tensor.__bool__, Tensor.__int__, Tensor.__index__, Tensor.item, Tensor.tolist}
_OF_UNCLEAR_SIZE = {torch.nonzero, Tensor.nonzero, torch.unique, Tensor.unique, torch.masked_select}
_OF_NO_TENSOR = {torch.device, torch._C._nn._parse_to}
_INDEXING = {Tensor.__getitem__, Tensor.__setitem__}
_MOVES = {Tensor.to, Tensor.cpu, Tensor.cuda}
_ACROSS = {Tensor.copy_}
_OF_NO_USE = {Tensor.__len__, Tensor.shape.__get__, Tensor.size, Tensor.dim}


class SimulatedCuda(TorchFunctionMode):
    """The device, while it is entered; in a thread of its own it is entered again.

    Attributes:
        waits: names of the functions for which the host waited for the device.
        calls: number of functions that got a tensor of the device.
        names: of these functions.
    """

    def __init__(self):
        super().__init__()
        self.waits, self.names, self.calls = [], set(), 0

    def __torch_function__(self, func, types, args=(), kwargs=None):
        kwargs = kwargs or {}
        if func in _OF_NO_TENSOR:
            return func(*args, **kwargs)
        if func is torch._has_compatible_shallow_copy_type:  # whether a module may keep its parameter and move the data
            return is_simulated(args[0]) == is_simulated(args[1]) and func(*args)
        leaves = _leaves((args, kwargs))
        tensors = [leaf for leaf in leaves if isinstance(leaf, Tensor)]
        simulated = [tensor for tensor in tensors if is_simulated(tensor)]
        if func in _MOVES:
            return self._move(func, args, kwargs)
        to_device = any(map(_is_cuda, leaves))
        if simulated or to_device:
            self._check(func, args, leaves, tensors, simulated, to_device)
        if to_device:
            args, kwargs = _replaced(_without_cuda, (args, kwargs))
        result = func(*args, **kwargs)
        if simulated or to_device:
            for leaf in _leaves(result):
                if isinstance(leaf, Tensor):
                    _on_device(leaf)
        return result

    def _check(self, func, args, leaves, tensors, simulated, to_device):
        name = getattr(func, "__name__", str(func))
        self.calls += bool(simulated)
        self.names.add(name)
        of_cpu = [tensor for tensor in tensors if not is_simulated(tensor)]
        if simulated and func not in _ACROSS and any(tensor.dim() or func in _INDEXING for tensor in of_cpu):
            raise WrongDeviceError(f"{name}: tensors on cpu and {CudaTensor.simulated}")
        if any(isinstance(leaf, torch.Generator) for leaf in leaves):
            raise WrongDeviceError(f"{name}: a generator of the CPU draws on {CUDA}")
        if func is Tensor.numpy:
            raise WrongDeviceError(f"{name}: the tensor is on {CUDA}")
        is_mask = func in _INDEXING and any(
            isinstance(index, Tensor) and index.dtype == torch.bool for index in _leaves(args[1])
        )
        if func in _READS or func in _OF_UNCLEAR_SIZE or is_mask:
            self.waits.append(name)
        if func not in _OF_NO_USE:
            self._check_streams(name, simulated)

    def _check_streams(self, name, simulated):
        stream = current_stream()
        for tensor in simulated:
            copied_on = getattr(tensor, "copied_on", stream)
            if copied_on not in stream.awaited:
                raise WrongStreamError(f"{name}: the copy may not be complete")
            if copied_on is not stream and stream not in getattr(tensor, "used_on", ()):
                raise WrongStreamError(f"{name}: the memory may be given away")

    def _move(self, func, args, kwargs):
        tensor = args[0]
        leaves = _leaves((args[1:], kwargs))
        to_device = func is Tensor.cuda or any(map(_is_cuda, leaves))
        named = to_device or func is Tensor.cpu
        named = named or any(isinstance(leaf, torch.device) or leaf == "cpu" for leaf in leaves)
        target_is_device = to_device if named else is_simulated(tensor)
        if is_simulated(tensor) and not target_is_device:
            self.waits.append("cpu")
        self._check_streams("to", [tensor] if is_simulated(tensor) else [])
        if target_is_device != is_simulated(tensor):
            tensor = _copy_of_cpu(tensor)
        args, kwargs = _replaced(_without_cuda, (args[1:], kwargs))
        result = tensor if func is not Tensor.to else tensor.to(*args, **kwargs)
        if target_is_device:
            _on_device(result)
            if current_stream() is not _main_stream:
                result.copied_on = current_stream()
        return result


_main_stream = Stream()


def current_stream(_device=None):
    return getattr(_current, "stream", _main_stream)


@contextmanager
def _on_stream(stream):
    before = current_stream()
    _current.stream = stream
    yield
    _current.stream = before


def _autocast_of_cpu(_kind, autocast=torch.autocast, **options):
    return autocast("cpu", **options)


@contextmanager
def simulated_cuda(monkeypatch):
    """Enter a simulated device that is the only one of this process; yield the `SimulatedCuda`."""
    mode, map_ahead = SimulatedCuda(), device_images.map_ahead

    def map_ahead_there(function, *arguments, **options):
        def inside(item):
            with mode:
                return function(item)

        return map_ahead(inside, *arguments, **options)

    with monkeypatch.context() as patch:
        patch.setattr(precision, "unusable_reason", lambda _index: "")
        patch.setattr(precision.mps, "unusable_reason", lambda: "")
        patch.setattr(torch, "autocast", _autocast_of_cpu)
        patch.setattr(device_images, "map_ahead", map_ahead_there)  # a mode holds in the thread that enters it
        patch.setattr(Tensor, "pin_memory", Tensor.contiguous)
        patch.setattr(step, "record_cuda_graph", lambda run: run)
        replaced = {
            "get_device_capability": lambda _device: (8, 0),
            "get_device_name": lambda _device: "simulated",
            "device": lambda _device: nullcontext(),
            "memory_reserved": lambda _device: 0,
            "memory_allocated": lambda _device: 0,
            "mem_get_info": lambda _device: (BYTES, BYTES),
            "get_rng_state": lambda _device: SimpleNamespace(),
            "set_rng_state": lambda *_: None,
            "manual_seed_all": lambda _seed: None,
            "empty_cache": lambda: None,
            "Stream": Stream,
            "stream": _on_stream,
            "current_stream": current_stream,
        }
        for name, value in replaced.items():
            patch.setattr(torch.cuda, name, value)
        patch.setattr(torch.mps, "get_rng_state", lambda: SimpleNamespace())
        patch.setattr(torch.mps, "set_rng_state", lambda _state: None)
        device_images._copy_stream.cache_clear()
        _main_stream.awaited = {_main_stream}
        with mode:
            yield mode
    device_images._copy_stream.cache_clear()


@contextmanager
def simulated_mps(monkeypatch):
    """Enter a simulated GPU of a Mac."""
    with monkeypatch.context() as patch:
        patch.setattr(CudaTensor, "simulated", MPS)
        with simulated_cuda(monkeypatch) as mode:
            yield mode
