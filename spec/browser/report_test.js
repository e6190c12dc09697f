// Opens the pages of pages.lua in Chromium and uses them as a person does.
// usage: node report_test.js FOLDER [SCREENSHOTS]; NODE_PATH has playwright-core.
"use strict";
const assert = require("node:assert");
const path = require("node:path");
const { chromium } = require("playwright-core");

const folder = path.resolve(process.argv[2]);
const pictures = process.argv[3];

async function main() {
  const browser = await chromium.launch({
    executablePath: process.env.CHROMIUM || "/usr/bin/chromium",
    args: ["--no-sandbox", "--disable-gpu", "--disable-background-networking", "--no-first-run"],
  });
  let passed = 0;
  const failed = [];

  // Opens a page; whatever it prints, raises or asks the network for is a failure.
  async function visit(name, options, body) {
    const context = await browser.newContext({
      viewport: { width: 1400, height: 1000 }, ...options });
    const page = await context.newPage();
    const noise = [];
    page.on("console", (message) => noise.push("console: " + message.text()));
    page.on("pageerror", (error) => noise.push("error: " + error.message));
    page.on("dialog", (dialog) => { noise.push("dialog"); dialog.dismiss(); });
    page.on("request", (request) => {
      if (!request.url().startsWith("file:")) noise.push("request: " + request.url());
    });
    await page.goto("file://" + path.join(folder, name));
    await body(page);
    assert.deepStrictEqual(noise, []);
    await context.close();
  }

  async function it(what, name, options, body) {
    try {
      await visit(name, options, body);
      passed += 1;
      console.log("ok " + what);
    } catch (error) {
      failed.push(what);
      console.log("FAILED " + what + "\n" + error.stack);
    }
  }

  const names = (page) => page.$$eval("#tasks tbody tr[data-task] td:first-child button",
    (list) => list.map((button) => button.textContent));
  const shot = (page, name, options) =>
    pictures && page.screenshot({ path: path.join(pictures, name + ".png"), ...options });

  await it("shows the summary, the picture, the timeline and the table", "shop.html", {},
    async (page) => {
      assert.strictEqual(await page.textContent("h1 .badge"), "✗ failed");
      assert.strictEqual(await page.locator(".dag .node").count(), 12);
      assert.strictEqual(await page.locator("#tasks tbody tr").count(), 12);
      assert.ok(await page.locator(".lane b.failed").count() >= 2);
      assert.ok(await page.locator(".lane i.retry").count() >= 2);
      assert.ok(await page.locator(".dag .edge.critical").count() >= 3);
      await shot(page, "light", { fullPage: true });
    });

  await it("opens a task by a click on the picture", "shop.html", {}, async (page) => {
    await page.locator('.dag .node:has-text("charge_card")').click();
    const text = await page.innerText("#details");
    assert.match(text, /failed/);
    assert.match(text, /net = net from apply_discount/);
    assert.match(text, /token = whole result from token/);
    assert.match(text, /Attempt 1: timed out/);
    assert.match(text, /timed out after 0.004 s/);
    assert.match(text, /card declined for \[hidden\]\nat 5/);
    assert.match(text, /stack traceback:/);
    assert.ok(await page.locator(".dag .node.chosen").count() === 1);
    await page.keyboard.press("Escape");
    assert.strictEqual(await page.locator("#details").isVisible(), false);
  });

  await it("shows the items of a map and the tasks of a workflow", "shop.html", {},
    async (page) => {
      await page.click('#tasks button:text-is("price_items")');
      assert.match(await page.innerText("#details"), /Items: 5/);
      await page.click('#tasks button:text-is("ship")');
      assert.match(await page.innerText("#details"), /Its workflow completed[^]*label[^]*book/);
    });

  await it("goes from task to task by the links of the details", "shop.html", {},
    async (page) => {
      await page.click('#tasks button:text-is("charge_card")');
      await page.click('#details button.link:text-is("apply_discount")');
      assert.strictEqual(await page.textContent("#details h2"), "apply_discount");
      assert.match(await page.innerText("#details"), /now = ƒ\(os.time\)/);
      assert.match(await page.innerText("#details"), /rate = 0.2/);
    });

  await it("never has a sensitive value", "shop.html", {}, async (page) => {
    assert.ok(!(await page.content()).includes("very-secret-token"));
  });

  await it("filters by text and by status", "shop.html", {}, async (page) => {
    await page.fill("#filter", "LOAD_");
    assert.deepStrictEqual(await names(page), ["load_order", "load_inventory", "load_prices"]);
    assert.strictEqual(await page.textContent("#shown"), "3 of 12 tasks");
    await page.fill("#filter", "declined");
    assert.deepStrictEqual(await names(page), ["charge_card"]);
    await page.fill("#filter", "");
    await page.selectOption("#status", "skipped");
    assert.deepStrictEqual(await names(page), ["receipt"]);
    await page.fill("#filter", "nothing like it");
    assert.strictEqual(await page.textContent("#tasks tbody"), "No task matches.");
  });

  await it("sorts by a column, up and down", "shop.html", {}, async (page) => {
    await page.click('#tasks th button[data-key="name"]');
    const up = await names(page);
    assert.deepStrictEqual(up, [...up].sort());
    const head = page.locator('#tasks th:has(button[data-key="name"])');
    assert.strictEqual(await head.getAttribute("aria-sort"), "ascending");
    await page.click('#tasks th button[data-key="name"]');
    assert.deepStrictEqual(await names(page), up.reverse());
    await page.click('#tasks th button[data-key="duration"]');
    await page.click('#tasks th button[data-key="duration"]');
    assert.strictEqual((await names(page)).at(-1), "audit");
  });

  await it("can be used with the keyboard alone", "shop.html", {}, async (page) => {
    const focused = () => page.evaluate(() => document.activeElement.textContent);
    await page.focus("#zoom-fit");
    await page.keyboard.press("Tab");
    assert.match(await focused(), /load_order/);
    await page.keyboard.press("ArrowDown");
    assert.match(await focused(), /validate_cart|price_items|apply_discount/);
    await page.keyboard.press("ArrowUp");
    assert.match(await focused(), /load_order/);
    await page.keyboard.press("Enter");
    assert.strictEqual(await page.textContent("#details h2"), "load_order");
    await page.keyboard.press("Escape");
    assert.match(await focused(), /load_order/);
    await page.focus('#tasks th button[data-key="stage"]');
    await page.keyboard.press("Enter");
    assert.strictEqual((await names(page)).at(-1), "cleanup");
  });

  await it("zooms and moves the picture", "shop.html", {}, async (page) => {
    const eye = () => page.getAttribute(".dag svg", "viewBox").then((v) => v.split(" ").map(Number));
    const before = await eye();
    await page.click("#zoom-in");
    await page.waitForFunction((width) =>
      +document.querySelector(".dag svg").getAttribute("viewBox").split(" ")[2] < width, before[2]);
    const zoomed = await eye();
    const box = await page.locator(".frame.dag").boundingBox();
    await page.mouse.move(box.x + 30, box.y + 30);
    await page.mouse.down();
    await page.mouse.move(box.x + 130, box.y + 60, { steps: 3 });
    await page.mouse.up();
    await page.waitForFunction((x) =>
      +document.querySelector(".dag svg").getAttribute("viewBox").split(" ")[0] < x, zoomed[0]);
    assert.strictEqual(await page.locator("#details").isVisible(), false);
    await page.click("#zoom-fit");
  });

  await it("shows the timeline by task", "shop.html", {}, async (page) => {
    await page.click("#by-task");
    const lanes = await page.$$eval(".lane", (list) => list.map((lane) => lane.dataset.name));
    assert.ok(lanes.includes("load_prices") && lanes.includes("price_items[3]"));
    await page.locator('.lane[data-name="load_prices"] b').first().click();
    assert.strictEqual(await page.textContent("#details h2"), "load_prices");
    await page.click("#by-slot");
    assert.strictEqual(await page.getAttribute(".lane", "data-name"), "slot 1");
  });

  await it("follows the wish for a dark page", "shop.html", { colorScheme: "dark" },
    async (page) => {
      const paper = await page.evaluate(() => getComputedStyle(document.body).backgroundColor);
      assert.strictEqual(paper, "rgb(13, 17, 23)");
      await page.click('#tasks button:text-is("charge_card")');
      await shot(page, "dark", { fullPage: true });
    });

  await it("fits a narrow screen", "shop.html", { viewport: { width: 400, height: 860 } },
    async (page) => {
      const wide = await page.evaluate(() =>
        document.documentElement.scrollWidth - document.documentElement.clientWidth);
      assert.strictEqual(wide, 0);
      await page.click('#tasks button:text-is("charge_card")');
      assert.ok(await page.locator("#details .close").isVisible());
      await shot(page, "narrow");
    });

  await it("shows what is important without script", "shop.html", { javaScriptEnabled: false },
    async (page) => {
      const text = await page.innerText("body");
      assert.match(text, /card declined for \[hidden\]/);
      assert.match(text, /stack traceback/);
      assert.match(text, /load_inventory/);
      assert.strictEqual(await page.locator(".dag .node").count(), 12);
      assert.strictEqual(await page.locator("#filter").isVisible(), false);
      await shot(page, "plain", { fullPage: true });
    });

  await it("shows hostile names and errors as text", "hostile.html", {}, async (page) => {
    assert.strictEqual(await page.locator("img").count(), 0);
    assert.strictEqual(await page.locator("script").count(), 2);
    assert.strictEqual(await page.locator("a[href^='http']").count(), 0);
    const list = await names(page);
    assert.strictEqual(list.length, await page.locator(".dag .node").count());
    assert.strictEqual(list[0], "</script><script>alert(1)</script>");
    assert.ok(list.includes("nul \\x00 byte"));
    assert.ok(list.includes("invalid \\xFF\\xFE utf-8 \\xC3"));
    assert.ok(list.some((name) => name.startsWith("bidi \\xE2\\x80\\xAEtxt.exe")));
    for (const button of (await page.$$("#tasks td:first-child button"))) {
      await button.click();
      const shown = await page.textContent("#details");
      assert.doesNotMatch(shown, /[\u0000-\u0008\u001B\u202E\u200F\u200B\uFEFF\uFFFD]/u);
    }
    await page.fill("#filter", "<img");
    assert.strictEqual((await names(page)).length, 2);
    await shot(page, "hostile");
  });

  await it("shows a run without tasks", "empty.html", {}, async (page) => {
    assert.strictEqual(await page.textContent("#tasks tbody"), "No task matches.");
  });

  await it("stays quick with 5,000 tasks", "many.html", {}, async (page) => {
    const load = await page.evaluate(() =>
      performance.getEntriesByType("navigation")[0].loadEventEnd);
    const times = [`load ${Math.round(load)} ms`];
    assert.ok(load < 20000, times[0]);
    // From the event until the page has been drawn anew.
    const took = async (what, selector, value) => {
      const time = await page.evaluate(async ([selector, value]) => {
        const drawn = () => new Promise((done) =>
          requestAnimationFrame(() => requestAnimationFrame(done)));
        const element = document.querySelector(selector);
        element.scrollIntoView();
        await drawn();
        const began = performance.now();
        if (value !== undefined) {
          element.value = value;
          element.dispatchEvent(new Event("input"));
        } else element.click();
        await drawn();
        return Math.round(performance.now() - began);
      }, [selector, value]);
      times.push(`${what} ${time} ms`);
      assert.ok(time < 3000, times.at(-1));
    };
    await took("sort", '#tasks th button[data-key="duration"]');
    await took("filter", "#filter", "task_4999");
    await page.waitForFunction(() =>
      document.getElementById("shown").textContent.startsWith("1 of"));
    await took("open a task", "#tasks tbody button");
    await took("fit", "#zoom-fit");
    await took("zoom", "#zoom-in");
    await took("timeline by task", "#by-task");
    assert.strictEqual(await page.textContent("#details h2"), "task_4999");
    console.log("   " + times.join(", "));
    await shot(page, "many");
  });

  await browser.close();
  console.log(`${passed} passed, ${failed.length} failed`);
  process.exitCode = failed.length > 0 ? 1 : 0;
}

main().catch((error) => { console.error(error); process.exitCode = 1; });
