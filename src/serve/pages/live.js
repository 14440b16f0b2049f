"use strict";
// Keeps the line on top of the report true while the run goes on.
const began = document.getElementById("live");
const timer = setInterval(async () => {
  const live = document.getElementById("live");
  if (!live || "finished" in live.dataset) return clearInterval(timer);
  if (document.hidden) return;
  try {
    const response = await fetch("/status");
    if (!response.ok) return;
    const open = live.querySelector("details")?.open;
    const fresh = new DOMParser().parseFromString(await response.text(), "text/html").getElementById("live");
    if (!fresh || fresh.outerHTML === live.dataset.shown) return;
    fresh.dataset.shown = fresh.outerHTML;
    if (fresh.dataset.done !== began.dataset.done) {
      fresh.querySelector("a").textContent = "Reload the report: it has more to say now";
    }
    const details = fresh.querySelector("details");
    if (details) details.open = open;
    live.replaceWith(fresh);
  } catch {
    // The server is gone, or will be back.
  }
}, 3000);
