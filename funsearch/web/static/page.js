// The page works without this: it keeps a running run's course up to date and loads diffs where they are opened.
"use strict";

const PAUSE = 3000;

async function fetched(address) {
  const answer = await fetch(address, { headers: { Accept: "text/html" } });
  if (!answer.ok) throw new Error(`${address}: ${answer.status}`);
  return answer.text();
}

function replace(place, html) {
  const open = [...place.querySelectorAll("details[open][id]")].map((one) => one.id);
  const focused = place.contains(document.activeElement) ? document.activeElement.closest("details[id]")?.id : null;
  place.innerHTML = html;
  for (const id of open) document.getElementById(id)?.setAttribute("open", "");
  if (focused) document.getElementById(focused)?.querySelector("summary")?.focus();
}

async function keepUp(place) {
  while (["starting", "running", "waiting"].includes(place.querySelector("[data-state]")?.dataset.state)) {
    await new Promise((resolve) => setTimeout(resolve, PAUSE));
    if (document.hidden) continue;
    try {
      replace(place, await fetched(place.dataset.live));
    } catch {
      // The server is away for a moment, or for good: what is shown stays.
    }
  }
}

document.querySelectorAll("[data-live]").forEach(keepUp);

document.addEventListener(
  "toggle",
  async (event) => {
    const place = event.target;
    if (!place.open || !place.dataset.src) return;
    const address = place.dataset.src;
    delete place.dataset.src;
    try {
      const holder = document.createElement("div");
      holder.innerHTML = await fetched(address);
      place.querySelector("p")?.replaceWith(holder);
    } catch {
      // The link to the diff's own page is still there.
    }
  },
  true,
);
