// CRC32C over what a message says. Integers are little-endian; strings and bytes are preceded by
// their length as u32. 64-bit numbers are decimal strings, as @grpc/proto-loader gives them.

const FRAME_KIND = 1;
const SKIP_KIND = 2;
const CAPTION_KIND = 3;
const ACK_KIND = 4;

// The Castagnoli polynomial, bits reversed.
const TABLE = Uint32Array.from({ length: 256 }, (_, byte) => {
  let crc = byte;
  for (let bit = 0; bit < 8; bit++) crc = (crc >>> 1) ^ (crc & 1 ? 0x82f63b78 : 0);
  return crc;
});

export function crc32c(bytes) {
  let crc = ~0;
  for (const byte of bytes) crc = (crc >>> 8) ^ TABLE[(crc ^ byte) & 0xff];
  return ~crc >>> 0;
}

const u8 = (value) => Buffer.from([value]);

function u32(value) {
  const bytes = Buffer.alloc(4);
  bytes.writeUInt32LE(value);
  return bytes;
}

function u64(value) {
  const bytes = Buffer.alloc(8);
  bytes.writeBigUInt64LE(BigInt(value));
  return bytes;
}

function i64(value) {
  const bytes = Buffer.alloc(8);
  bytes.writeBigInt64LE(BigInt(value));
  return bytes;
}

// A string is written as UTF-8.
function text(value) {
  const bytes = Buffer.from(value);
  return Buffer.concat([u32(bytes.length), bytes]);
}

function i32(value) {
  const bytes = Buffer.alloc(4);
  bytes.writeInt32LE(value);
  return bytes;
}

// Whether there is one, its seconds and its nanoseconds.
const ttl = (duration) =>
  Buffer.concat([u8(duration ? 1 : 0), i64(duration?.seconds ?? 0), i32(duration?.nanos ?? 0)]);

const head = (kind, { stream_id, epoch }) => [u8(kind), text(stream_id), u32(epoch)];

const over = (...parts) => crc32c(Buffer.concat(parts));

// `key` is {stream_id, epoch} in all of these.

export const frameCrc = (key, frame) =>
  over(
    ...head(FRAME_KIND, key),
    u64(frame.seq),
    text(frame.content_id),
    text(frame.name),
    u8(frame.expects_caption ? 1 : 0),
    ttl(frame.ttl),
    text(frame.container),
  );

export const skipCrc = (key, skip) =>
  over(
    ...head(SKIP_KIND, key),
    u64(skip.seq),
    text(skip.content_id),
    text(skip.name),
    text(skip.reason),
  );

export const captionCrc = (key, caption) =>
  over(
    ...head(CAPTION_KIND, key),
    u64(caption.seq),
    text(caption.content_id),
    u32(caption.revision),
    u8(caption.tombstone ? 1 : 0),
    text(caption.text ?? ""),
    text(caption.language),
    ttl(caption.ttl),
  );

// `dispositions` gives the number of a disposition's name.
export const ackCrc = (key, ack, dispositions) =>
  over(
    ...head(ACK_KIND, key),
    u64(ack.positions.cumulative),
    u32(ack.positions.ranges.length),
    ...ack.positions.ranges.flatMap((range) => [u64(range.first), u64(range.last)]),
    u32(ack.outcomes.length),
    ...ack.outcomes.flatMap((outcome) => [
      u64(outcome.seq),
      u32(outcome.revision),
      i32(dispositions[outcome.disposition]),
    ]),
  );
