from shared.wire.v1 import types_pb2 as _types_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class GetCapabilitiesRequest(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class GetCapabilitiesResponse(_message.Message):
    __slots__ = ("server", "codecs", "limits")
    SERVER_FIELD_NUMBER: _ClassVar[int]
    CODECS_FIELD_NUMBER: _ClassVar[int]
    LIMITS_FIELD_NUMBER: _ClassVar[int]
    server: str
    codecs: _containers.RepeatedCompositeFieldContainer[_types_pb2.CodecId]
    limits: _types_pb2.Limits
    def __init__(self, server: _Optional[str] = ..., codecs: _Optional[_Iterable[_Union[_types_pb2.CodecId, _Mapping]]] = ..., limits: _Optional[_Union[_types_pb2.Limits, _Mapping]] = ...) -> None: ...

class OpenSessionRequest(_message.Message):
    __slots__ = ("stream_id", "channel", "epoch", "resume_session_id", "codecs", "first_seq")
    STREAM_ID_FIELD_NUMBER: _ClassVar[int]
    CHANNEL_FIELD_NUMBER: _ClassVar[int]
    EPOCH_FIELD_NUMBER: _ClassVar[int]
    RESUME_SESSION_ID_FIELD_NUMBER: _ClassVar[int]
    CODECS_FIELD_NUMBER: _ClassVar[int]
    FIRST_SEQ_FIELD_NUMBER: _ClassVar[int]
    stream_id: str
    channel: _types_pb2.Channel
    epoch: int
    resume_session_id: str
    codecs: _containers.RepeatedCompositeFieldContainer[_types_pb2.CodecId]
    first_seq: int
    def __init__(self, stream_id: _Optional[str] = ..., channel: _Optional[_Union[_types_pb2.Channel, str]] = ..., epoch: _Optional[int] = ..., resume_session_id: _Optional[str] = ..., codecs: _Optional[_Iterable[_Union[_types_pb2.CodecId, _Mapping]]] = ..., first_seq: _Optional[int] = ...) -> None: ...

class OpenSessionResponse(_message.Message):
    __slots__ = ("session_id", "stream_id", "epoch", "image_endpoint", "caption_endpoint", "image_positions", "caption_positions", "limits", "text_used")
    SESSION_ID_FIELD_NUMBER: _ClassVar[int]
    STREAM_ID_FIELD_NUMBER: _ClassVar[int]
    EPOCH_FIELD_NUMBER: _ClassVar[int]
    IMAGE_ENDPOINT_FIELD_NUMBER: _ClassVar[int]
    CAPTION_ENDPOINT_FIELD_NUMBER: _ClassVar[int]
    IMAGE_POSITIONS_FIELD_NUMBER: _ClassVar[int]
    CAPTION_POSITIONS_FIELD_NUMBER: _ClassVar[int]
    LIMITS_FIELD_NUMBER: _ClassVar[int]
    TEXT_USED_FIELD_NUMBER: _ClassVar[int]
    session_id: str
    stream_id: str
    epoch: int
    image_endpoint: str
    caption_endpoint: str
    image_positions: _types_pb2.Positions
    caption_positions: _types_pb2.Positions
    limits: _types_pb2.Limits
    text_used: bool
    def __init__(self, session_id: _Optional[str] = ..., stream_id: _Optional[str] = ..., epoch: _Optional[int] = ..., image_endpoint: _Optional[str] = ..., caption_endpoint: _Optional[str] = ..., image_positions: _Optional[_Union[_types_pb2.Positions, _Mapping]] = ..., caption_positions: _Optional[_Union[_types_pb2.Positions, _Mapping]] = ..., limits: _Optional[_Union[_types_pb2.Limits, _Mapping]] = ..., text_used: _Optional[bool] = ...) -> None: ...

class GetSessionRequest(_message.Message):
    __slots__ = ("session_id",)
    SESSION_ID_FIELD_NUMBER: _ClassVar[int]
    session_id: str
    def __init__(self, session_id: _Optional[str] = ...) -> None: ...

class GetSessionResponse(_message.Message):
    __slots__ = ("session",)
    SESSION_FIELD_NUMBER: _ClassVar[int]
    session: Session
    def __init__(self, session: _Optional[_Union[Session, _Mapping]] = ...) -> None: ...

class ListSessionsRequest(_message.Message):
    __slots__ = ("with_ended",)
    WITH_ENDED_FIELD_NUMBER: _ClassVar[int]
    with_ended: bool
    def __init__(self, with_ended: _Optional[bool] = ...) -> None: ...

class ListSessionsResponse(_message.Message):
    __slots__ = ("sessions", "decode_queue", "trouble", "ended", "ended_streams", "decoders", "up_seconds", "server")
    SESSIONS_FIELD_NUMBER: _ClassVar[int]
    DECODE_QUEUE_FIELD_NUMBER: _ClassVar[int]
    TROUBLE_FIELD_NUMBER: _ClassVar[int]
    ENDED_FIELD_NUMBER: _ClassVar[int]
    ENDED_STREAMS_FIELD_NUMBER: _ClassVar[int]
    DECODERS_FIELD_NUMBER: _ClassVar[int]
    UP_SECONDS_FIELD_NUMBER: _ClassVar[int]
    SERVER_FIELD_NUMBER: _ClassVar[int]
    sessions: _containers.RepeatedCompositeFieldContainer[Session]
    decode_queue: int
    trouble: str
    ended: _containers.RepeatedCompositeFieldContainer[Session]
    ended_streams: int
    decoders: Decoders
    up_seconds: int
    server: str
    def __init__(self, sessions: _Optional[_Iterable[_Union[Session, _Mapping]]] = ..., decode_queue: _Optional[int] = ..., trouble: _Optional[str] = ..., ended: _Optional[_Iterable[_Union[Session, _Mapping]]] = ..., ended_streams: _Optional[int] = ..., decoders: _Optional[_Union[Decoders, _Mapping]] = ..., up_seconds: _Optional[int] = ..., server: _Optional[str] = ...) -> None: ...

class Decoders(_message.Message):
    __slots__ = ("wanted", "alive", "decoding")
    WANTED_FIELD_NUMBER: _ClassVar[int]
    ALIVE_FIELD_NUMBER: _ClassVar[int]
    DECODING_FIELD_NUMBER: _ClassVar[int]
    wanted: int
    alive: int
    decoding: int
    def __init__(self, wanted: _Optional[int] = ..., alive: _Optional[int] = ..., decoding: _Optional[int] = ...) -> None: ...

class Tally(_message.Message):
    __slots__ = ("disposition", "frames", "captions")
    DISPOSITION_FIELD_NUMBER: _ClassVar[int]
    FRAMES_FIELD_NUMBER: _ClassVar[int]
    CAPTIONS_FIELD_NUMBER: _ClassVar[int]
    disposition: _types_pb2.Disposition
    frames: int
    captions: int
    def __init__(self, disposition: _Optional[_Union[_types_pb2.Disposition, str]] = ..., frames: _Optional[int] = ..., captions: _Optional[int] = ...) -> None: ...

class Session(_message.Message):
    __slots__ = ("session_id", "stream_id", "epoch", "images", "captions", "sender", "tallies", "frames_per_second", "captions_per_second")
    SESSION_ID_FIELD_NUMBER: _ClassVar[int]
    STREAM_ID_FIELD_NUMBER: _ClassVar[int]
    EPOCH_FIELD_NUMBER: _ClassVar[int]
    IMAGES_FIELD_NUMBER: _ClassVar[int]
    CAPTIONS_FIELD_NUMBER: _ClassVar[int]
    SENDER_FIELD_NUMBER: _ClassVar[int]
    TALLIES_FIELD_NUMBER: _ClassVar[int]
    FRAMES_PER_SECOND_FIELD_NUMBER: _ClassVar[int]
    CAPTIONS_PER_SECOND_FIELD_NUMBER: _ClassVar[int]
    session_id: str
    stream_id: str
    epoch: int
    images: ChannelState
    captions: ChannelState
    sender: str
    tallies: _containers.RepeatedCompositeFieldContainer[Tally]
    frames_per_second: float
    captions_per_second: float
    def __init__(self, session_id: _Optional[str] = ..., stream_id: _Optional[str] = ..., epoch: _Optional[int] = ..., images: _Optional[_Union[ChannelState, _Mapping]] = ..., captions: _Optional[_Union[ChannelState, _Mapping]] = ..., sender: _Optional[str] = ..., tallies: _Optional[_Iterable[_Union[Tally, _Mapping]]] = ..., frames_per_second: _Optional[float] = ..., captions_per_second: _Optional[float] = ...) -> None: ...

class ChannelState(_message.Message):
    __slots__ = ("attached", "closed", "positions", "granted", "used", "held", "held_bytes")
    ATTACHED_FIELD_NUMBER: _ClassVar[int]
    CLOSED_FIELD_NUMBER: _ClassVar[int]
    POSITIONS_FIELD_NUMBER: _ClassVar[int]
    GRANTED_FIELD_NUMBER: _ClassVar[int]
    USED_FIELD_NUMBER: _ClassVar[int]
    HELD_FIELD_NUMBER: _ClassVar[int]
    HELD_BYTES_FIELD_NUMBER: _ClassVar[int]
    attached: bool
    closed: bool
    positions: _types_pb2.Positions
    granted: _types_pb2.Credit
    used: _types_pb2.Credit
    held: int
    held_bytes: int
    def __init__(self, attached: _Optional[bool] = ..., closed: _Optional[bool] = ..., positions: _Optional[_Union[_types_pb2.Positions, _Mapping]] = ..., granted: _Optional[_Union[_types_pb2.Credit, _Mapping]] = ..., used: _Optional[_Union[_types_pb2.Credit, _Mapping]] = ..., held: _Optional[int] = ..., held_bytes: _Optional[int] = ...) -> None: ...

class CloseSessionRequest(_message.Message):
    __slots__ = ("session_id", "channel")
    SESSION_ID_FIELD_NUMBER: _ClassVar[int]
    CHANNEL_FIELD_NUMBER: _ClassVar[int]
    session_id: str
    channel: _types_pb2.Channel
    def __init__(self, session_id: _Optional[str] = ..., channel: _Optional[_Union[_types_pb2.Channel, str]] = ...) -> None: ...

class CloseSessionResponse(_message.Message):
    __slots__ = ("all_ended",)
    ALL_ENDED_FIELD_NUMBER: _ClassVar[int]
    all_ended: bool
    def __init__(self, all_ended: _Optional[bool] = ...) -> None: ...
