"use strict";
/* How a picture comes in: dropped anywhere on the page, chosen, or pasted; with how much of it has come. */

sidewire.Intake = class {
  /* `limits` of the server; `came` is called with the server's answer and the file's name. */
  constructor(limits, came) {
    const byId = (id) => document.getElementById(id);
    this.limits = limits;
    this.came = came;
    this.node = byId("intake");
    this.input = byId("file");
    this.work = byId("coming");
    this.bar = byId("coming-bar");
    this.text = byId("coming-text");
    this.problem = byId("problem");
    byId("intake-note").textContent = "Or paste one, or choose a file: nearly any format, up to "
      + `${sidewire.uploading.size(limits.file_bytes)} and ${limits.side} × ${limits.side} pixels. One picture, no animation.`;
    byId("coming-stop").addEventListener("click", () => { if (this.request) this.request.abort(); else this.stop?.(); });
    this.input.addEventListener("change", () => { this.offer(this.input.files); this.input.value = ""; });
    addEventListener("paste", (event) => { if (event.clipboardData.files.length) { event.preventDefault(); this.offer(event.clipboardData.files); } });
    this.watchDrops();
  }

  watchDrops() {
    const mark = (on) => document.body.classList.toggle("dragging", on);
    addEventListener("dragover", (event) => { event.preventDefault(); mark(true); });
    addEventListener("dragleave", (event) => { if (!event.relatedTarget) mark(false); });
    addEventListener("drop", (event) => {
      event.preventDefault(); // or the browser would leave the page for the file
      mark(false);
      this.offer(event.dataTransfer.files);
    });
  }

  say(text) {
    this.problem.hidden = !text;
    this.problem.textContent = text;
  }

  /* A file that has arrived is read; `stop` gives it up. Null: no more. */
  reading(stop) {
    this.stop = stop;
    this.work.hidden = !stop && !this.request;
    if (!stop) return;
    this.bar.removeAttribute("value");
    this.text.textContent = "reading the picture";
  }

  offer(files) {
    if (!files.length) { this.say("What was dropped is no file: drop a picture's file, or paste the picture itself."); return; }
    const [file] = files;
    const unfit = sidewire.uploading.unfit(file, this.limits);
    this.say(unfit || (files.length > 1 ? `One picture at a time: the first of ${files.length} is taken.` : ""));
    if (!unfit) this.send(file);
  }

  send(file) {
    this.request?.abort();
    const request = this.request = new XMLHttpRequest(); // fetch does not say how much has been sent
    const over = () => { if (this.request === request) { this.request = null; this.work.hidden = true; } };
    this.work.hidden = false;
    this.bar.removeAttribute("value");
    this.text.textContent = "sending";
    request.upload.addEventListener("progress", ({ loaded, total }) => {
      this.bar.value = loaded / total;
      this.text.textContent = loaded < total ? `sending: ${Math.round(100 * loaded / total)} %` : "sent";
    });
    request.addEventListener("abort", over);
    request.addEventListener("error", () => { over(); this.say("The picture did not arrive: the server does not answer."); });
    request.addEventListener("load", () => {
      over();
      let told;
      try { told = JSON.parse(request.responseText); } catch { told = { problem: `the server answered ${request.status}` }; }
      if (request.status === 201) this.came(told, file.name); else this.say(`This file cannot be used: ${told.problem}.`);
    });
    request.open("POST", "upload/pictures");
    request.setRequestHeader("Content-Type", "application/octet-stream");
    request.send(file);
  }
};
