from google.rpc import status_pb2 as _status_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf.internal import enum_type_wrapper as _enum_type_wrapper
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class Channel(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    CHANNEL_UNSPECIFIED: _ClassVar[Channel]
    CHANNEL_IMAGES: _ClassVar[Channel]
    CHANNEL_CAPTIONS: _ClassVar[Channel]

class Disposition(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    DISPOSITION_UNSPECIFIED: _ClassVar[Disposition]
    DISPOSITION_DECODED_WITH_TEXT: _ClassVar[Disposition]
    DISPOSITION_DECODED_NO_TEXT: _ClassVar[Disposition]
    DISPOSITION_DECODED_TEXT_LATE: _ClassVar[Disposition]
    DISPOSITION_REJECTED: _ClassVar[Disposition]
    DISPOSITION_EXPIRED: _ClassVar[Disposition]
    DISPOSITION_DUPLICATE: _ClassVar[Disposition]
    DISPOSITION_SUPERSEDED: _ClassVar[Disposition]
    DISPOSITION_NOTED: _ClassVar[Disposition]
CHANNEL_UNSPECIFIED: Channel
CHANNEL_IMAGES: Channel
CHANNEL_CAPTIONS: Channel
DISPOSITION_UNSPECIFIED: Disposition
DISPOSITION_DECODED_WITH_TEXT: Disposition
DISPOSITION_DECODED_NO_TEXT: Disposition
DISPOSITION_DECODED_TEXT_LATE: Disposition
DISPOSITION_REJECTED: Disposition
DISPOSITION_EXPIRED: Disposition
DISPOSITION_DUPLICATE: Disposition
DISPOSITION_SUPERSEDED: Disposition
DISPOSITION_NOTED: Disposition

class FrameKey(_message.Message):
    __slots__ = ("stream_id", "epoch", "seq")
    STREAM_ID_FIELD_NUMBER: _ClassVar[int]
    EPOCH_FIELD_NUMBER: _ClassVar[int]
    SEQ_FIELD_NUMBER: _ClassVar[int]
    stream_id: str
    epoch: int
    seq: int
    def __init__(self, stream_id: _Optional[str] = ..., epoch: _Optional[int] = ..., seq: _Optional[int] = ...) -> None: ...

class CodecId(_message.Message):
    __slots__ = ("name", "bitstream_version", "model_id", "text_encoder_id")
    NAME_FIELD_NUMBER: _ClassVar[int]
    BITSTREAM_VERSION_FIELD_NUMBER: _ClassVar[int]
    MODEL_ID_FIELD_NUMBER: _ClassVar[int]
    TEXT_ENCODER_ID_FIELD_NUMBER: _ClassVar[int]
    name: str
    bitstream_version: int
    model_id: bytes
    text_encoder_id: str
    def __init__(self, name: _Optional[str] = ..., bitstream_version: _Optional[int] = ..., model_id: _Optional[bytes] = ..., text_encoder_id: _Optional[str] = ...) -> None: ...

class Outcome(_message.Message):
    __slots__ = ("seq", "revision", "disposition", "reason")
    SEQ_FIELD_NUMBER: _ClassVar[int]
    REVISION_FIELD_NUMBER: _ClassVar[int]
    DISPOSITION_FIELD_NUMBER: _ClassVar[int]
    REASON_FIELD_NUMBER: _ClassVar[int]
    seq: int
    revision: int
    disposition: Disposition
    reason: str
    def __init__(self, seq: _Optional[int] = ..., revision: _Optional[int] = ..., disposition: _Optional[_Union[Disposition, str]] = ..., reason: _Optional[str] = ...) -> None: ...

class SeqRange(_message.Message):
    __slots__ = ("first", "last")
    FIRST_FIELD_NUMBER: _ClassVar[int]
    LAST_FIELD_NUMBER: _ClassVar[int]
    first: int
    last: int
    def __init__(self, first: _Optional[int] = ..., last: _Optional[int] = ...) -> None: ...

class Positions(_message.Message):
    __slots__ = ("cumulative", "ranges")
    CUMULATIVE_FIELD_NUMBER: _ClassVar[int]
    RANGES_FIELD_NUMBER: _ClassVar[int]
    cumulative: int
    ranges: _containers.RepeatedCompositeFieldContainer[SeqRange]
    def __init__(self, cumulative: _Optional[int] = ..., ranges: _Optional[_Iterable[_Union[SeqRange, _Mapping]]] = ...) -> None: ...

class Ack(_message.Message):
    __slots__ = ("positions", "outcomes", "crc32c")
    POSITIONS_FIELD_NUMBER: _ClassVar[int]
    OUTCOMES_FIELD_NUMBER: _ClassVar[int]
    CRC32C_FIELD_NUMBER: _ClassVar[int]
    positions: Positions
    outcomes: _containers.RepeatedCompositeFieldContainer[Outcome]
    crc32c: int
    def __init__(self, positions: _Optional[_Union[Positions, _Mapping]] = ..., outcomes: _Optional[_Iterable[_Union[Outcome, _Mapping]]] = ..., crc32c: _Optional[int] = ...) -> None: ...

class Credit(_message.Message):
    __slots__ = ("frames", "bytes")
    FRAMES_FIELD_NUMBER: _ClassVar[int]
    BYTES_FIELD_NUMBER: _ClassVar[int]
    frames: int
    bytes: int
    def __init__(self, frames: _Optional[int] = ..., bytes: _Optional[int] = ...) -> None: ...

class Attach(_message.Message):
    __slots__ = ("session_id", "epoch")
    SESSION_ID_FIELD_NUMBER: _ClassVar[int]
    EPOCH_FIELD_NUMBER: _ClassVar[int]
    session_id: str
    epoch: int
    def __init__(self, session_id: _Optional[str] = ..., epoch: _Optional[int] = ...) -> None: ...

class Attached(_message.Message):
    __slots__ = ("positions", "credit")
    POSITIONS_FIELD_NUMBER: _ClassVar[int]
    CREDIT_FIELD_NUMBER: _ClassVar[int]
    positions: Positions
    credit: Credit
    def __init__(self, positions: _Optional[_Union[Positions, _Mapping]] = ..., credit: _Optional[_Union[Credit, _Mapping]] = ...) -> None: ...

class Refusal(_message.Message):
    __slots__ = ("seq", "revision", "status")
    SEQ_FIELD_NUMBER: _ClassVar[int]
    REVISION_FIELD_NUMBER: _ClassVar[int]
    STATUS_FIELD_NUMBER: _ClassVar[int]
    seq: int
    revision: int
    status: _status_pb2.Status
    def __init__(self, seq: _Optional[int] = ..., revision: _Optional[int] = ..., status: _Optional[_Union[_status_pb2.Status, _Mapping]] = ...) -> None: ...

class Drain(_message.Message):
    __slots__ = ("frames_held",)
    FRAMES_HELD_FIELD_NUMBER: _ClassVar[int]
    frames_held: int
    def __init__(self, frames_held: _Optional[int] = ...) -> None: ...

class Limits(_message.Message):
    __slots__ = ("frame_bytes", "picture_pixels", "caption_bytes", "name_bytes", "seq_window", "image_window", "caption_window")
    FRAME_BYTES_FIELD_NUMBER: _ClassVar[int]
    PICTURE_PIXELS_FIELD_NUMBER: _ClassVar[int]
    CAPTION_BYTES_FIELD_NUMBER: _ClassVar[int]
    NAME_BYTES_FIELD_NUMBER: _ClassVar[int]
    SEQ_WINDOW_FIELD_NUMBER: _ClassVar[int]
    IMAGE_WINDOW_FIELD_NUMBER: _ClassVar[int]
    CAPTION_WINDOW_FIELD_NUMBER: _ClassVar[int]
    frame_bytes: int
    picture_pixels: int
    caption_bytes: int
    name_bytes: int
    seq_window: int
    image_window: Credit
    caption_window: Credit
    def __init__(self, frame_bytes: _Optional[int] = ..., picture_pixels: _Optional[int] = ..., caption_bytes: _Optional[int] = ..., name_bytes: _Optional[int] = ..., seq_window: _Optional[int] = ..., image_window: _Optional[_Union[Credit, _Mapping]] = ..., caption_window: _Optional[_Union[Credit, _Mapping]] = ...) -> None: ...
