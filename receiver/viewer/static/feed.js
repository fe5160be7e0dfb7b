"use strict";
/* The feed: newest first. It holds still while somebody reads; what comes then waits behind a button. */

sidewire.Feed = class {
  /* `keep` cards at most, null for all; `changed` is called when there are others. */
  constructor(node, empty, button, keep, changed) {
    this.node = node;
    this.empty = empty;
    this.button = button;
    this.keep = keep;
    this.changed = changed;
    this.cards = new Map();
    this.waiting = new Map();
    button.addEventListener("click", () => this.catchUp());
    addEventListener("scroll", () => { if (!this.reading) this.flush(); }, { passive: true });
  }

  /* Scrolled away from the top, or looking into a post. */
  get reading() {
    return scrollY > 80 || [...this.cards.values()].some((card) => card.opened);
  }

  show(posts) {
    for (const post of posts) {
      const card = this.cards.get(post.id);
      if (card) card.update(post); else this.waiting.set(post.id, post);
    }
    if (!this.reading) this.flush();
    this.say();
    this.changed();
  }

  flush() {
    for (const post of this.waiting.values()) {
      const card = new sidewire.Card(post);
      this.cards.set(post.id, card);
      this.node.prepend(card.node);
    }
    this.waiting.clear();
    this.empty.hidden = this.cards.size > 0;
    while (this.keep && this.cards.size > this.keep) {
      const [id, card] = this.cards.entries().next().value;
      card.node.remove();
      this.cards.delete(id);
    }
    this.say();
  }

  say() {
    while (this.keep && this.waiting.size > this.keep) this.waiting.delete(this.waiting.keys().next().value);
    const count = this.waiting.size;
    this.button.hidden = !count;
    this.button.textContent = `${count}${count === this.keep ? " or more" : ""} new post${count === 1 ? "" : "s"}`;
  }

  /* The reader is done: close what is open, and show the newest. At once: what comes in above a page that is
     on its way would keep it there. */
  catchUp() {
    for (const card of this.cards.values()) if (card.opened) card.close();
    scrollTo({ top: 0, behavior: "instant" });
    this.flush();
    this.node.focus({ preventScroll: true });
    this.changed();
  }

  /* Another run's posts will come: these are over. */
  clear() {
    for (const card of this.cards.values()) card.node.remove();
    this.cards.clear();
    this.waiting.clear();
    this.empty.hidden = false;
    this.say();
  }

  redraw() { for (const card of this.cards.values()) card.update(card.post); }

  get posts() { return [...this.cards.values()].map((card) => card.post); }
};
