// The browser of judgments. What models wrote becomes text nodes and nothing else.
(async () => {
  const source = document.getElementById("judgments");
  if (!source) return;
  // First the page, then its largest part.
  await new Promise((then) => setTimeout(then));
  const data = await unpacked(source);
  const { texts, models, prompts, answers, comparisons } = data;
  const browser = document.getElementById("browser");
  const form = browser.querySelector("form");
  const list = document.getElementById("list");
  const shown = document.getElementById("item");
  const found = document.getElementById("found");

  async function unpacked(element) {
    if (element.type === "application/json") return JSON.parse(element.textContent);
    const packed = atob(element.textContent);
    const bytes = new Uint8Array(packed.length);
    for (let i = 0; i < packed.length; i++) bytes[i] = packed.charCodeAt(i);
    const stream = new Blob([bytes]).stream().pipeThrough(new DecompressionStream("gzip"));
    return new Response(stream).json();
  }

  // One entry for each prompt of each comparison.
  const all = [];
  comparisons.forEach((comparison, number) => {
    for (const item of comparison.items) all.push(entry(number, comparison, item));
  });

  function entry(comparison, { candidate, baseline }, { prompt, score, looks }) {
    const [ours, theirs] = [answers[candidate][prompt], answers[baseline][prompt]];
    const outcome = score === null ? "missing" : score > 0.5 ? "win" : score < 0.5 ? "loss" : "tie";
    const verdicts = looks.map((look) => look.verdict);
    const orders = verdicts.includes(null) ? "unreadable"
      : verdicts.length < 2 ? "" : verdicts[0] === verdicts[1] ? "agree" : "disagree";
    const ratio = (ours.characters + 1) / (theirs.characters + 1);
    const length = ratio > 1.1 ? "longer" : ratio < 1 / 1.1 ? "shorter" : "alike";
    const key = ["#item", models[candidate], models[baseline], prompts[prompt].id]
      .map((part, place) => place ? encodeURIComponent(part) : part).join("/");
    return { comparison, candidate, baseline, prompt, ours, theirs, looks, outcome, orders, length, key };
  }

  // Filters. By name, since a form has a `dataset` of its own.
  const field = (name) => form.elements.namedItem(name);
  const title = ({ candidate, baseline }) => `${models[candidate]} against ${models[baseline]}`;
  comparisons.forEach((one, number) => field("comparison").append(new Option(title(one), number)));
  for (const name of [...new Set(prompts.map((prompt) => prompt.dataset))].sort()) {
    field("dataset").append(new Option(name, name));
  }
  let kept = all;
  let chosen = null;
  let marks = true;

  function filter() {
    const want = (name) => field(name).value;
    const comparison = want("comparison"), dataset = want("dataset"), outcome = want("outcome");
    const orders = want("orders"), length = want("length"), search = want("search").trim();
    const hits = search && searched(search);
    const found = ({ prompt, ours, theirs, looks }) => hits[prompts[prompt].text] || hits[ours.text]
      || hits[theirs.text] || looks.some((look) => hits[look.text]);
    kept = all.filter((one) => (!comparison || one.comparison === Number(comparison))
      && (!dataset || prompts[one.prompt].dataset === dataset)
      && (!outcome || one.outcome === outcome)
      && (!orders || one.orders === orders)
      && (!length || one.length === length)
      && (!hits || found(one)));
    count();
    list.scrollTop = 0;
    if (kept.includes(chosen)) reveal(); else choose(kept[0] ?? null, false);
    draw();
  }

  // Whether each text contains the words: every text once, however many answers repeat it.
  function searched(words) {
    const pattern = new RegExp(words.replace(/[.*+?^${}()|[\]\\]/g, "\\$&"), "iu");
    return texts.map((text) => pattern.test(text));
  }

  function count() {
    const total = all.length.toLocaleString("en");
    found.textContent = kept.length === all.length ? `${total} pairs of answers.`
      : `${kept.length.toLocaleString("en")} of ${total} pairs of answers.`;
  }

  // The list: only the rows in sight exist.
  const rows = element("div", { role: "presentation" });
  list.append(rows);

  function height() {
    return parseFloat(getComputedStyle(list).getPropertyValue("--row"))
      * parseFloat(getComputedStyle(document.documentElement).fontSize);
  }

  function draw() {
    const row = height();
    rows.style.height = `${kept.length * row}px`;
    const first = Math.max(0, Math.floor(list.scrollTop / row) - 5);
    const last = Math.min(kept.length, Math.ceil((list.scrollTop + list.clientHeight) / row) + 5);
    const drawn = [];
    for (let place = first; place < last; place++) drawn.push(option(kept[place], place, row));
    rows.replaceChildren(...drawn);
    const active = drawn.length && kept.indexOf(chosen);
    if (active >= first && active < last && kept.length) {
      list.setAttribute("aria-activedescendant", `row-${active}`);
    } else {
      list.removeAttribute("aria-activedescendant");
    }
  }

  function option(one, place, row) {
    const asked = texts[prompts[one.prompt].text].slice(0, 200);
    const about = element("span", { class: "about" }, chip(one.outcome), ` ${title(one)}`,
      one.orders === "disagree" ? " · orders disagree" : "");
    const made = element("div", {
      role: "option", id: `row-${place}`, "aria-selected": String(one === chosen),
      "aria-setsize": kept.length, "aria-posinset": place + 1,
    }, element("span", { class: "beginning", dir: "auto" }, asked), about);
    made.style.transform = `translateY(${place * row}px)`;
    made.addEventListener("click", () => choose(one, true));
    return made;
  }

  function reveal() {
    const row = height(), top = kept.indexOf(chosen) * row;
    if (top < 0) return;
    rows.style.height = `${kept.length * row}px`;
    if (top < list.scrollTop) list.scrollTop = top;
    else if (top + row > list.scrollTop + list.clientHeight) {
      list.scrollTop = top + row - list.clientHeight;
    }
  }

  function choose(one, inAddress) {
    chosen = one;
    if (one && inAddress) {
      // Some mail readers show pages where this is forbidden.
      try { history.replaceState(null, "", one.key); } catch {}
    }
    shown.replaceChildren(...(one ? detail(one) : [element("p", {}, "Nothing fits these filters.")]));
    shown.scrollTop = 0;
    reveal();
    draw();
  }

  function step(by) {
    if (!kept.length) return;
    const place = kept.indexOf(chosen) + by;
    choose(kept[Math.min(Math.max(place, 0), kept.length - 1)], true);
  }

  // One judgment.
  function detail(one) {
    const [ours, theirs] = [texts[one.ours.text], texts[one.theirs.text]];
    const changes = differences(ours, theirs);
    const move = (by, name) => {
      const button = element("button", { type: "button" }, name);
      button.addEventListener("click", () => step(by));
      return button;
    };
    const { id, dataset, text } = prompts[one.prompt];
    return [
      element("header", {},
        element("h3", {}, chip(one.outcome), ` ${title(one)}`),
        element("span", { class: "moves" }, move(-1, "Previous"), move(1, "Next"),
          element("a", { href: one.key }, "Link"))),
      element("p", { class: "label" }, `Prompt · ${dataset} · ${id}`),
      said(text),
      marking(changes, one),
      element("div", { class: "texts" },
        answer(one.candidate, one.ours, marks && changes.marked ? changes.ours : [ours]),
        answer(one.baseline, one.theirs, marks && changes.marked ? changes.theirs : [theirs])),
      element("h4", {}, "What the judge said"),
      ...judged(one),
      ...others(one),
    ];
  }

  function said(text) {
    return element("div", { class: "said", dir: "auto", tabindex: 0 }, texts[text]);
  }

  function answer(model, { characters, cut }, parts) {
    const about = `${characters.toLocaleString("en")} characters${cut ? ` · ${cut}` : ""}`;
    return element("article", { class: "text" },
      element("header", {}, element("strong", {}, models[model]),
        element("span", { class: "label" }, about)),
      element("div", { class: "said", dir: "auto", tabindex: 0 }, ...parts));
  }

  function marking(changes, one) {
    if (!changes.marked) return element("p", { class: "label" }, changes.why);
    const box = element("input", { type: "checkbox" });
    box.checked = marks;
    box.addEventListener("change", () => { marks = box.checked; choose(one, false); });
    return element("p", { class: "label" }, element("label", {}, box, " Mark what only one answer says"));
  }

  function judged(one) {
    if (!one.looks.length) return [element("p", {}, "Nothing yet.")];
    const looks = one.looks.map(({ first, verdict, preference, text }) => {
      const order = first === "none" ? "" : ` with ${models[one[first]]} shown first`;
      const leaning = preference === undefined ? "" : ` · preference ${preference}`;
      return element("li", {},
        element("p", {}, chip(verdict ?? "missing"), `${verdict ? "" : " (no verdict could be read)"}${order}`,
          element("span", { class: "label" }, leaning)),
        texts[text] ? said(text) : element("p", { class: "label" }, "No words: it was not asked."));
    });
    const disagree = one.orders === "disagree"
      ? [element("p", { class: "warning" }, "The verdict changes with the order of the answers.")] : [];
    return [...disagree, element("ul", { class: "looks" }, ...looks)];
  }

  // The same prompt in other comparisons.
  function others(one) {
    const same = all.filter((other) => other !== one && other.prompt === one.prompt);
    if (!same.length) return [];
    const links = same.map((other) => element("li", {},
      chip(other.outcome), " ", element("a", { href: other.key }, title(other))));
    return [element("h4", {}, "This prompt in other comparisons"),
      element("ul", { class: "others" }, ...links)];
  }

  // What each of two texts says that the other does not, by the longest common subsequence of words.
  function differences(ours, theirs) {
    const none = (why) => ({ marked: false, why });
    if (ours === theirs) return none("Both answers are the same.");
    const parts = (text) => text.match(/\s+|[\p{L}\p{M}\p{N}_]+|[^\s\p{L}\p{M}\p{N}_]/gu) ?? [];
    const words = (all) => all.flatMap((part, place) => /\S/.test(part) ? [place] : []);
    const [a, b] = [parts(ours), parts(theirs)];
    const [x, y] = [words(a), words(b)];
    // A table larger than this would keep the reader waiting.
    if (x.length * y.length > 4e6) return none("These answers are too long to mark their differences.");
    const width = y.length + 1;
    const common = new Uint16Array((x.length + 1) * width);
    for (let i = x.length - 1; i >= 0; i--) {
      for (let j = y.length - 1; j >= 0; j--) {
        const here = i * width + j;
        common[here] = a[x[i]] === b[y[j]] ? common[here + width + 1] + 1
          : Math.max(common[here + width], common[here + 1]);
      }
    }
    if (common[0] * 2 < 0.4 * (x.length + y.length)) {
      return none("These answers have little in common, so differences are not marked.");
    }
    const [onlyA, onlyB] = [new Set(x), new Set(y)];
    for (let i = 0, j = 0; i < x.length && j < y.length;) {
      const here = i * width + j;
      if (a[x[i]] === b[y[j]]) { onlyA.delete(x[i++]); onlyB.delete(y[j++]); }
      else if (common[here + width] >= common[here + 1]) i++;
      else j++;
    }
    return { marked: true, ours: marked(a, onlyA), theirs: marked(b, onlyB) };
  }

  // Runs of marked words, with the white space between them, and the rest as plain text.
  function marked(parts, only) {
    const made = [];
    let run = "", inMark = false;
    const flush = () => { if (run) made.push(inMark ? element("mark", {}, run) : run); run = ""; };
    parts.forEach((part, place) => {
      const mark = only.has(place) || (inMark && /^\s/.test(part) && only.has(place + 1));
      if (mark !== inMark) { flush(); inMark = mark; }
      run += part;
    });
    flush();
    return made;
  }

  function chip(outcome) {
    return element("span", { class: `chip ${outcome}` }, outcome);
  }

  function element(name, attributes, ...children) {
    const made = document.createElement(name);
    for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
    made.append(...children);
    return made;
  }

  // A link to one item.
  function follow() {
    if (!location.hash.startsWith("#item/")) return false;
    const one = all.find((other) => other.key === location.hash);
    if (!one) return false;
    if (!kept.includes(one)) { form.reset(); kept = all; count(); }
    browser.closest("details").open = true;
    choose(one, false);
    browser.scrollIntoView();
    return true;
  }

  let waiting;
  form.addEventListener("input", (event) => {
    clearTimeout(waiting);
    waiting = setTimeout(filter, event.target.name === "search" ? 200 : 0);
  });
  form.addEventListener("submit", (event) => event.preventDefault());
  list.addEventListener("scroll", draw, { passive: true });
  addEventListener("resize", draw);
  addEventListener("hashchange", follow);
  list.addEventListener("keydown", (event) => {
    const page = Math.max(1, Math.floor(list.clientHeight / height()) - 1);
    const by = { ArrowDown: 1, ArrowUp: -1, PageDown: page, PageUp: -page, Home: -Infinity, End: Infinity }[event.key];
    if (event.key === "Enter") shown.focus();
    else if (by) step(by);
    else return;
    event.preventDefault();
  });
  browser.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey || event.target.closest("input, select")) return;
    if (event.key === "j") step(1);
    else if (event.key === "k") step(-1);
    else if (event.key === "/") field("search").focus();
    else return;
    event.preventDefault();
  });

  browser.hidden = false;
  count();
  if (!follow()) choose(kept[0] ?? null, false);
  browser.dataset.ready = "";
})();
