"use strict";
// Opens the report of a run and the pages of `spyhop serve` in a headless Chromium, and clicks the human
// comparison through. Ends with 0 if nothing was wrong.
//
//     node pages.js SPYHOP RUN [SCREENSHOTS]
//
// RUN is the directory of a finished run without choices of people; they are made in it.
const { spawn } = require("node:child_process");
const fs = require("node:fs");
const path = require("node:path");
const { pathToFileURL } = require("node:url");
const { chromium } = require("playwright-core");

const AXE = fs.readFileSync(require.resolve("axe-core/axe.min.js"), "utf8");
const VIEWS = {
  light: { viewport: { width: 1280, height: 900 }, colorScheme: "light" },
  dark: { viewport: { width: 1280, height: 900 }, colorScheme: "dark" },
  phone: { viewport: { width: 390, height: 844 }, colorScheme: "light", hasTouch: true },
};
const ITEMS = 20;
const [spyhop, run, shots] = process.argv.slice(2);
if (!run) throw new Error("usage: node pages.js SPYHOP RUN [SCREENSHOTS]");

const faults = [];
const fault = (text) => { faults.push(text); console.error(`fault: ${text}`); };
const check = (holds, text) => { if (!holds) fault(text); };

async function main() {
  const browser = await chromium.launch({
    executablePath: process.env.CHROMIUM ?? "/usr/bin/chromium",
    args: process.getuid() === 0 ? ["--no-sandbox"] : [],
  });
  try {
    await report(browser, pathToFileURL(path.resolve(run, "report/index.html")).href, "report");
    await withoutScript(browser);
    await browse(browser);
    await rate(browser);
  } finally {
    await browser.close();
  }
  if (faults.length) throw new Error(`${faults.length} faults`);
  console.log("no fault");
}

/// A page that notes what should not happen on it.
async function open(browser, url, view, options = {}) {
  const context = await browser.newContext({ ...VIEWS[view], ...options });
  const page = await context.newPage();
  const home = new URL(url);
  page.on("console", (message) => {
    if (["error", "warning"].includes(message.type())) fault(`${url} (${view}) says ${message.text()}`);
  });
  page.on("pageerror", (error) => fault(`${url} (${view}): ${error}`));
  page.on("request", (request) => {
    const to = new URL(request.url());
    const inside = home.protocol === "file:" ? to.pathname === home.pathname : to.origin === home.origin;
    if (!inside && to.protocol !== "blob:") fault(`${url} (${view}) asks ${request.url()}`);
  });
  await page.goto(url);
  return page;
}

/// What holds for every page: nothing that shuts people out, nothing wider than the window.
async function looked(page, name) {
  // By way of the debugger, since the page's own policy lets no script in.
  await page.evaluate(AXE);
  const { violations } = await page.evaluate(() => axe.run(document, { resultTypes: ["violations"] }));
  for (const { id, impact, help, nodes } of violations) {
    if (["serious", "critical"].includes(impact)) fault(`${name}: ${id}: ${help}: ${nodes[0].html.slice(0, 200)}`);
  }
  const [wide, window] = await page.evaluate(() => [document.documentElement.scrollWidth, innerWidth]);
  check(wide <= window, `${name} is ${wide} pixels wide in a window of ${window}`);
  if (shots) await page.screenshot({ path: path.join(shots, `${name}.png`) });
}

/// A report in every view, and on paper.
async function report(browser, url, name) {
  for (const view of Object.keys(VIEWS)) {
    const page = await open(browser, url, view);
    await page.waitForSelector("#browser[data-ready]");
    await looked(page, `${name}-${view}`);
    await page.locator("#answers").scrollIntoViewIfNeeded();
    if (shots) {
      await page.locator("#answers").evaluate((section) => section.scrollIntoView());
      await page.screenshot({ path: path.join(shots, `${name}-${view}-answers.png`) });
      await page.screenshot({ path: path.join(shots, `${name}-${view}-whole.png`), fullPage: true });
    }
    await page.context().close();
  }
  const page = await open(browser, url, "light");
  await page.emulateMedia({ media: "print" });
  await page.locator("#provenance > details").evaluate((details) => { details.open = false; });
  check(!(await page.locator("nav").isVisible()), `${name} prints its contents`);
  check(!(await page.locator("#browser").isVisible()), `${name} prints the browser of judgments`);
  const paper = await page.pdf({ format: "A4" });
  check(paper.length > 10_000, `${name} prints nothing`);
  if (shots) fs.writeFileSync(path.join(shots, `${name}.pdf`), paper);
  await page.context().close();
}

async function withoutScript(browser) {
  const url = pathToFileURL(path.resolve(run, "report/index.html")).href;
  const page = await open(browser, url, "light", { javaScriptEnabled: false });
  check(await page.locator("#win-rates table").first().isVisible(), "no table without scripts");
  check(await page.locator("noscript").isVisible(), "nothing says that a part needs scripts");
  check(!(await page.locator("#browser").isVisible()), "an empty browser of judgments without scripts");
  await page.context().close();
}

/// The browser of judgments: filters, keys, links.
async function browse(browser) {
  const url = pathToFileURL(path.resolve(run, "report/index.html")).href;
  const page = await open(browser, url, "light");
  await page.waitForSelector("#browser[data-ready]");
  const found = () => page.locator("#found").innerText();
  const title = () => page.locator("#item h3").innerText();
  const all = await found();
  await page.selectOption("select[name=outcome]", "loss");
  await page.waitForFunction((text) => document.getElementById("found").textContent !== text, all);
  check((await title()).startsWith("loss"), `a filter for losses shows ${await title()}`);
  await page.selectOption("select[name=outcome]", "");
  await page.waitForFunction((text) => document.getElementById("found").textContent === text, all);
  await page.fill("input[name=search]", "no text has these words");
  await page.waitForSelector("#item p:text('Nothing fits')");
  await page.fill("input[name=search]", "");
  await page.waitForFunction((text) => document.getElementById("found").textContent === text, all);
  await page.locator("#list").focus();
  await page.keyboard.press("End");
  check((await page.locator("#list [aria-selected=true]").count()) === 1, "the chosen row is not in sight");
  await page.keyboard.press("k");
  const here = page.url();
  check(here.includes("#item/"), `the address does not name the item: ${here}`);
  const text = await page.locator("#item").innerText();
  await page.context().close();

  const linked = await open(browser, here, "light");
  await linked.waitForSelector("#browser[data-ready]");
  check((await linked.locator("#item").innerText()) === text, "a link shows another item");
  check(await linked.locator("#list [aria-selected=true]").isVisible(), "the linked row is not in sight");
  // Every item of the list, so that whatever a model wrote has been on the page.
  const strange = await linked.evaluate(async () => {
    const list = document.getElementById("list");
    const press = (key) => list.dispatchEvent(new KeyboardEvent("keydown", { key, bubbles: true }));
    press("Home");
    let strange = 0;
    const total = Number(list.querySelector("[role=option]").getAttribute("aria-setsize"));
    for (let item = 0; item < total; item++) {
      strange += document.querySelectorAll("#item script, #item img, #item iframe, #item style, #item [onerror]").length;
      press("ArrowDown");
    }
    return strange;
  });
  check(strange === 0, `${strange} elements came out of what models wrote`);
  // A link to a part that is folded unfolds it.
  await linked.locator("#provenance > details").evaluate((details) => { details.open = false; });
  await linked.locator("nav a[href='#provenance']").click();
  await linked.waitForSelector("#provenance > details[open]");
  await linked.context().close();
}

/// A server at work.
function serve(port) {
  const child = spawn(spyhop, ["serve", run, "--port", String(port), "--limit", String(ITEMS)],
    { stdio: ["ignore", "pipe", "ignore"] });
  const ended = new Promise((done) => child.once("exit", done));
  return new Promise((ready, failed) => {
    child.once("error", failed);
    child.once("exit", (code) => failed(new Error(`the server ended with ${code}`)));
    child.stdout.once("data", (line) => {
      const home = String(line).trim().replace(/\/$/, "");
      ready({ home, port: new URL(home).port, kill: () => { child.kill("SIGKILL"); return ended; } });
    });
  });
}

/// Two raters, a reload in the middle, and a server that is killed in the middle: nothing is lost.
async function rate(browser) {
  let server = await serve(0);
  try {
    await report(browser, `${server.home}/`, "served");
    const raters = {};
    for (const [name, view] of [["anna", "light"], ["ben", "phone"]]) {
      const page = await open(browser, `${server.home}/rate`, view);
      await looked(page, `choose-${view}`);
      await page.fill("#name", name);
      await page.click("button[type=submit]");
      await page.waitForSelector(".choices");
      await looked(page, `rate-${view}`);
      raters[name] = { page, seen: [] };
    }
    const dark = await open(browser, raters.anna.page.url(), "dark");
    await looked(dark, "rate-dark");
    await dark.context().close();
    const pick = (name, by) => chosen(raters[name], by);
    for (let number = 0; number < 7; number++) await pick("anna", number % 2 ? "key" : "click");
    for (let number = 0; number < 4; number++) await pick("ben", "click");
    const before = await raters.anna.page.locator("input[name=item]").first().inputValue();
    await raters.anna.page.reload();
    const after = await raters.anna.page.locator("input[name=item]").first().inputValue();
    check(before === after, "a reload shows another item");
    for (let number = 0; number < 4; number++) await pick("anna", "key");

    await server.kill();
    const [anna, ben] = [standing("anna"), standing("ben")];
    check(anna.length === 11 && ben.length === 4, `after the kill: ${anna.length} and ${ben.length} rows`);
    server = await serve(server.port);
    // The pages that raters had before them still count.
    for (const name of Object.keys(raters)) {
      while (raters[name].seen.length < ITEMS) await pick(name, "click");
      const { page, seen } = raters[name];
      check((await page.locator("h1").innerText()).startsWith(`All ${ITEMS} are compared`), `${name} is not done`);
      check(new Set(seen).size === ITEMS, `${name} saw ${new Set(seen).size} items`);
      check(standing(name).length === ITEMS, `${name} has ${standing(name).length} rows`);
      await looked(page, `done-${name}`);
      await page.context().close();
    }
    for (const view of Object.keys(VIEWS)) {
      const page = await open(browser, `${server.home}/results`, view);
      check((await page.locator("main").innerText()).includes(`by 2 raters, ${2 * ITEMS} choices`), "results differ");
      await looked(page, `results-${view}`);
      await page.context().close();
    }
  } finally {
    await server.kill();
  }
}

/// Chooses on the page that the rater has open, and waits for the next one.
async function chosen({ page, seen }, by) {
  const item = await page.locator("input[name=item]").first().inputValue();
  const choice = seen.length % 3;
  const next = page.waitForResponse((response) => response.request().method() === "GET" && response.status() === 200);
  if (by === "key") await page.keyboard.press(String(choice + 1));
  else await page.locator(".choices button").nth(choice).click();
  await next;
  await page.waitForLoadState();
  check((await page.locator(".notice").innerText()).length > 0, "nothing says that the choice is saved");
  seen.push(item);
}

/// The pairs on which a rater's choice is on the disk.
function standing(name) {
  const file = path.join(run, "human", `${name}.jsonl`);
  const rows = fs.readFileSync(file, "utf8").trim().split("\n").map((line) => JSON.parse(line));
  check(new Set(rows.map((row) => row.pair)).size === rows.length, `${name} chose twice on a pair`);
  return rows;
}

main().catch((error) => { console.error(error); process.exitCode = 1; });
