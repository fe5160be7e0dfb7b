import datetime

from google.protobuf import duration_pb2 as _duration_pb2
from shared.wire.v1 import types_pb2 as _types_pb2
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class StreamImagesRequest(_message.Message):
    __slots__ = ("attach", "frame", "skip")
    ATTACH_FIELD_NUMBER: _ClassVar[int]
    FRAME_FIELD_NUMBER: _ClassVar[int]
    SKIP_FIELD_NUMBER: _ClassVar[int]
    attach: _types_pb2.Attach
    frame: ImageFrame
    skip: SkippedFrame
    def __init__(self, attach: _Optional[_Union[_types_pb2.Attach, _Mapping]] = ..., frame: _Optional[_Union[ImageFrame, _Mapping]] = ..., skip: _Optional[_Union[SkippedFrame, _Mapping]] = ...) -> None: ...

class StreamImagesResponse(_message.Message):
    __slots__ = ("attached", "credit", "ack", "refusal", "drain")
    ATTACHED_FIELD_NUMBER: _ClassVar[int]
    CREDIT_FIELD_NUMBER: _ClassVar[int]
    ACK_FIELD_NUMBER: _ClassVar[int]
    REFUSAL_FIELD_NUMBER: _ClassVar[int]
    DRAIN_FIELD_NUMBER: _ClassVar[int]
    attached: _types_pb2.Attached
    credit: _types_pb2.Credit
    ack: _types_pb2.Ack
    refusal: _types_pb2.Refusal
    drain: _types_pb2.Drain
    def __init__(self, attached: _Optional[_Union[_types_pb2.Attached, _Mapping]] = ..., credit: _Optional[_Union[_types_pb2.Credit, _Mapping]] = ..., ack: _Optional[_Union[_types_pb2.Ack, _Mapping]] = ..., refusal: _Optional[_Union[_types_pb2.Refusal, _Mapping]] = ..., drain: _Optional[_Union[_types_pb2.Drain, _Mapping]] = ...) -> None: ...

class ImageFrame(_message.Message):
    __slots__ = ("seq", "content_id", "name", "expects_caption", "ttl", "crc32c", "container", "traceparent")
    SEQ_FIELD_NUMBER: _ClassVar[int]
    CONTENT_ID_FIELD_NUMBER: _ClassVar[int]
    NAME_FIELD_NUMBER: _ClassVar[int]
    EXPECTS_CAPTION_FIELD_NUMBER: _ClassVar[int]
    TTL_FIELD_NUMBER: _ClassVar[int]
    CRC32C_FIELD_NUMBER: _ClassVar[int]
    CONTAINER_FIELD_NUMBER: _ClassVar[int]
    TRACEPARENT_FIELD_NUMBER: _ClassVar[int]
    seq: int
    content_id: bytes
    name: str
    expects_caption: bool
    ttl: _duration_pb2.Duration
    crc32c: int
    container: bytes
    traceparent: str
    def __init__(self, seq: _Optional[int] = ..., content_id: _Optional[bytes] = ..., name: _Optional[str] = ..., expects_caption: _Optional[bool] = ..., ttl: _Optional[_Union[datetime.timedelta, _duration_pb2.Duration, _Mapping]] = ..., crc32c: _Optional[int] = ..., container: _Optional[bytes] = ..., traceparent: _Optional[str] = ...) -> None: ...

class SkippedFrame(_message.Message):
    __slots__ = ("seq", "content_id", "name", "reason", "crc32c")
    SEQ_FIELD_NUMBER: _ClassVar[int]
    CONTENT_ID_FIELD_NUMBER: _ClassVar[int]
    NAME_FIELD_NUMBER: _ClassVar[int]
    REASON_FIELD_NUMBER: _ClassVar[int]
    CRC32C_FIELD_NUMBER: _ClassVar[int]
    seq: int
    content_id: bytes
    name: str
    reason: str
    crc32c: int
    def __init__(self, seq: _Optional[int] = ..., content_id: _Optional[bytes] = ..., name: _Optional[str] = ..., reason: _Optional[str] = ..., crc32c: _Optional[int] = ...) -> None: ...
