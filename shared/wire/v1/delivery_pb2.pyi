from shared.wire.v1 import types_pb2 as _types_pb2
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class SubscribeRequest(_message.Message):
    __slots__ = ("done_offset",)
    DONE_OFFSET_FIELD_NUMBER: _ClassVar[int]
    done_offset: int
    def __init__(self, done_offset: _Optional[int] = ...) -> None: ...

class SubscribeResponse(_message.Message):
    __slots__ = ("offset", "key", "revision", "disposition", "name", "caption", "picture", "media_type")
    OFFSET_FIELD_NUMBER: _ClassVar[int]
    KEY_FIELD_NUMBER: _ClassVar[int]
    REVISION_FIELD_NUMBER: _ClassVar[int]
    DISPOSITION_FIELD_NUMBER: _ClassVar[int]
    NAME_FIELD_NUMBER: _ClassVar[int]
    CAPTION_FIELD_NUMBER: _ClassVar[int]
    PICTURE_FIELD_NUMBER: _ClassVar[int]
    MEDIA_TYPE_FIELD_NUMBER: _ClassVar[int]
    offset: int
    key: _types_pb2.FrameKey
    revision: int
    disposition: _types_pb2.Disposition
    name: str
    caption: str
    picture: bytes
    media_type: str
    def __init__(self, offset: _Optional[int] = ..., key: _Optional[_Union[_types_pb2.FrameKey, _Mapping]] = ..., revision: _Optional[int] = ..., disposition: _Optional[_Union[_types_pb2.Disposition, str]] = ..., name: _Optional[str] = ..., caption: _Optional[str] = ..., picture: _Optional[bytes] = ..., media_type: _Optional[str] = ...) -> None: ...
