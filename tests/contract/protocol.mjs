// The .proto files, loaded as they lie in the repository: nothing is generated.

import { fileURLToPath } from "node:url";

import grpc from "@grpc/grpc-js";
import protoLoader from "@grpc/proto-loader";

const PROTO = fileURLToPath(new URL("../../proto", import.meta.url));

const definition = protoLoader.loadSync(
  ["control", "image_channel", "caption_channel"].map((name) => `sidewire/v1/${name}.proto`),
  { includeDirs: [PROTO], keepCase: true, longs: String, enums: String, defaults: true, oneofs: true },
);

export const { ControlService, ImageChannelService, CaptionChannelService } =
  grpc.loadPackageDefinition(definition).sidewire.v1;

// The number of each disposition's name.
export const DISPOSITIONS = Object.fromEntries(
  definition["sidewire.v1.Disposition"].type.value.map(({ name, number }) => [name, number]),
);
