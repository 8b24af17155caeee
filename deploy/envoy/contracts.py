"""What the gateway lets through, read from the contracts: a method with an HTTP mapping is public, every other one is
not there.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from google.api import annotations_pb2
from google.protobuf import any_pb2, duration_pb2
from google.protobuf.descriptor_pb2 import FileDescriptorProto, FileDescriptorSet
from google.rpc import error_details_pb2

DESCRIPTORS = Path(__file__).with_name("descriptors.binpb")
"""Descriptor set of all contracts; `make generate` writes it."""


@dataclass(frozen=True)
class Method:
    """A public method."""

    service: str
    name: str
    role: str
    streaming: bool

    @property
    def path(self) -> str:
        """Its gRPC path without the leading slash; also the name of its route."""
        return f"{self.service}/{self.name}"


def load() -> FileDescriptorSet:
    """The contracts, and the error details that statuses carry, so that they can be written as JSON too."""
    contracts = FileDescriptorSet.FromString(DESCRIPTORS.read_bytes())
    known = {file.name for file in contracts.file}
    for module in (any_pb2, duration_pb2, error_details_pb2):
        if module.DESCRIPTOR.name not in known:
            file = FileDescriptorProto()
            module.DESCRIPTOR.CopyToProto(file)
            contracts.file.append(file)
    return contracts


def public_methods(contracts: FileDescriptorSet) -> tuple[Method, ...]:
    """Every method with an HTTP mapping, by path. The role that serves it is the API of its package,
    `lienthong.<api>.v1`.
    """
    methods = [
        Method(
            f"{file.package}.{service.name}",
            method.name,
            file.package.split(".")[1],
            method.client_streaming or method.server_streaming,
        )
        for file in contracts.file
        if file.package.startswith("lienthong.")
        for service in file.service
        for method in service.method
        if method.options.HasExtension(annotations_pb2.http)
    ]
    return tuple(sorted(methods, key=lambda method: method.path))
