"use strict";
/* What is asked for: codec, level or size, and caption. */

sidewire.OrderForm = class {
  /* `limits` of the server; `submit` is called when a visitor asks for a result. */
  constructor(form, limits, submit) {
    const find = (selector) => form.querySelector(selector);
    this.form = form;
    this.limits = limits;
    this.fields = find("fieldset");
    this.codec = find("#codec");
    this.quality = find("#quality");
    this.caption = find("#caption");
    this.problem = document.getElementById("order-problem");
    this.codecs = new Map();
    this.typed = false;
    this.caption.addEventListener("input", () => { this.typed = Boolean(this.caption.value.trim()); this.measure(); });
    this.codec.addEventListener("change", () => this.showCodec());
    this.quality.addEventListener("input", () => this.showLevel());
    for (const one of form.elements.by) one.addEventListener("change", () => this.showTarget());
    form.addEventListener("submit", (event) => { event.preventDefault(); submit(this.order); });
    this.note(limits.describes ? "Left empty, a captioner says what it sees." : "May be left empty.");
    this.measure();
  }

  /* The codecs of the server; the form comes to life. */
  offer(codecs) {
    const groups = new Map();
    for (const one of codecs) {
      const group = sidewire.uploading.group(one);
      if (!groups.has(group)) groups.set(group, sidewire.element("optgroup", { label: group }));
      groups.get(group).append(sidewire.element("option", { value: one.name, text: sidewire.uploading.name(one.name) }));
      this.codecs.set(one.name, one);
    }
    this.codec.replaceChildren(...groups.values());
    const first = [sidewire.OrderForm.FIRST, codecs[0].name].find((name) => this.codecs.has(name));
    this.codec.value = first;
    this.fields.disabled = false;
    this.showCodec();
  }

  showCodec() {
    const { qualities, default_quality, text } = this.chosen;
    this.quality.max = String(qualities.length - 1);
    this.quality.value = String(Math.max(0, qualities.indexOf(default_quality)));
    document.getElementById("codec-note").textContent = sidewire.uploading.text[text] || "";
    this.showLevel();
  }

  showLevel() {
    const { qualities } = this.chosen;
    const text = `${this.level} of ${qualities[0]} to ${qualities.at(-1)}`;
    this.form.querySelector("output[for=quality]").textContent = text;
    this.quality.setAttribute("aria-valuetext", text);
  }

  showTarget() {
    for (const one of this.form.querySelectorAll("[data-by]")) one.hidden = one.dataset.by !== this.by;
  }

  measure() {
    const bytes = new TextEncoder().encode(this.caption.value.trim()).length;
    this.form.querySelector("#caption-size").textContent = bytes ? sidewire.numbers.bytes(bytes) : "";
  }

  note(text) { document.getElementById("caption-note").textContent = text; }

  say(text) {
    this.problem.hidden = !text;
    this.problem.textContent = text;
  }

  /* A captioner's words, unless the visitor has written some. */
  describe(text) {
    if (this.typed) return;
    this.caption.value = text;
    this.measure();
  }

  /* Another picture: words were the last one's, `all` of them or a captioner's alone. */
  forget(all) {
    if (all) this.typed = false;
    this.describe("");
    this.say("");
  }

  get chosen() { return this.codecs.get(this.codec.value); }
  get level() { return this.chosen.qualities[Number(this.quality.value)]; }
  get by() { return this.form.elements.by.value; }

  get order() {
    const target = this.by === "quality" ? { quality: this.level } : { [this.by]: Number(this.form.querySelector(`#${this.by}`).value) };
    return { codec: this.codec.value, ...target, caption: this.caption.value.trim() };
  }
};

/* The codec until somebody chooses: what the demo shows, too. */
sidewire.OrderForm.FIRST = "ssa";
