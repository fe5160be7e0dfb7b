"use strict";
/* "What was sent": every message of a post, what its header says, how near the pictures are, and maps of the bits. */

sidewire.Sent = class {
  /* `changed` is called when there is something else to show, `ask` with a path below the post. */
  constructor(changed, ask) {
    const element = sidewire.element;
    this.ask = ask;
    this.changed = changed;
    this.map = "";
    this.level = 0;
    this.tools = element("div", { className: "tools" });
    this.note = element("p", { className: "note dim" });
    this.packets = element("div", { className: "packets" });
    this.measures = element("table", { className: "measures" });
    this.node = element("details", { className: "sent" }, element("summary", { text: "What was sent" }),
      this.packets, this.tools, this.note, this.measures);
    this.node.addEventListener("toggle", () => { if (!this.node.open) { this.map = ""; this.changed(); } });
  }

  update(post) {
    this.post = post;
    // In the order of the steps: a preview on a stream of its own may come behind its picture.
    const steps = ["preview", "picture", "caption"];
    const ordered = [...post.sent].sort((one, other) => steps.indexOf(one.what) - steps.indexOf(other.what));
    this.packets.replaceChildren(...ordered.map((packet) => this.packet(packet)));
    this.showTools();
    this.showMeasures();
  }

  packet(packet) {
    const element = sidewire.element;
    const { bytes, bpp } = sidewire.numbers;
    const names = { preview: "Preview", picture: "Picture", caption: "Caption" };
    const rows = [["bytes", `${bytes(packet.bytes)}, ${bpp(packet.bytes, this.post)}`]];
    if (packet.what === "caption") {
      rows.push(["revision", String(packet.revision)]);
      if (packet.language) rows.push(["language", packet.language]);
      rows.push(["text", this.post.caption]);
    } else {
      rows.push(["of these", `${packet.header_bytes} header, ${packet.bytes - packet.header_bytes} entropy-coded`],
        ["codec, level", `${packet.codec}, ${packet.level}`], ["picture", `${packet.width} × ${packet.height}`],
        ["form, model", `${packet.form}, ${packet.model}`]);
    }
    const list = element("dl", {}, ...rows.map(([name, value]) => element("div", {}, element("dt", { text: name }), element("dd", { text: value }))));
    const made = element("section", { className: "packet" },
      element("h3", { text: names[packet.what] }),
      element("p", { className: "dim", text: `channel of ${packet.channel}, stream ${packet.stream}, number ${packet.number}` }), list);
    if (packet.head) made.append(element("code", { text: packet.head + (packet.bytes > 32 ? " …" : "") }));
    if (packet.file) made.append(element("a", { href: packet.file, download: "", text: "save this stream" }));
    return made;
  }

  showTools() {
    const { post } = this;
    const can = sidewire.can;
    const made = [];
    const button = (text, pressed, action) => {
      const one = sidewire.element("button", { type: "button", text, "aria-pressed": String(pressed) });
      one.addEventListener("click", () => action(one));
      made.push(one);
    };
    const masks = post.overlays ? post.overlays.masks.length : can.text;
    if (post.overlays || can.overlays) {
      button("Bits", this.map === "bits", (one) => this.lay("bits", one));
      if (masks) button("Word mask", this.map === "masks", (one) => this.lay("masks", one));
    }
    if (this.map === "masks" && post.overlays?.masks.length > 1) {
      post.overlays.masks.forEach((_, level) => button(["coarse", "middle", "fine"][level] || `${level}`,
        this.level === level, () => { this.level = level; this.redraw(); }));
    }
    sidewire.replaceButtons(this.tools, made);
    this.note.hidden = !this.map || !post.overlays;
    if (!this.note.hidden) this.note.textContent = this.legend();
  }

  legend() {
    const { bits_most, masks, trust, caption_note } = this.post.overlays;
    if (this.map === "bits") return `Where the stream spends its bits: dark is none, light ${bits_most.toFixed(0)} bits in 16×16 pixels.`;
    if (!masks.length) return "This decoder reads no words.";
    const trusted = trust === null ? "" : ` The decoder trusts these words to ${Math.round(100 * trust)} %.`;
    const noted = caption_note && ` Of the caption: ${caption_note}.`;
    return `Where the decoder lets the words in: light is most.${trusted}${noted}`;
  }

  async lay(name, pressed) {
    if (this.map === name) { this.map = ""; this.redraw(); return; }
    if (!this.post.overlays) {
      pressed.disabled = true;
      const found = await this.ask("overlays");
      if (found) this.post = { ...this.post, overlays: found };
      pressed.disabled = false;
    }
    this.map = this.post.overlays ? name : "";
    this.redraw();
  }

  redraw() { this.showTools(); this.changed(this.post); }

  /* The map that lies over the picture; null for none. */
  get overlay() {
    const overlays = this.post?.overlays;
    if (!this.map || !overlays) return null;
    return this.map === "bits" ? overlays.bits : overlays.masks[this.level] || null;
  }

  showMeasures() {
    const { post } = this;
    const element = sidewire.element;
    const shown = [["preview", post.preview], ["picture", post.first], ["with its caption", post.refined]].filter(([, one]) => one);
    this.measures.hidden = !post.original;
    const cell = (value, digits) => element("td", { text: value == null ? "…" : value.toFixed(digits) });
    this.measures.replaceChildren(
      element("caption", { text: "How near to the original, which the receiver never had" }),
      element("thead", {}, element("tr", {}, ...["", "PSNR, dB", "MS-SSIM"].map((text) => element("th", { scope: "col", text })))),
      element("tbody", {}, ...shown.map(([name, one]) => element("tr", {}, element("th", { scope: "row", text: name }),
        cell(one.psnr, 2), cell(one.ms_ssim, 4)))));
  }
};
