"use strict";
/* Controls: what is moved here is sent a moment later; what others move is shown. Dead while the server is away. */

sidewire.Controls = class {
  constructor(form, problem, realRate) {
    this.form = form;
    this.problem = problem;
    this.realRate = realRate;
    this.fields = form.querySelector("fieldset");
    this.inputs = [...form.querySelectorAll("input")];
    this.paused = form.querySelector("#paused");
    this.sending = 0;
    for (const input of this.inputs) input.addEventListener("input", () => { this.label(input); this.soon(); });
    this.paused.addEventListener("click", () => {
      this.paused.setAttribute("aria-pressed", String(!this.isPaused));
      this.soon();
    });
  }

  get isPaused() { return this.paused.getAttribute("aria-pressed") === "true"; }

  alive(is) { this.fields.disabled = !is; }

  label(input) {
    const value = Number(input.value);
    const shown = "share" in input.dataset ? sidewire.numbers.share(value) : `${value}${input.dataset.unit}`;
    input.form.querySelector(`output[for=${input.id}]`).textContent = shown;
    input.setAttribute("aria-valuetext", shown);
  }

  show(controls) {
    if (this.sending) return;
    for (const input of this.inputs) {
      if (Number(input.value) !== controls[input.name]) input.value = String(controls[input.name]);
      this.label(input);
    }
    this.paused.setAttribute("aria-pressed", String(controls.paused));
    this.paused.textContent = controls.paused ? "Go on" : "Pause";
  }

  showRate(asked, real) {
    this.realRate.textContent = real == null ? `${asked} a second asked for` : `${asked} a second asked for, ${real.toFixed(2)} came`;
  }

  soon() { clearTimeout(this.sending); this.sending = setTimeout(() => this.send(), 150); }

  async send() {
    const values = Object.fromEntries(this.inputs.map((input) => [input.name, Number(input.value)]));
    values.paused = this.isPaused;
    const answer = await sidewire.ask("controls", values);
    this.problem.hidden = !answer.problem;
    this.problem.textContent = answer.problem || "";
    this.sending = 0;
    if (answer.found) this.show(answer.found);
  }
};
