"use strict";
/* What has been made of a picture, and what is under way: a row each. All text goes in as text, never as markup. */

sidewire.Results = class {
  /* `node` is the list; `act` has what a row's buttons do: look, compare, remove, each with a result. */
  constructor(node, act) {
    this.node = node;
    this.act = act;
    this.rows = new Map();
  }

  /* `stem` begins the names of files that are saved; `current` is the id of what lies on the right. */
  show(upload, codecs, stem, current) {
    const kept = new Set(upload.results.map((one) => one.id));
    for (const [id, row] of this.rows) if (!kept.has(id)) { row.node.remove(); this.rows.delete(id); }
    for (const result of upload.results) {
      if (!this.rows.has(result.id)) {
        const row = new sidewire.ResultRow(this.act);
        this.rows.set(result.id, row);
        this.node.prepend(row.node);
      }
      this.rows.get(result.id).update(upload, result, codecs.get(result.codec), stem, current === result.id);
    }
  }

  clear() { this.rows.clear(); this.node.replaceChildren(); }
};

sidewire.ResultRow = class {
  constructor(act) {
    const { element } = sidewire;
    this.act = act;
    this.title = element("h3");
    this.text = element("span");
    this.bar = element("progress", { "aria-label": "How far it is" });
    this.work = element("div", { className: "work" }, this.bar, this.text);
    this.body = element("div");
    this.tools = element("div", { className: "tools" });
    this.node = element("li", { className: "result" }, this.title, this.work, this.body, this.tools);
    this.drawn = "";
  }

  update(upload, result, codec, stem, current) {
    this.node.setAttribute("aria-current", String(current));
    this.node.dataset.phase = result.phase;
    const over = result.phase === "done" || result.phase === "failed";
    this.work.hidden = over;
    if (!over) this.progress(result);
    const drawn = JSON.stringify([result.phase, current]);
    if (drawn === this.drawn) return; // buttons stay where a hand or the focus is
    this.drawn = drawn;
    const { made } = result;
    const name = sidewire.uploading.name(result.codec);
    const level = made ? `level ${made.level}${made.shrink > 1 ? ` at 1/${made.shrink} of the width and height` : ""}` : result.wanted;
    this.title.replaceChildren(name, " ", sidewire.element("small", { text: made && result.wanted && !result.wanted.startsWith("level") ? `${level}, ${result.wanted}` : level }));
    this.body.replaceChildren(...this.facts(upload, result, codec));
    sidewire.replaceButtons(this.tools, this.buttons(upload, result, stem, current));
  }

  progress(result) {
    const [text, share] = sidewire.uploading.progress(result);
    this.text.textContent = text;
    if (share === null) this.bar.removeAttribute("value"); else this.bar.value = share;
  }

  facts(upload, result, codec) {
    const { element } = sidewire;
    const { made } = result;
    const { bpp, stays, travels } = sidewire.uploading;
    if (result.phase === "failed") return [element("p", { className: "problem", text: `No picture: ${result.problem}` })];
    if (!made) return [];
    const travelling = codec && travels(codec.text);
    const rows = [["picture", `${made.bytes.toLocaleString("en")} B`, bpp(made.bpp)]];
    if (result.caption) {
      const cost = `${result.caption_bytes.toLocaleString("en")} B`;
      rows.push(["caption", cost, `${bpp(result.caption_bpp)}${travelling ? "" : `, ${stays(codec?.text)}`}`]);
      if (travelling) rows.push(["together", `${(made.bytes + result.caption_bytes).toLocaleString("en")} B`, bpp(made.bpp + result.caption_bpp)]);
    }
    rows.push(["PSNR", made.psnr === null ? "equal" : `${made.psnr.toFixed(2)} dB`, ""]);
    rows.push(["MS-SSIM", made.ms_ssim === null ? "–" : made.ms_ssim.toFixed(4), made.ms_ssim === null ? sidewire.uploading.unmeasured(upload) : ""]);
    if (made.trust !== null) rows.push(["words trusted to", sidewire.numbers.share(made.trust), ""]);
    const seconds = [made.encode_seconds && `${made.encode_seconds.toFixed(1)} s to encode`, made.decode_seconds && `${made.decode_seconds.toFixed(1)} s to draw`];
    rows.push(["took", seconds.filter(Boolean).join(", ") || "–", ""]);
    const list = element("dl", {}, ...rows.map(([name, value, small]) => element("div", {},
      element("dt", { text: name }), element("dd", {}, value, small ? " " : "", element("small", { text: small })))));
    const said = result.caption ? [element("p", { className: "said", text: `“${result.caption}”` })] : [];
    if (made.note) said.push(element("p", { className: "dim", text: `Of the caption: ${made.note}.` }));
    return [list, ...said];
  }

  buttons(upload, result, stem, current) {
    const made = [];
    const button = (text, action, more = {}) => {
      const one = sidewire.element("button", { type: "button", text, ...more });
      one.addEventListener("click", action);
      made.push(one);
    };
    const save = (text, file, ending) => made.push(sidewire.element("a", { className: "button", text,
      href: `upload/pictures/${upload.id}/${file}`, download: `${stem}.${sidewire.uploading.name(result.codec)}-${result.made.level}.${ending}` }));
    if (result.phase === "done") {
      button("Show", () => this.act.look(result), { "aria-pressed": String(current) });
      button("JPEG, WebP, AVIF in as many bytes", () => this.act.compare(result));
      if (result.stream) save("Save .swi", result.stream, "swi");
      save("Save PNG", result.picture, "png");
    }
    button(result.phase === "done" || result.phase === "failed" ? "Remove" : "Cancel", () => this.act.remove(result));
    return made;
  }
};
