"use strict";
/* The upload page: a picture comes in, is described, compressed as asked for, and shown beside what came of it. */

(() => {
  const limits = JSON.parse(document.getElementById("data").textContent);
  const byId = (id) => document.getElementById(id);
  const form = new sidewire.OrderForm(byId("order"), limits, (order) => ask(order));
  const results = new sidewire.Results(byId("results"), { look, compare, remove });
  const intake = new sidewire.Intake(limits, came);
  let upload = null; // as the server has it; null for none
  let stem = "picture"; // of the files that are saved
  let connection = null;
  let coming = null; // the events of a picture that is being read
  let stage = null;
  let left = "original"; // what lies on the left: "original" or a result's id
  let right = ""; // a result's id; empty for the newest that is done
  let first = false; // the picture waits for its first result, as the form stands
  let away = false;

  function showPhase() {
    const busy = coming || upload?.results.some((one) => one.phase === "waiting" || one.phase === "running");
    const phase = away ? "away" : !form.codecs.size ? "starting" : busy ? "busy" : "ready";
    const pill = byId("phase");
    const text = sidewire.uploading.phases[phase];
    if (pill.textContent === text) return;
    pill.dataset.phase = phase;
    pill.textContent = text;
  }

  const showAlive = (alive) => {
    away = !alive;
    byId("away").hidden = alive;
    showPhase();
  };

  /* A file has arrived and is read. The picture that is shown stays until there is another. */
  function came({ id }, name) {
    coming?.close();
    const over = () => { coming.close(); coming = null; intake.reading(null); showPhase(); };
    const give_up = () => { over(); sidewire.ask(`upload/pictures/${id}`, undefined, "DELETE"); };
    coming = new sidewire.Connection(`upload/pictures/${id}/events`, {
      upload: ({ phase, problem }) => {
        if (phase === "failed") { give_up(); intake.say(`This file cannot be used: ${problem}.`); }
        if (phase !== "ready") return;
        over();
        leave();
        stem = name.replace(/\.[^.]*$/, "") || "picture";
        first = true;
        follow(id);
      },
      gone: ({ problem }) => { over(); intake.say(problem); },
    }, showAlive);
    intake.reading(give_up);
    showPhase();
  }

  function follow(id) {
    history.replaceState(null, "", `#${id}`); // a reload shows it again
    connection = new sidewire.Connection(`upload/pictures/${id}/events`, { upload: show, gone }, showAlive);
  }

  /* Forget the picture that is shown; the server drops it after a while, or at once where it is replaced. */
  function leave() {
    connection?.close();
    if (upload) sidewire.ask(`upload/pictures/${upload.id}`, undefined, "DELETE");
    form.forget(Boolean(upload));
    upload = connection = stage = null;
    left = "original";
    right = "";
    results.clear();
    byId("shown").hidden = true;
    history.replaceState(null, "", location.pathname);
    showPhase();
  }

  function gone({ problem }) {
    upload = null;
    leave();
    intake.say(`${problem[0].toUpperCase()}${problem.slice(1)}.`);
  }

  function show(told) {
    if (told.phase !== "ready") return; // of a page that was loaded again
    upload = told;
    showPhase();
    describe();
    if (first && form.codecs.size && upload.caption.phase !== "waiting") { first = false; ask(form.order); }
    byId("shown").hidden = false;
    byId("shown-title").textContent = stem;
    byId("shown-facts").textContent = `${upload.width} × ${upload.height}, ${upload.format}, ${upload.file_bytes.toLocaleString("en")} bytes`;
    showPictures();
  }

  function describe() {
    const { phase, text, problem } = upload.caption;
    if (phase === "done") form.describe(text);
    form.note({ waiting: "A captioner looks at the picture…", failed: `No caption by itself: ${problem}.`,
      done: text ? "As a captioner sees it; write another where you know better." : "A captioner saw nothing to say." }[phase] || "May be left empty.");
  }

  const done = () => upload.results.filter((one) => one.phase === "done");
  const fileOf = (name) => `upload/pictures/${upload.id}/${name}`;
  const sizeOf = (result) => `${sidewire.uploading.name(result.codec)}, ${sidewire.numbers.bytes(result.made.bytes)}`;

  function showPictures() {
    const ready = done();
    if (!stage) {
      stage = new sidewire.Stage(upload.width, upload.height);
      byId("stage").replaceChildren(stage.node);
    }
    const original = { picture: fileOf(upload.original), tag: "original" };
    const view = (result) => ({ picture: fileOf(result.picture), tag: sizeOf(result) });
    const shown = ready.find((one) => one.id === right) || ready.at(-1);
    const other = ready.find((one) => one.id === left && one !== shown);
    const alt = upload.results.at(-1)?.caption || stem;
    stage.show(other ? view(other) : original, shown ? view(shown) : null, alt, false);
    const choices = [["original", "Original"], ...ready.filter((one) => one !== shown).map((one) => [one.id, sizeOf(one)])];
    sidewire.replaceButtons(byId("views"), !shown ? [] : choices.map(([id, text]) => {
      const button = sidewire.element("button", { type: "button", text, "aria-pressed": String(id === (other?.id || "original")) });
      button.addEventListener("click", () => { left = id; showPictures(); });
      return button;
    }));
    results.show(upload, form.codecs, stem, shown?.id);
  }

  async function ask(order) {
    if (!upload) { form.say("There is no picture yet: drop, paste or choose one first."); return; }
    const answer = await sidewire.ask(`upload/pictures/${upload.id}/results`, order);
    form.say(answer.problem || "");
    if (answer.found) right = ""; // the newest, when it is there
  }

  function look(result) { right = result.id; showPictures(); }

  async function compare(result) {
    for (const name of ["jpeg", "webp", "avif"]) {
      if (form.codecs.has(`baseline/${name}`)) await ask({ codec: `baseline/${name}`, bytes: result.made.bytes });
    }
    right = result.id; // stays where it is: the others can be put on the left
  }

  async function remove(result) {
    const answer = await sidewire.ask(`upload/pictures/${upload.id}/results/${result.id}`, undefined, "DELETE");
    form.say(answer.problem || "");
  }

  async function start() {
    const answer = await sidewire.ask("upload/codecs", undefined, "GET");
    if (answer.problem) { form.say(answer.problem); setTimeout(start, sidewire.Connection.RETRY_MS); return; }
    form.say("");
    form.offer(answer.found);
    if (upload) show(upload);
    showPhase();
  }

  byId("another").addEventListener("click", () => { leave(); byId("file").focus(); });
  if (/^#[0-9a-f]{32}$/.test(location.hash)) follow(location.hash.slice(1));
  start();
})();
