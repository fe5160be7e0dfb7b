"use strict";
/* What is said of a post and of how messages ended, in words for people. */

sidewire.wording = {
  /* [badge, its class, the line in place of a caption] */
  fate(post) {
    if (post.reason) return ["no picture", "failed", ""];
    if (!post.first && !post.refined) return ["preview", "coming", "A preview so far. The picture is on its way…"];
    if (post.refined && post.words === "other") return ["wrong caption", "other", ""];
    if (post.refined) return [sidewire.can.text ? "drawn with its caption" : "complete", "refined", ""];
    if (post.caption) return ["complete", "refined", ""];
    if (post.words === "lost") return ["caption lost", "", "Its caption never came. The picture stands without."];
    if (post.words === "none") return ["no caption", "", "This picture has no caption."];
    return ["caption to come", "coming", "The caption is on its way…"];
  },

  ends: {
    DECODED_WITH_TEXT: "drawn with the caption at once",
    DECODED_NO_TEXT: "drawn without words",
    DECODED_TEXT_LATE: "drawn again with the caption",
    DUPLICATE: "came twice, used once",
    REJECTED: "could not be used",
    EXPIRED: "came for a picture that was not there",
    SUPERSEDED: "replaced by newer words",
    NOTED: "said to have no caption",
  },

  end: (name) => sidewire.wording.ends[name] || name.toLowerCase().replaceAll("_", " "),

  phases: { starting: "starting", running: "live", paused: "paused", over: "over", report: "report", away: "no connection" },

  AS_GOOD: "For a picture as good (by MS-SSIM of its brightness), shrunk first where that helps:",

  /* How a format of the day had to write a picture. */
  trial: (found) => `quality ${found.quality}${found.shrink > 1 ? `, at 1/${found.shrink} of the width and height` : ""}`,
};
