// Reads messages that tests/vectors.py wrote and says what this side makes of them:
//
//     node vectors.mjs < vectors.json
//
// One line of JSON: for each message its checksum as computed here, and the message written again.

import { readFileSync } from "node:fs";

import { ackCrc, captionCrc, frameCrc, skipCrc } from "./checksums.mjs";
import { CaptionChannelService, DISPOSITIONS, ImageChannelService } from "./protocol.mjs";

const METHODS = {
  images: ImageChannelService.service.StreamImages,
  captions: CaptionChannelService.service.StreamCaptions,
};

const CHECKSUMS = {
  frame: frameCrc,
  skip: skipCrc,
  caption: captionCrc,
  ack: (key, ack) => ackCrc(key, ack, DISPOSITIONS),
};

function readAndWrite({ channel, direction, key, message }) {
  const method = METHODS[channel];
  const parsed = method[`${direction}Deserialize`](Buffer.from(message, "base64"));
  const kind = parsed.message; // the name of the oneof's member that is set
  return {
    crc32c: CHECKSUMS[kind](key, parsed[kind]),
    message: method[`${direction}Serialize`](parsed).toString("base64"),
  };
}

const vectors = JSON.parse(readFileSync(0, "utf8"));
console.log(JSON.stringify(vectors.map(readAndWrite)));
