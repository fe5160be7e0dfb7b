"use strict";
/* A post as a card. All text goes in as text, never as markup. */

sidewire.numbers = {
  bytes: (count) => `${count.toLocaleString("en")} B`,
  bpp: (bytes, post) => `${(8 * bytes / (post.width * post.height)).toFixed(bytes < 400 ? 4 : 3)} bpp`,
  ms: (value) => value < 9999 ? `${Math.round(value)} ms` : `${(value / 1000).toFixed(1)} s`,
};

/* What is said of a post's words: badge, its class, and the line where there is no caption yet. */
sidewire.fate = (post) => {
  if (post.reason) return ["no picture", "failed", ""];
  if (post.refined && post.words === "other") return ["another's words", "other", ""];
  if (post.refined) return [sidewire.can.text ? "refined by words" : "joined", "refined", ""];
  if (post.caption) return ["words not read", "", ""];
  if (post.words === "lost") return ["words lost", "", "Its caption never came. The picture stands without."];
  if (post.words === "none") return ["without words", "", "This picture has no caption."];
  return ["words to come", "coming", "The caption is on its way…"];
};

sidewire.Card = class {
  constructor(post) {
    const element = sidewire.element;
    const from = (post.source || post.name || "unknown").split(",")[0].replace(/^Photograph by /, "");
    const initials = from.match(/\b[A-Z]/g)?.slice(0, 2).join("") || "?";
    const avatar = element("span", { className: "avatar", text: initials, "aria-hidden": "true" });
    avatar.style.setProperty("--hue", String([...from].reduce((sum, one) => sum + one.codePointAt(0), 0) % 360));
    const time = new Date(1000 * post.at);
    const when = time.toLocaleTimeString([], { hour: "2-digit", minute: "2-digit", second: "2-digit" });
    this.badge = element("span", { className: "badge" });
    this.words = element("p", { className: "words" });
    this.tools = element("div", { className: "tools" });
    this.note = element("p", { className: "note dim" });
    this.facts = element("dl", { className: "facts" });
    this.chips = element("div", { className: "chips", "aria-label": "how it ended" });
    this.body = element("div");
    const title = element("b", { text: from, id: `who-${post.id}` });
    const under = element("span", { text: `@${post.name} · ${when}`, title: post.source });
    this.node = element("article", { className: "post", id: `post-${post.id}`, "aria-labelledby": `who-${post.id}` },
      element("header", {}, avatar, element("div", { className: "who" }, title, under), this.badge),
      this.words, this.body, this.tools, this.note, this.facts, this.chips);
    this.view = "words";
    this.map = "";
    this.level = 0;
    this.post = null;
    this.update(post);
  }

  update(post) {
    const before = this.post;
    this.post = post;
    const [badge, kind, line] = sidewire.fate(post);
    this.badge.textContent = badge;
    this.badge.className = `badge ${kind}`;
    this.node.dataset.state = post.reason ? "failed" : post.refined ? "refined" : "first";
    this.words.textContent = post.caption || line;
    this.words.className = post.caption ? "words" : "words none";
    this.chips.replaceChildren(...post.dispositions.map((one) => sidewire.element("span", { text: one })));
    if (post.reason) {
      this.body.replaceChildren(sidewire.element("p", { className: "failure", text: `This picture could not be shown: ${post.reason}` }));
      return;
    }
    if (!this.stage) {
      this.stage = new sidewire.Stage(post.width, post.height);
      this.body.replaceChildren(this.stage.node);
    }
    const came = Boolean(before && !before.refined && post.refined);
    if (came) { this.map = ""; this.view = "words"; }
    this.showPictures(came);
    this.showTools();
    this.showFacts();
  }

  showPictures(sweep) {
    const post = this.post;
    const alt = post.caption || `${post.name}, without a caption yet`;
    const first = post.first && { picture: post.first.picture, tag: "without words" };
    let last = post.refined && { picture: post.refined.picture, tag: "with words" };
    if (this.view === "unguarded" && post.unguarded) {
      this.stage.show(last, { picture: post.unguarded, tag: "guard off" }, alt, sweep);
    } else if (this.view === "original" && post.original) {
      this.stage.show({ picture: post.original, tag: "original" }, last || first, alt, sweep);
    } else if (first && last) {
      this.stage.show(first, last, alt, sweep);
    } else {
      this.stage.show(first || last, null, alt, sweep);
    }
    const overlays = post.overlays;
    this.stage.lay(this.map && overlays ? (this.map === "bits" ? overlays.bits : overlays.masks[this.level]) : null);
  }

  showTools() {
    const { post } = this;
    const can = sidewire.can;
    const button = (text, pressed, action) => {
      const made = sidewire.element("button", { type: "button", text, "aria-pressed": String(pressed) });
      made.addEventListener("click", () => action(made));
      return made;
    };
    const view = (text, name) => button(text, this.view === name, () => this.look(name));
    const made = [];
    if (post.original) {
      made.push(view(post.refined && post.first ? "Before / after" : "Decoded", "words"), view("Original", "original"));
    }
    if (post.refined && (post.unguarded || can.unguarded)) made.push(view("Guard off", "unguarded"));
    made.push(sidewire.element("span", { className: "gap" }));
    if (post.overlays || can.overlays) {
      made.push(button("Bits", this.map === "bits", (one) => this.lay("bits", one)));
      if (can.text) made.push(button("Word mask", this.map === "masks", (one) => this.lay("masks", one)));
    }
    if (this.map === "masks" && post.overlays?.masks.length > 1) {
      post.overlays.masks.forEach((_, level) => made.push(button(["coarse", "middle", "fine"][level] || `${level}`,
        this.level === level, () => { this.level = level; this.redraw(); })));
    }
    // The button that has the focus is replaced: its successor gets it.
    const focused = [...this.tools.children].indexOf(document.activeElement);
    this.tools.replaceChildren(...made);
    if (focused >= 0) this.tools.children[focused]?.focus();
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

  async look(name) {
    if (name === "unguarded" && !this.post.unguarded) await sidewire.ask(`posts/${this.post.id}/unguarded`, (got) => { this.post = { ...this.post, unguarded: got.picture }; });
    this.view = name;
    this.redraw();
  }

  async lay(name, pressed) {
    if (this.map === name) { this.map = ""; this.redraw(); return; }
    if (!this.post.overlays) {
      pressed.disabled = true;
      await sidewire.ask(`posts/${this.post.id}/overlays`, (got) => { this.post = { ...this.post, overlays: got }; });
    }
    this.map = this.post.overlays ? name : "";
    this.redraw();
  }

  redraw() { this.showPictures(false); this.showTools(); }

  showFacts() {
    const { post } = this;
    const { bytes, bpp, ms } = sidewire.numbers;
    const rows = [["picture", `${bytes(post.picture_bytes)} · ${bpp(post.picture_bytes, post)}`]];
    if (post.caption) rows.push(["caption", `${bytes(post.caption_bytes)} · ${bpp(post.caption_bytes, post)}`]);
    rows.push(["codec, quality", `${post.codec}, ${post.quality}`]);
    if (post.first?.after_ms != null) rows.push(["first picture after", ms(post.first.after_ms)]);
    if (post.refined?.after_ms != null) rows.push(["refined, after its caption", ms(post.refined.after_ms)]);
    const measured = (name, digits) => [post.first, post.refined].filter(Boolean)
      .map((one) => one[name] == null ? "…" : one[name].toFixed(digits)).join(" → ");
    if (post.original) rows.push(["PSNR, dB", measured("psnr", 2)], ["MS-SSIM", measured("ms_ssim", 4)]);
    this.facts.replaceChildren(...rows.map(([name, value]) => sidewire.element("div", {},
      sidewire.element("dt", { text: name }), sidewire.element("dd", { text: value }))));
  }
};
