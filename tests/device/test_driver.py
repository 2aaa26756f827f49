from __future__ import annotations

from edge_app.inference.device import CudaDevice, read_cuda_device, read_fingerprint


def test_the_driver_describes_the_gpu(cuda_device: CudaDevice) -> None:
    assert cuda_device.gpu and cuda_device.sm_count > 0 and cuda_device.memory_mib > 1000
    assert float(cuda_device.compute_capability) >= 5.0 and float(cuda_device.cuda) >= 11.0


def test_the_fingerprint_of_a_machine_is_the_same_twice(cuda_device: CudaDevice) -> None:
    first, second = read_fingerprint("10.3.0"), read_fingerprint("10.3.0", cuda_device=read_cuda_device)
    assert first.differences(second) == []
