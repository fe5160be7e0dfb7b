"use strict";
/* What the upload page says of codecs, captions and results, in words for people. */

sidewire.uploading = {
  phases: { starting: "starting", ready: "ready", busy: "at work", away: "no connection" },

  /* Who reads the caption, by where a codec's text is. */
  text: {
    nowhere: "No end of this codec reads the caption.",
    decoder: "The receiver draws with the caption: it travels beside the picture's bytes.",
    encoder: "The encoder hears the caption, and the receiver does not need it.",
    both: "Both ends read the caption: it travels beside the picture's bytes.",
    "in stream": "The caption is in the stream.",
  },

  /* A caption that travels is counted; the others cost nothing. */
  travels: (text) => text === "decoder" || text === "both",

  /* What becomes of a caption that does not travel. */
  stays: (text) => text === "encoder" ? "heard by the encoder, not sent" : "read by nobody",

  group: (codec) => codec.streams ? "Sidewire" : "Formats and placeholders of the day",

  name: (codec) => codec.replace(/^baseline\//, ""),

  /* Where there is no MS-SSIM: its five scales need 161 pixels, and many pixels would take minutes. */
  unmeasured: (upload) => Math.min(upload.width, upload.height) < 161 ? "too small for it" : "too large for it",

  size: (bytes) => bytes < 1 << 20 ? `${(bytes / 1024).toFixed(1)} KiB` : `${(bytes / (1 << 20)).toFixed(1)} MiB`,

  /* Bits a pixel of few bytes need more digits. */
  bpp: (value) => `${value.toFixed(value < 0.001 ? 5 : value < 0.1 ? 4 : 3)} bpp`,

  /* [text, share of 0..1 or null where nobody knows] of a result on its way. */
  progress(result) {
    if (result.phase === "waiting") {
      return [result.before ? `waiting: ${result.before} before it` : "starting", null];
    }
    const { name, done, of } = result.step || { name: "at work", done: 0, of: 0 };
    if (of) return [`${name}: ${done} of ${of} blocks, ${Math.round(100 * done / of)} %`, done / of];
    return [done ? `${name}: ${done} tried` : name, null];
  },

  /* The one sentence about a file that cannot be a picture here; empty where it may be one. */
  unfit(file, limits) {
    if (!file.size) return `${file.name || "The file"} is empty (0 bytes).`;
    if (file.size > limits.file_bytes) {
      return `${file.name || "The file"} has ${file.size.toLocaleString("en")} bytes, must have at most ${limits.file_bytes.toLocaleString("en")}.`;
    }
    return "";
  },
};
