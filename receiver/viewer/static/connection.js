"use strict";
/* The server's events, for as long as the page is open: a connection that is lost is looked for again. */

/* Ask the server for something: {found} or {problem}, never an exception. */
sidewire.ask = async (path, values, method = "POST") => {
  const request = { method };
  if (values) Object.assign(request, { headers: { "Content-Type": "application/json" }, body: JSON.stringify(values) });
  try {
    const answer = await fetch(path, request);
    const told = await answer.json();
    return answer.ok ? { found: told } : { problem: `This cannot be had: ${told.problem}` };
  } catch {
    return { problem: "The server does not answer." };
  }
};

sidewire.Connection = class {
  /* `take` has a function for each kind of event; `alive` is called with whether the server is there. */
  constructor(path, take, alive) {
    this.path = path;
    this.take = take;
    this.alive = alive;
    this.open();
  }

  open() {
    this.events = new EventSource(this.path);
    for (const [name, use] of Object.entries(this.take)) {
      this.events.addEventListener(name, (event) => { this.alive(true); use(JSON.parse(event.data)); });
    }
    this.events.addEventListener("error", () => {
      this.alive(false);
      // A browser gives up where something else answers in the server's place.
      if (this.events.readyState === EventSource.CLOSED) this.again = setTimeout(() => this.open(), sidewire.Connection.RETRY_MS);
    });
  }

  /* Nobody wants to know any more. */
  close() {
    clearTimeout(this.again);
    this.events.close();
  }
};
sidewire.Connection.RETRY_MS = 2000;
