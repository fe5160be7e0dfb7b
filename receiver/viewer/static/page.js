"use strict";
/* The page: posts, counters and controls; live from server-sent events, or from the data of a report. */

(() => {
  const data = JSON.parse(document.getElementById("data").textContent);
  const live = document.body.dataset.mode === "live";
  const timeline = document.getElementById("timeline");
  const cards = new Map();
  const byId = (id) => document.getElementById(id);
  sidewire.can = { overlays: false, unguarded: false, text: false };

  /* Ask the server for something of a post; a report has it already, or not at all. */
  sidewire.ask = async (path, use) => {
    if (!live) return;
    const answer = await fetch(path, { method: "POST" });
    if (answer.ok) use(await answer.json());
  };

  const showPosts = (posts) => {
    for (const post of posts) {
      const card = cards.get(post.id);
      if (card) { card.update(post); continue; }
      const made = new sidewire.Card(post);
      cards.set(post.id, made);
      timeline.prepend(made.node);
      byId("empty").hidden = true;
    }
    while (data.keep && cards.size > data.keep) {
      const [id, card] = cards.entries().next().value;
      card.node.remove();
      cards.delete(id);
    }
    showWorth();
  };

  const mean = (values) => {
    const known = values.filter((value) => value != null);
    return known.length ? known.reduce((sum, value) => sum + value, 0) / known.length : null;
  };
  const put = (id, value, shown) => { byId(id).textContent = value == null ? "–" : shown(value); };

  const showWorth = () => {
    const both = [...cards.values()].map((card) => card.post).filter((post) => post.first && post.refined);
    const of = (side, name) => mean(both.filter((post) => post.first[name] != null && post.refined[name] != null).map((post) => post[side][name]));
    const fixed = (digits, unit = "") => (value) => value.toFixed(digits) + unit;
    put("worth-count", both.length, String);
    put("psnr-first", of("first", "psnr"), fixed(2, " dB"));
    put("psnr-refined", of("refined", "psnr"), fixed(2, " dB"));
    put("ssim-first", of("first", "ms_ssim"), fixed(4));
    put("ssim-refined", of("refined", "ms_ssim"), fixed(4));
    put("ms-first", mean(both.map((post) => post.first.after_ms)), sidewire.numbers.ms);
    put("ms-refined", mean(both.map((post) => post.refined.after_ms)), sidewire.numbers.ms);
    put("bpp-picture", mean(both.map((post) => 8 * post.picture_bytes / (post.width * post.height))), fixed(3, " bpp"));
    put("bpp-words", mean(both.map((post) => 8 * post.caption_bytes / (post.width * post.height))), (value) => `+${value.toFixed(4)} bpp`);
  };

  const showState = (state) => {
    const { facts, sending, abilities } = state;
    const counts = { sent: sending.frames, decoded: facts.decoded, joined: facts.joined, lost: state.lost,
      duplicated: facts.duplicated, way: Math.max(0, sending.frames - facts.frames - state.lost) };
    for (const [name, value] of Object.entries(counts)) {
      byId(`count-${name}`).textContent = value.toLocaleString("en");
      const wrong = value > 0 && (name === "lost" || name === "duplicated");
      byId(`count-${name}`).parentElement.classList.toggle("bad", wrong);
    }
    byId("dispositions").replaceChildren(...Object.entries(facts.dispositions).flatMap(([name, count]) => [
      sidewire.element("dt", { text: name }), sidewire.element("dd", { text: count.toLocaleString("en") })]));
    const can = { overlays: live && abilities.overlays, unguarded: live && abilities.guard, text: abilities.text };
    const other = JSON.stringify(can) !== JSON.stringify(sidewire.can);
    sidewire.can = can;
    if (other) for (const card of cards.values()) card.update(card.post);
    const phase = live ? (state.phase === "running" && state.controls.paused ? "paused" : state.phase) : "report";
    showPhase(phase, { running: "live", over: "over" }[phase] || phase);
    if (live) showControls(state.controls);
  };

  const showPhase = (phase, text) => {
    const pill = byId("phase");
    if (pill.dataset.phase === phase && pill.textContent === text) return;
    pill.dataset.phase = phase;
    pill.textContent = text;
  };

  // Controls: what is moved here is sent a moment later; what others move is shown.
  let sending = 0;
  const inputs = live ? [...byId("controls").querySelectorAll("input")] : [];
  const label = (input) => {
    const value = Number(input.value);
    const shown = "share" in input.dataset ? `${Math.round(100 * value)} %` : `${value}${input.dataset.unit}`;
    input.form.querySelector(`output[for=${input.id}]`).textContent = shown;
    input.setAttribute("aria-valuetext", shown);
  };
  const showControls = (controls) => {
    if (sending) return;
    for (const input of inputs) {
      if (Number(input.value) !== controls[input.name]) input.value = String(controls[input.name]);
      label(input);
    }
    byId("paused").setAttribute("aria-pressed", String(controls.paused));
    byId("paused").textContent = controls.paused ? "Go on" : "Pause";
  };
  const sendControls = async () => {
    const values = Object.fromEntries(inputs.map((input) => [input.name, Number(input.value)]));
    values.paused = byId("paused").getAttribute("aria-pressed") === "true";
    const answer = await fetch("controls", { method: "POST", headers: { "Content-Type": "application/json" }, body: JSON.stringify(values) });
    const told = await answer.json();
    byId("problem").hidden = answer.ok;
    byId("problem").textContent = answer.ok ? "" : told.problem;
    sending = 0;
    if (answer.ok) showControls(told);
  };
  const soon = () => { clearTimeout(sending); sending = setTimeout(sendControls, 150); };
  for (const input of inputs) input.addEventListener("input", () => { label(input); soon(); });
  if (live) {
    byId("paused").addEventListener("click", () => {
      byId("paused").setAttribute("aria-pressed", String(byId("paused").getAttribute("aria-pressed") !== "true"));
      soon();
    });
    if (matchMedia("(max-width: 60rem)").matches) byId("controls-card").open = false;
  }

  if (!live) {
    showState(data.state);
    showPosts(data.posts);
    return;
  }
  const events = new EventSource("events");
  events.addEventListener("posts", (event) => showPosts(JSON.parse(event.data)));
  events.addEventListener("state", (event) => showState(JSON.parse(event.data)));
  events.addEventListener("error", () => showPhase("away", "not connected"));
})();
