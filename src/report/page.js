"use strict";
// Sections: whoever follows a link to one that is folded sees it, paper sees all, and the contents say
// where the reader is.
(() => {
  const unfold = () => {
    const section = document.getElementById(location.hash.slice(1));
    const folded = section && section.querySelector(":scope > details");
    if (!folded || folded.open) return;
    folded.open = true;
    section.scrollIntoView();
  };
  addEventListener("hashchange", unfold);
  unfold();

  let folded = [];
  addEventListener("beforeprint", () => {
    folded = [...document.querySelectorAll("main details:not([open])")];
    for (const details of folded) details.open = true;
  });
  addEventListener("afterprint", () => {
    for (const details of folded) details.open = false;
  });

  const links = new Map();
  for (const link of document.querySelectorAll("nav a")) links.set(link.hash.slice(1), link);
  let here;
  const watch = new IntersectionObserver((seen) => {
    const now = seen.filter((one) => one.isIntersecting).map((one) => links.get(one.target.id))[0];
    if (!now || now === here) return;
    here?.removeAttribute("aria-current");
    now.setAttribute("aria-current", "true");
    here = now;
  }, { rootMargin: "0px 0px -75% 0px" });
  for (const id of links.keys()) watch.observe(document.getElementById(id));
})();
