"use strict";
/* A post's bytes as bars: what came, step by step, and what formats of the day would need for as much. */

sidewire.Bars = class {
  /* `ask` is called when a reader wants the comparison. */
  constructor(ask) {
    this.ask = ask;
    this.node = sidewire.element("section", { className: "bars", "aria-label": "Bytes" });
  }

  update(post) {
    const { bytes } = sidewire.numbers;
    const steps = this.steps(post);
    const compared = post.comparison;
    const rivals = compared ? compared.rivals.map((one) => ({ label: one.name, count: one.matched?.bytes, kind: "rival",
      title: one.matched ? sidewire.wording.trial(one.matched) : "", text: this.needs(one) })) : [];
    const most = Math.max(1, ...[...steps, ...rivals].map((row) => row.count || 0));
    const rows = (all) => sidewire.element("ul", {}, ...all.map((row) => this.row(row, most)));
    const parts = [rows(steps)];
    if (rivals.length) {
      parts.push(sidewire.element("p", { className: "dim", text: sidewire.wording.AS_GOOD }), rows(rivals));
    }
    if (post.original_bytes) {
      const times = Math.round(post.original_bytes / Math.max(1, post.picture_bytes));
      const smaller = post.picture_bytes ? `, ${times.toLocaleString("en")} times the picture's bytes` : "";
      parts.push(sidewire.element("p", { className: "dim", text: `The original file has ${bytes(post.original_bytes)}${smaller}.` }));
    }
    if (!compared && (post.first || post.refined) && post.original && sidewire.can.asked) {
      const button = sidewire.element("button", { type: "button", className: "ask", text: "What would JPEG, WebP and AVIF need?" });
      button.addEventListener("click", () => { button.disabled = true; this.ask(); });
      parts.push(button);
    }
    if (compared?.problem) parts.push(sidewire.element("p", { className: "problem", text: `No comparison: ${compared.problem}` }));
    else if (compared && !compared.rivals.length) parts.push(sidewire.element("p", { className: "dim", text: "Trying JPEG, WebP and AVIF on this picture…" }));
    this.node.replaceChildren(...parts);
  }

  steps(post) {
    const { bytes, seconds } = sidewire.numbers;
    const after = (shown) => shown?.after_ms == null ? "" : `after ${seconds(shown.after_ms)}`;
    const rows = [];
    if (post.preview) rows.push({ label: "Preview", note: after(post.preview), count: post.preview_bytes, kind: "came" });
    const picture = post.first || post.refined;
    if (picture) rows.push({ label: "Picture", note: after(post.first), count: post.picture_bytes, kind: "came" });
    else rows.push({ label: "Picture", text: "on its way", kind: "coming" });
    if (post.caption) rows.push({ label: "Caption", note: after(post.refined), title: "Since the caption left: drawn with it", count: post.caption_bytes, kind: "told" });
    else if (post.words === "lost") rows.push({ label: "Caption", text: "lost", kind: "coming" });
    else if (post.words !== "none") rows.push({ label: "Caption", text: "on its way", kind: "coming" });
    return rows.map((row) => ({ text: row.count == null ? row.text : bytes(row.count), ...row }));
  }

  needs(rival) {
    if (rival.matched) return sidewire.numbers.bytes(rival.matched.bytes);
    return rival.done ? "not found" : "searching…";
  }

  row({ label, note, count, text, kind, title }, most) {
    const bar = sidewire.element("span", { className: `bar-fill ${kind}` });
    bar.style.setProperty("--share", String(count ? count / most : 0));
    const name = sidewire.element("span", { className: "bar-name", text: label });
    if (note) name.append(sidewire.element("small", { text: ` ${note}` }));
    return sidewire.element("li", title ? { title } : {}, name, sidewire.element("span", { className: "bar-track" }, bar),
      sidewire.element("span", { className: "bar-count", text }));
  }
};
