"use strict";
/* What all scripts of the page share: how elements are made, and how numbers are said. */

const sidewire = {};

sidewire.element = (tag, options = {}, ...children) => {
  const made = document.createElement(tag);
  const { className, text, ...attributes } = options;
  if (className) made.className = className;
  if (text !== undefined) made.textContent = text;
  for (const [name, value] of Object.entries(attributes)) made.setAttribute(name, value);
  made.append(...children);
  return made;
};

/* Put other buttons in place; the one that has the focus passes it to its successor. */
sidewire.replaceButtons = (row, made) => {
  const focused = [...row.children].indexOf(document.activeElement);
  row.replaceChildren(...made);
  if (focused >= 0) row.children[focused]?.focus();
};

sidewire.numbers = {
  bytes: (count) => count < 20000 ? `${count.toLocaleString("en")} B` : `${Math.round(count / 1000).toLocaleString("en")} kB`,
  bpp: (bytes, post) => `${(8 * bytes / (post.width * post.height)).toFixed(bytes < 400 ? 4 : 3)} bpp`,
  seconds: (ms) => ms < 950 ? `${(ms / 1000).toFixed(2)} s` : `${(ms / 1000).toFixed(1)} s`,
  share: (value) => `${Math.round(100 * value)} %`,
};

/* What the server can do now; nothing while it is away. */
sidewire.can = { overlays: false, unguarded: false, text: false, asked: false };
