"use strict";
/* The page: posts, counters and controls; live from server-sent events, or from the data of a report. */

(() => {
  const data = JSON.parse(document.getElementById("data").textContent);
  const live = document.body.dataset.mode === "live";
  const byId = (id) => document.getElementById(id);
  const counters = new sidewire.Counters();
  const feed = new sidewire.Feed(byId("timeline"), byId("empty"), byId("newer"), data.keep, () => counters.showWorth(feed.posts));
  const controls = live ? new sidewire.Controls(byId("controls"), byId("problem"), byId("real-rate")) : null;
  let run = null;
  let last = null;

  const showPhase = (phase) => {
    const pill = byId("phase");
    const text = sidewire.wording.phases[phase];
    if (pill.textContent === text) return;
    pill.dataset.phase = phase;
    pill.textContent = text;
  };

  const showCan = (abilities, alive) => {
    const asked = live && alive;
    const can = { asked, overlays: asked && abilities.overlays, unguarded: asked && abilities.guard, text: abilities.text };
    if (JSON.stringify(can) === JSON.stringify(sidewire.can)) return;
    sidewire.can = can;
    feed.redraw();
  };

  const showState = (state) => {
    if (run !== null && state.run !== run) feed.clear();
    run = state.run;
    last = state;
    counters.showState(state);
    showCan(state.abilities, true);
    showPhase(!live ? "report" : state.phase === "running" && state.controls.paused ? "paused" : state.phase);
    if (!controls) return;
    controls.show(state.controls);
    controls.showRate(state.controls.rate, state.real_rate);
  };

  const showAlive = (alive) => {
    byId("away").hidden = alive;
    controls.alive(alive);
    if (last) showCan(last.abilities, alive);
    if (!alive) showPhase("away");
  };

  const desk = byId("desk");
  const narrow = matchMedia("(max-width: 60rem)");
  const fold = () => { desk.open = !narrow.matches; };
  narrow.addEventListener("change", fold);
  fold();

  if (live) {
    new sidewire.Connection("events", { state: showState, posts: (posts) => feed.show(posts) }, showAlive);
  } else {
    showState(data.state);
    feed.show(data.posts);
  }
})();
