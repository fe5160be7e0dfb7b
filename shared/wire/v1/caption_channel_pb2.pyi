import datetime

from google.protobuf import duration_pb2 as _duration_pb2
from shared.wire.v1 import types_pb2 as _types_pb2
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class StreamCaptionsRequest(_message.Message):
    __slots__ = ("attach", "caption")
    ATTACH_FIELD_NUMBER: _ClassVar[int]
    CAPTION_FIELD_NUMBER: _ClassVar[int]
    attach: _types_pb2.Attach
    caption: Caption
    def __init__(self, attach: _Optional[_Union[_types_pb2.Attach, _Mapping]] = ..., caption: _Optional[_Union[Caption, _Mapping]] = ...) -> None: ...

class StreamCaptionsResponse(_message.Message):
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

class Caption(_message.Message):
    __slots__ = ("seq", "content_id", "revision", "text", "tombstone", "language", "ttl", "crc32c", "traceparent")
    SEQ_FIELD_NUMBER: _ClassVar[int]
    CONTENT_ID_FIELD_NUMBER: _ClassVar[int]
    REVISION_FIELD_NUMBER: _ClassVar[int]
    TEXT_FIELD_NUMBER: _ClassVar[int]
    TOMBSTONE_FIELD_NUMBER: _ClassVar[int]
    LANGUAGE_FIELD_NUMBER: _ClassVar[int]
    TTL_FIELD_NUMBER: _ClassVar[int]
    CRC32C_FIELD_NUMBER: _ClassVar[int]
    TRACEPARENT_FIELD_NUMBER: _ClassVar[int]
    seq: int
    content_id: bytes
    revision: int
    text: str
    tombstone: Tombstone
    language: str
    ttl: _duration_pb2.Duration
    crc32c: int
    traceparent: str
    def __init__(self, seq: _Optional[int] = ..., content_id: _Optional[bytes] = ..., revision: _Optional[int] = ..., text: _Optional[str] = ..., tombstone: _Optional[_Union[Tombstone, _Mapping]] = ..., language: _Optional[str] = ..., ttl: _Optional[_Union[datetime.timedelta, _duration_pb2.Duration, _Mapping]] = ..., crc32c: _Optional[int] = ..., traceparent: _Optional[str] = ...) -> None: ...

class Tombstone(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...
