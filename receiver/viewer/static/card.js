"use strict";
/* A post as a card. All text goes in as text, never as markup. */

sidewire.Card = class {
  constructor(post) {
    const element = sidewire.element;
    const from = (post.source || post.name || "unknown").split(/[,;]/)[0].replace(/^Photograph by /, "");
    const initials = from.match(/\b[A-Z]/g)?.slice(0, 2).join("") || "?";
    const avatar = element("span", { className: "avatar", text: initials, "aria-hidden": "true" });
    avatar.style.setProperty("--hue", String([...from].reduce((sum, one) => sum + one.codePointAt(0), 0) % 360));
    const when = new Date(1000 * post.at).toLocaleTimeString([], { hour: "2-digit", minute: "2-digit", second: "2-digit" });
    // The badge stands in the second line: titles have the first one to themselves.
    this.badge = element("span", { className: "badge" });
    this.words = element("p", { className: "words" });
    this.views = element("div", { className: "tools views", role: "group", "aria-label": "Compare with" });
    this.problem = element("p", { className: "problem", role: "alert" });
    this.problem.hidden = true;
    this.bars = new sidewire.Bars(() => this.ask("comparison"));
    this.sent = new sidewire.Sent((post) => { if (post) this.post = post; this.showPictures(false); }, (what) => this.ask(what));
    this.body = element("div");
    this.rest = element("div", {}, this.views, this.problem, this.bars.node, this.sent.node);
    const title = element("h2", { text: from, id: `who-${post.id}` });
    const under = element("p", {}, element("span", { text: `${post.name} · ${when}`, title: post.source }), this.badge);
    this.node = element("article", { className: "post", id: `post-${post.id}`, "aria-labelledby": `who-${post.id}` },
      element("header", {}, avatar, element("div", { className: "who" }, title, under)),
      this.words, this.body, this.rest);
    this.left = "";
    this.post = null;
    this.update(post);
  }

  /* Somebody looks into it: the feed then stays where it is. */
  get opened() {
    return Boolean(this.left || this.stage?.moved || this.sent.node.open || this.node.contains(document.activeElement));
  }

  close() {
    this.left = "";
    this.sent.node.open = false;
    if (this.stage) this.stage.moved = false;
    if (this.node.contains(document.activeElement)) document.activeElement.blur();
    this.update(this.post);
  }

  update(post) {
    const before = this.post;
    this.post = post;
    const [badge, kind, line] = sidewire.wording.fate(post);
    this.badge.textContent = badge;
    this.badge.className = `badge ${kind}`;
    this.node.dataset.state = post.reason ? "failed" : post.refined ? "refined" : post.first ? "first" : "preview";
    this.words.textContent = post.caption || line;
    this.words.className = post.caption ? "words" : "words none";
    this.rest.hidden = Boolean(post.reason);
    if (post.reason) {
      this.body.replaceChildren(sidewire.element("p", { className: "failure", text: `This picture could not be shown: ${post.reason}` }));
      return;
    }
    if (!this.stage) {
      this.stage = new sidewire.Stage(post.width, post.height);
      this.body.replaceChildren(this.stage.node);
    }
    this.sent.update(post);
    this.bars.update(post);
    this.showPictures(Boolean(before && !this.final(before) && this.final(post)));
    this.showViews();
  }

  final(post) { return post.refined || post.first; }

  /* What a picture can be held against: by name, {picture, tag, label} each. */
  others() {
    const { post } = this;
    const { bytes } = sidewire.numbers;
    const found = {};
    if (post.preview) found.preview = { label: "Preview", picture: post.preview.picture, tag: `preview, ${bytes(post.preview_bytes)}` };
    if (post.preview && post.refined && (post.preview_told || sidewire.can.text && sidewire.can.asked)) {
      found.preview_told = { label: "Preview + caption", picture: post.preview_told, tag: `preview, ${bytes(post.preview_bytes)}, with its caption` };
    }
    if (post.first && post.refined) found.first = { label: "Without words", picture: post.first.picture, tag: "without words" };
    if (post.original) found.original = { label: "Original", picture: post.original, tag: "original" };
    for (const name of ["JPEG", "WebP", "AVIF"]) {
      const rival = post.comparison?.rivals.find((one) => one.name === name);
      if (rival?.fitted) {
        found[name] = { label: name, picture: rival.fitted.picture, tag: `${name}, ${bytes(rival.fitted.bytes)}`, title: sidewire.wording.trial(rival.fitted) };
      } else if (!rival && !post.comparison?.done && post.original && sidewire.can.asked) {
        found[name] = { label: name, picture: "", tag: name };
      }
    }
    if (post.unguarded || (post.refined && sidewire.can.unguarded)) {
      found.unguarded = { label: "Words fully trusted", picture: post.unguarded, tag: "words fully trusted" };
    }
    return found;
  }

  showPictures(sweep) {
    const { post } = this;
    const final = this.final(post);
    const others = this.others();
    const alt = post.caption || `${post.name}, without a caption yet`;
    if (!final) {
      this.stage.show({ picture: post.preview.picture, tag: others.preview.tag }, null, alt, false);
    } else {
      const { bytes } = sidewire.numbers;
      const right = { picture: final.picture, tag: `${post.refined && sidewire.can.text ? "with words" : "picture"}, ${bytes(post.picture_bytes)}` };
      const chosen = others[this.left]?.picture ? others[this.left] : this.unasked(others);
      if (chosen) this.stage.show(chosen, right, alt, sweep); else this.stage.show(right, null, alt, false);
    }
    this.stage.lay(this.sent.overlay);
  }

  /* What lies beside a picture until somebody chooses: JPEG in as many bytes, or the preview. */
  unasked(others) {
    return [others.JPEG, others.preview, others.first].find((one) => one?.picture);
  }

  showViews() {
    const others = this.final(this.post) ? this.others() : {};
    const shown = others[this.left] || this.unasked(others);
    const made = Object.entries(others).map(([name, other]) => {
      const one = sidewire.element("button", { type: "button", text: other.label, "aria-pressed": String(other === shown), title: other.title || "" });
      one.addEventListener("click", () => this.look(name));
      return one;
    });
    sidewire.replaceButtons(this.views, made);
  }

  async look(name) {
    this.left = name;
    if (!this.others()[name].picture) {
      const found = await this.ask(["JPEG", "WebP", "AVIF"].includes(name) ? "comparison" : name);
      if (found?.picture) this.post = { ...this.post, [name]: found.picture };
    }
    this.showPictures(false);
    this.showViews();
  }

  /* Ask the server for something of this post, and say so where there is no answer. */
  async ask(what) {
    const answer = await sidewire.ask(`posts/${this.post.id}/${what}`);
    this.problem.hidden = !answer.problem;
    this.problem.textContent = answer.problem || "";
    return answer.found;
  }
};
