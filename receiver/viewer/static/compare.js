"use strict";
/* Two pictures over each other with a slider between them, and perhaps a map over both. */

sidewire.Stage = class {
  constructor(width, height) {
    const element = sidewire.element;
    this.under = element("img", { className: "under", alt: "", decoding: "async", draggable: "false" });
    this.over = element("img", { className: "over", alt: "", decoding: "async", draggable: "false" });
    this.map = element("img", { className: "overlay", alt: "" });
    this.map.hidden = true;
    this.left = element("span", { className: "tag left" });
    this.right = element("span", { className: "tag right" });
    this.slider = element("input", { type: "range", min: "0", max: "100", step: "1", value: "50" });
    this.node = element("div", { className: "stage single" }, this.under, this.over, this.map,
      this.left, this.right, this.slider, element("div", { className: "handle" }));
    this.node.style.aspectRatio = `${width} / ${height}`;
    this.node.style.setProperty("--ratio", String(width / height));
    this.slider.addEventListener("input", () => { this.moved = true; this.cut(Number(this.slider.value)); });
    this.moved = false;
  }

  /* The share of the width that the left picture has, in per cent. */
  cut(percent) {
    this.slider.value = String(percent);
    this.slider.setAttribute("aria-valuetext", `${Math.round(percent)} % ${this.left.textContent}`);
    this.node.style.setProperty("--cut", `${percent}%`);
  }

  /* Show a picture, or two: {picture, tag} each. `sweep` lets the right one come in from the edge. */
  show(left, right, alt, sweep) {
    const put = (image, file) => { if (image.getAttribute("src") !== file) image.src = file; };
    put(this.under, left.picture);
    this.under.alt = alt;
    this.left.textContent = left.tag;
    this.node.classList.toggle("single", !right);
    if (!right) { this.over.removeAttribute("src"); this.cut(100); return; }
    put(this.over, right.picture);
    this.right.textContent = right.tag;
    this.slider.setAttribute("aria-label", `How much of "${left.tag}" is shown beside "${right.tag}"`);
    if (sweep) this.sweep(); else this.cut(this.moved ? Number(this.slider.value) : sidewire.Stage.REST);
  }

  async sweep() {
    this.moved = false;
    await this.over.decode().catch(() => {});
    if (matchMedia("(prefers-reduced-motion: reduce)").matches) { this.cut(sidewire.Stage.REST); return; }
    const began = performance.now();
    const step = (now) => {
      const share = Math.min(1, (now - began) / 900);
      if (this.moved) return;
      this.cut(100 - (100 - sidewire.Stage.REST) * (1 - (1 - share) ** 3));
      if (share < 1) requestAnimationFrame(step);
    };
    this.cut(100);
    requestAnimationFrame(step);
  }

  /* A map over both pictures; null for none. */
  lay(file) {
    this.map.hidden = !file;
    if (file) this.map.src = file; else this.map.removeAttribute("src");
  }
};

/* Where the slider stands until somebody moves it. */
sidewire.Stage.REST = 50;
