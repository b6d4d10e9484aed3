// The page works without this script, which updates the progress of a running run and loads diffs when they are opened.
"use strict";

const ACTIVE_STATES = ["starting", "running", "waiting"];
const POLL_INTERVAL = 3000; // milliseconds

async function fetchHtml(address) {
  const response = await fetch(address, { headers: { Accept: "text/html" } });
  if (!response.ok) throw new Error(`${address}: ${response.status}`);
  return response.text();
}

function replace(element, html) {
  const open = [...element.querySelectorAll("details[open][id]")].map((details) => details.id);
  const focused = element.contains(document.activeElement) ? document.activeElement.closest("details[id]")?.id : null;
  element.innerHTML = html;
  for (const id of open) document.getElementById(id)?.setAttribute("open", "");
  if (focused) document.getElementById(focused)?.querySelector("summary")?.focus();
}

async function poll(element) {
  while (ACTIVE_STATES.includes(element.querySelector("[data-state]")?.dataset.state)) {
    await new Promise((resolve) => setTimeout(resolve, POLL_INTERVAL));
    if (document.hidden) continue;
    try {
      replace(element, await fetchHtml(element.dataset.live));
    } catch {
      // The server is unreachable: keep what is shown and try again.
    }
  }
}

document.querySelectorAll("[data-live]").forEach(poll);

document.addEventListener(
  "toggle",
  async (event) => {
    const element = event.target;
    if (!element.open || !element.dataset.src) return;
    const address = element.dataset.src;
    delete element.dataset.src;
    try {
      const holder = document.createElement("div");
      holder.innerHTML = await fetchHtml(address);
      element.querySelector("p")?.replaceWith(holder);
    } catch {
      // The link to the diff's own page remains.
    }
  },
  true,
);
