// A sender and caption publisher in another language, written from the .proto files alone:
//
//     node sender.mjs --images HOST:PORT --captions HOST:PORT --stream ID \
//         --frame FILE --caption TEXT [--frame FILE --caption TEXT ...]
//
// The first caption belongs to the first frame, and so on; a frame beyond them expects none. Prints one
// line of JSON when the receiver has acknowledged everything; exits 1, with the reason, if it does not.
// It keeps no journal: whatever goes wrong is the end of it.

import { createHash } from "node:crypto";
import { readFileSync } from "node:fs";
import { basename } from "node:path";
import { parseArgs, promisify } from "node:util";

import grpc from "@grpc/grpc-js";

import { ackCrc, captionCrc, frameCrc } from "./checksums.mjs";
import {
  CaptionChannelService,
  ControlService,
  DISPOSITIONS,
  ImageChannelService,
} from "./protocol.mjs";

const PLAINTEXT = grpc.credentials.createInsecure();
const DEADLINE = { deadline: Date.now() + 60_000 };

function covers(positions, seq) {
  const inside = ({ first, last }) => BigInt(first) <= seq && seq <= BigInt(last);
  return seq < BigInt(positions.cumulative) || positions.ranges.some(inside);
}

// Sends each request as credit allows; resolves to each one's outcome when the receiver has them all.
// `items` are {seq, size, request}, in order; `size` is what counts against the credit in bytes.
function deliver(stream, session, items) {
  const outcomes = new Map();
  let sent = 0;
  let sentBytes = 0n;

  // Credit is how much may be sent in all since the attach, so the newest says everything.
  function sendWhatFits(credit) {
    while (
      sent < items.length &&
      BigInt(sent) < BigInt(credit.frames) &&
      sentBytes + BigInt(items[sent].size) <= BigInt(credit.bytes)
    ) {
      stream.write(items[sent].request);
      sentBytes += BigInt(items[sent].size);
      sent += 1;
    }
  }

  function noteAck(ack) {
    if (ackCrc(session, ack, DISPOSITIONS) !== ack.crc32c) throw new Error("a damaged ack");
    for (const outcome of ack.outcomes) outcomes.set(BigInt(outcome.seq), outcome);
    return items.every(({ seq }) => covers(ack.positions, seq) && outcomes.has(seq));
  }

  return new Promise((resolve, reject) => {
    if (items.length === 0) resolve([]);
    stream.on("error", reject);
    stream.on("end", () => reject(new Error("the receiver ended the stream")));
    stream.on("data", (response) => {
      try {
        if (response.attached) sendWhatFits(response.attached.credit);
        else if (response.credit) sendWhatFits(response.credit);
        else if (response.refusal) throw new Error(response.refusal.status.message);
        else if (response.drain) throw new Error("the receiver is stopping");
        else if (noteAck(response.ack)) resolve(items.map(({ seq }) => outcomes.get(seq)));
      } catch (error) {
        reject(error);
      }
    });
    stream.write({ attach: { session_id: session.session_id, epoch: session.epoch } });
  });
}

function frameItem(session, picture) {
  const frame = {
    seq: picture.seq.toString(),
    content_id: picture.contentId,
    name: picture.name,
    expects_caption: picture.caption !== undefined,
    container: picture.container,
  };
  frame.crc32c = frameCrc(session, frame);
  return { seq: picture.seq, size: frame.container.length, request: { frame } };
}

function captionItem(session, picture) {
  const caption = {
    seq: picture.seq.toString(),
    content_id: picture.contentId,
    revision: 1,
    text: picture.caption,
    language: "en",
  };
  caption.crc32c = captionCrc(session, caption);
  return { seq: picture.seq, size: Buffer.byteLength(caption.text), request: { caption } };
}

function readPicture(file, index, captions) {
  const container = readFileSync(file);
  return {
    seq: BigInt(index),
    name: basename(file, ".swi"),
    // The start of the source picture's SHA-256; whoever has only the container takes the container's.
    contentId: createHash("sha256").update(container).digest().subarray(0, 16),
    container,
    caption: captions[index],
  };
}

const call = (client, method, request) =>
  promisify(client[method].bind(client))(request, DEADLINE);

async function main() {
  const { values } = parseArgs({
    options: {
      images: { type: "string" },
      captions: { type: "string" },
      stream: { type: "string" },
      frame: { type: "string", multiple: true, default: [] },
      caption: { type: "string", multiple: true, default: [] },
    },
  });
  const pictures = values.frame.map((file, index) => readPicture(file, index, values.caption));
  const captioned = pictures.filter(({ caption }) => caption !== undefined);

  // Epoch 0: a new journal's beginning for the picture sender, "the current one" for the publisher.
  const control = new ControlService(values.images, PLAINTEXT);
  const captionControl = new ControlService(values.captions, PLAINTEXT);
  const toOpen = { stream_id: values.stream, epoch: 0 };
  const sender = await call(control, "OpenSession", { ...toOpen, channel: "CHANNEL_IMAGES" });
  const publisher = await call(captionControl, "OpenSession", {
    ...toOpen,
    channel: "CHANNEL_CAPTIONS",
  });

  const images = new ImageChannelService(values.images, PLAINTEXT).StreamImages(DEADLINE);
  const captions = new CaptionChannelService(values.captions, PLAINTEXT).StreamCaptions(DEADLINE);
  const [frameOutcomes, captionOutcomes] = await Promise.all([
    deliver(images, sender, pictures.map((picture) => frameItem(sender, picture))),
    deliver(captions, publisher, captioned.map((picture) => captionItem(publisher, picture))),
  ]);

  const { session_id } = sender;
  const closed = [
    await call(control, "CloseSession", { session_id, channel: "CHANNEL_IMAGES" }),
    await call(captionControl, "CloseSession", { session_id, channel: "CHANNEL_CAPTIONS" }),
  ];
  images.end();
  captions.end();
  const result = {
    session_id,
    epoch: sender.epoch,
    frames: frameOutcomes,
    captions: captionOutcomes,
    all_ended: closed.every(({ all_ended }) => all_ended),
  };
  console.log(JSON.stringify(result));
}

// What is left open (a stream, after an error) would keep the process alive.
main().then(
  () => process.exit(0),
  (error) => {
    console.error(`sender: ${error.message}`);
    process.exit(1);
  },
);
