"use strict";
/* The counters, which are the ledger's, and what words are worth over the posts on the page. */

sidewire.Counters = class {
  put(id, value, shown) { document.getElementById(id).textContent = value == null ? "–" : shown(value); }

  showState({ facts, sending, lost }) {
    const counts = { sent: sending.frames, previews: facts.previews, decoded: facts.decoded, joined: facts.joined, lost,
      duplicated: facts.duplicated };
    for (const [name, value] of Object.entries(counts)) {
      this.put(`count-${name}`, value, (one) => one.toLocaleString("en"));
      const wrong = value > 0 && (name === "lost" || name === "duplicated");
      document.getElementById(`count-${name}`).parentElement.classList.toggle("bad", wrong);
    }
    document.getElementById("dispositions").replaceChildren(...Object.entries(facts.dispositions).flatMap(([name, count]) => [
      sidewire.element("dt", { text: sidewire.wording.end(name) }), sidewire.element("dd", { text: count.toLocaleString("en") })]));
  }

  showWorth(posts) {
    const mean = (values) => {
      const known = values.filter((value) => value != null);
      return known.length ? known.reduce((sum, value) => sum + value, 0) / known.length : null;
    };
    const both = posts.filter((post) => post.first && post.refined);
    const measured = (name) => both.filter((post) => post.first[name] != null && post.refined[name] != null);
    const of = (side, name) => mean(measured(name).map((post) => post[side][name]));
    const fixed = (digits, unit = "") => (value) => value.toFixed(digits) + unit;
    const { seconds } = sidewire.numbers;
    const bpp = (name) => mean(both.map((post) => 8 * post[name] / (post.width * post.height)));
    this.put("worth-count", both.length, String);
    this.put("psnr-first", of("first", "psnr"), fixed(2, " dB"));
    this.put("psnr-refined", of("refined", "psnr"), fixed(2, " dB"));
    this.put("ssim-first", of("first", "ms_ssim"), fixed(4));
    this.put("ssim-refined", of("refined", "ms_ssim"), fixed(4));
    this.put("ms-first", mean(both.map((post) => post.first.after_ms)), seconds);
    this.put("ms-refined", mean(both.map((post) => post.refined.after_ms)), seconds);
    this.put("bpp-picture", bpp("picture_bytes"), fixed(3, " bpp"));
    this.put("bpp-words", bpp("caption_bytes"), (value) => `+${value.toFixed(4)} bpp`);
  }
};
