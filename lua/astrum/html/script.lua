-- The script of the HTML report. The page shows everything without it; it adds choosing a task,
-- moving the picture, filters, sorting, and the timeline by task. Texts of the run are only ever
-- set as text.
return [==[
"use strict";
(() => {
  const byId = (id) => document.getElementById(id);
  const data = JSON.parse(byId("data").textContent);
  const report = data.report;
  const tasks = data.tasks;
  document.documentElement.classList.add("js");

  // --- texts

  const encoder = new TextEncoder();
  const hidden = new RegExp("[\\u0000-\\u0008\\u000B-\\u001F\\u007F-\\u009F\\u061C\\u200B\\u200E" +
    "\\u200F\\u2028-\\u202E\\u2060-\\u206F\\uFEFF\\uFFF9-\\uFFFB]", "g");
  const safe = (text) => String(text).replace(hidden, (c) =>
    [...encoder.encode(c)]
      .map((b) => "\\x" + b.toString(16).toUpperCase().padStart(2, "0")).join(""));
  const line = (text) => safe(text).replace(/\n/g, "\\x0A").replace(/\t/g, "\\x09");
  const seconds = (s) => {
    if (s === undefined) return "–";
    if (s < 0.001) return (s * 1e6).toFixed(0) + " µs";
    if (s < 1) return (s * 1e3).toPrecision(3) + " ms";
    return s < 100 ? s.toFixed(2) + " s" : s.toFixed(0) + " s";
  };
  const words = (status) => status.replace("_", " ");

  const make = (name, attributes, ...children) => {
    const element = document.createElement(name);
    for (const [key, value] of Object.entries(attributes || {})) {
      if (key === "onclick") element.addEventListener("click", value);
      else element.setAttribute(key, value);
    }
    element.append(...children);
    return element;
  };

  // --- the task that is chosen

  const panel = byId("details");
  const rowOf = new Map();
  for (const row of document.querySelectorAll("#tasks tbody tr[data-task]"))
    rowOf.set(+row.dataset.task, row);
  const nodeOf = new Map();
  for (const node of document.querySelectorAll(".dag .node")) nodeOf.set(+node.dataset.task, node);
  const edges = [...document.querySelectorAll(".dag .edge")];
  let chosen = null;
  let opener = null;

  const taskLink = (id) => {
    const button = make("button", { type: "button", class: "link mono" });
    button.textContent = line(tasks[id].name);
    button.addEventListener("click", () => choose(id));
    return button;
  };

  const block = (title, ...children) => {
    panel.append(make("h3", {}, title), ...children);
  };

  const errorBlock = (error, message) => {
    const out = [make("pre", {}, safe(message))];
    if (error && error.traceback) out.push(make("pre", {}, safe(error.traceback)));
    return out;
  };

  const smallTable = (heads, rows, most) => {
    const head = make("tr", {}, ...heads.map((h) => make("th", { scope: "col" }, h)));
    const body = rows.slice(0, most).map((cells) =>
      make("tr", {}, ...cells.map((c) => make("td", { title: c }, c))));
    const out = [make("table", {}, make("thead", {}, head), make("tbody", {}, ...body))];
    if (rows.length > most)
      out.push(make("p", { class: "hint" }, `… and ${rows.length - most} more`));
    return out;
  };

  const showInputs = (task) => {
    if (task.inputs.length === 0) return;
    const list = make("ul", {});
    for (const input of task.inputs) {
      const item = make("li", {});
      item.append(make("code", {}, line(input.text)));
      if (input.task !== undefined) item.append(" from ", taskLink(input.task));
      list.append(item);
    }
    block("Inputs", list);
  };

  const showNeighbours = (title, ids) => {
    if (ids.length === 0) return;
    const list = make("ul", {});
    for (const id of ids.slice(0, 50)) list.append(make("li", {}, taskLink(id)));
    if (ids.length > 50) list.append(make("li", {}, `… and ${ids.length - 50} more`));
    block(title, list);
  };

  const showAttempts = (entry) => {
    for (const attempt of entry.attempt_statistics) {
      const text = `Attempt ${attempt.attempt_number}: ${words(attempt.status)}, ` +
        seconds(attempt.duration) + (attempt.will_retry ? ", then retried" : "");
      block(text, ...(attempt.error_message
        ? errorBlock(attempt.error, attempt.error_message) : []));
    }
  };

  const entryText = (entry) => `${words(entry.status)}` +
    (entry.start_time === undefined ? "" : `, ${seconds(entry.duration)}, waited ` +
      seconds(entry.wait_duration));

  const fill = (id) => {
    const task = tasks[id];
    const entry = report.task_statistics[task.entry];
    panel.replaceChildren();
    const close = make("button", { type: "button", class: "close", "aria-label": "Close" }, "✕");
    close.addEventListener("click", () => choose(null));
    const title = make("h2", { class: "mono", tabindex: "-1" });
    title.textContent = safe(task.name);
    panel.append(close, title);
    if (!entry) {
      panel.append(make("p", {}, "detached: the run does not wait for it"));
      showInputs(task);
      return title;
    }
    panel.append(make("p", { class: "status " + entry.status }, entryText(entry)));
    const place = `stage ${entry.stage_id}` + (entry.retry ? `, retry=${entry.retry}` : "") +
      (task.critical ? ", on the critical path" : "");
    panel.append(make("p", { class: "hint" }, place));
    if (entry.reason) block("Why it did not run to its end", make("p", {}, safe(entry.reason)));
    if (entry.handled) panel.append(make("p", {}, "Its failure was handled."));
    if (entry.error_message && entry.attempt_statistics.length === 0)
      block("Error", ...errorBlock(entry.error, entry.error_message));
    showInputs(task);
    showAttempts(entry);
    if (entry.items) {
      block(`Items: ${entry.items.length}`, ...smallTable(["Item", "Status", "Duration", "Error"],
        entry.items.map((i) => [String(i.item), words(i.status), seconds(i.duration),
          line(i.error_message || i.reason || "")]), 200));
    }
    if (entry.report) {
      const inner = entry.report;
      block(`Its workflow ${words(inner.execution_state)}`,
        ...smallTable(["Task", "Status", "Duration", "Error"], inner.task_statistics.map((t) =>
          [line(t.task_name), words(t.status), seconds(t.duration),
            line(t.error_message || t.reason || "")]), 200));
    }
    showNeighbours("Needs", task.upstream);
    showNeighbours("Needed by", task.downstream);
    return title;
  };

  const mark = (id, on) => {
    if (id === null) return;
    const key = String(id);
    for (const element of [rowOf.get(id), nodeOf.get(id),
      ...document.querySelectorAll(`.lane b[data-task="${id}"]`)])
      if (element) element.classList.toggle("chosen", on);
    for (const edge of edges)
      if (edge.dataset.from === key || edge.dataset.to === key) edge.classList.toggle("near", on);
  };

  function choose(id) {
    mark(chosen, false);
    if (id === null) {
      panel.hidden = true;
      chosen = null;
      look();
      if (opener && opener.isConnected) opener.focus();
      return;
    }
    if (!panel.contains(document.activeElement)) opener = document.activeElement;
    chosen = id;
    mark(id, true);
    const title = fill(id);
    panel.hidden = false;
    panel.scrollTop = 0;
    title.focus({ preventScroll: true });
    look();
    if (nodeOf.has(id)) reveal(nodeOf.get(id));
  }

  document.addEventListener("keydown", (event) => {
    if (event.key === "Escape" && chosen !== null) choose(null);
  });
  document.addEventListener("click", (event) => {
    const element = event.target.closest("[data-task]");
    if (element && !element.closest(".dag") && !element.closest("#details"))
      choose(+element.dataset.task);
  });

  // --- the picture: pan, zoom, move from task to task

  const frame = document.querySelector(".frame.dag");
  const svg = frame.querySelector("svg");
  const whole = svg.viewBox.baseVal;
  const size = { width: whole.width, height: whole.height };
  const eye = { x: 0, y: 0, scale: 1, width: frame.clientWidth };

  // What is in the middle stays there when the frame becomes narrower.
  const redraw = () => {
    const box = frame.getBoundingClientRect();
    eye.x += (eye.width - box.width) / 2 / eye.scale;
    eye.width = box.width;
    svg.setAttribute("viewBox",
      `${eye.x} ${eye.y} ${box.width / eye.scale} ${box.height / eye.scale}`);
    svg.classList.toggle("far", eye.scale < 0.45);
  };
  let waiting = false;
  const look = () => {
    if (waiting) return;
    waiting = true;
    requestAnimationFrame(() => { waiting = false; redraw(); });
  };
  const fit = () => {
    const box = frame.getBoundingClientRect();
    eye.width = box.width;
    eye.scale = Math.min(1.25, box.width / size.width, box.height / size.height);
    eye.x = size.width / 2 - box.width / eye.scale / 2;
    eye.y = size.height / 2 - box.height / eye.scale / 2;
    look();
  };
  // The whole if its texts can be read then, else its begin.
  const begin = () => {
    const width = frame.clientWidth;
    const height = size.height * Math.min(1.1, width / size.width);
    const most = window.innerWidth < 700 ? 420 : 640;
    frame.style.height = Math.max(260, Math.min(most, height)) + "px";
    fit();
    if (eye.scale >= 0.5) return;
    const box = frame.getBoundingClientRect();
    eye.scale = 0.75;
    eye.x = Math.max(0, (size.width - box.width / eye.scale) / 2) * (size.width < size.height);
    eye.y = Math.max(0, (size.height - box.height / eye.scale) / 2) * (size.width >= size.height);
  };
  const zoom = (factor, x, y) => {
    const box = frame.getBoundingClientRect();
    const dx = x === undefined ? box.width / 2 : x - box.left;
    const dy = y === undefined ? box.height / 2 : y - box.top;
    const scale = Math.min(4, Math.max(0.02, eye.scale * factor));
    eye.x += dx / eye.scale - dx / scale;
    eye.y += dy / eye.scale - dy / scale;
    eye.scale = scale;
    look();
  };
  const placeOf = (node) => {
    const [x, y] = node.getAttribute("transform").match(/-?[\d.]+/g).map(Number);
    const box = node.querySelector("rect");
    return { x: x + 16 + +box.getAttribute("width") / 2,
      y: y + 16 + +box.getAttribute("height") / 2 };
  };
  function reveal(node) {
    const box = frame.getBoundingClientRect();
    const { x, y } = placeOf(node);
    const width = box.width / eye.scale, height = box.height / eye.scale;
    const inside = x > eye.x + width * 0.1 && x < eye.x + width * 0.9 &&
      y > eye.y + height * 0.1 && y < eye.y + height * 0.9;
    if (inside) return;
    eye.x = x - width / 2;
    eye.y = y - height / 2;
    look();
  }

  byId("zoom-in").addEventListener("click", () => zoom(1.3));
  byId("zoom-out").addEventListener("click", () => zoom(1 / 1.3));
  byId("zoom-fit").addEventListener("click", fit);
  frame.addEventListener("wheel", (event) => {
    if (!event.ctrlKey && !event.metaKey) return;
    event.preventDefault();
    zoom(Math.exp(-event.deltaY / 300), event.clientX, event.clientY);
  }, { passive: false });

  let drag = null;
  frame.addEventListener("pointerdown", (event) => {
    if (event.button !== 0) return;
    drag = { x: event.clientX, y: event.clientY, moved: false };
  });
  window.addEventListener("pointermove", (event) => {
    if (!drag) return;
    const dx = event.clientX - drag.x, dy = event.clientY - drag.y;
    if (!drag.moved && Math.abs(dx) + Math.abs(dy) < 5) return;
    drag = { x: event.clientX, y: event.clientY, moved: true };
    frame.classList.add("dragging");
    eye.x -= dx / eye.scale;
    eye.y -= dy / eye.scale;
    look();
  });
  window.addEventListener("pointerup", (event) => {
    const was = drag;
    drag = null;
    frame.classList.remove("dragging");
    if (!was || was.moved) return;
    const node = event.target.closest && event.target.closest(".node");
    if (node && frame.contains(node)) {
      current(node);
      node.focus({ preventScroll: true });
      choose(+node.dataset.task);
    }
  });

  // One node can be reached by Tab; arrows go on from there.
  const nodes = [...nodeOf.values()];
  const right = svg.dataset.direction === "right";
  const layers = new Map();
  for (const node of nodes) {
    const level = tasks[+node.dataset.task].stage;
    if (!layers.has(level)) layers.set(level, []);
    layers.get(level).push(node);
    node.setAttribute("tabindex", "-1");
    node.setAttribute("role", "button");
  }
  for (const layer of layers.values())
    layer.sort((a, b) => right ? placeOf(a).y - placeOf(b).y : placeOf(a).x - placeOf(b).x);
  let stop = null;
  function current(node) {
    if (stop) stop.setAttribute("tabindex", "-1");
    stop = node;
    if (node) node.setAttribute("tabindex", "0");
  }
  current(nodes[0] || null);
  const firstOf = (ids) => ids.map((id) => nodeOf.get(id)).find((node) => node);
  const beside = (node, step) => {
    const layer = layers.get(tasks[+node.dataset.task].stage);
    return layer[layer.indexOf(node) + step];
  };
  const moves = right
    ? { ArrowLeft: "up", ArrowRight: "down", ArrowUp: -1, ArrowDown: 1 }
    : { ArrowUp: "up", ArrowDown: "down", ArrowLeft: -1, ArrowRight: 1 };
  frame.addEventListener("keydown", (event) => {
    const node = event.target.closest(".node");
    const keys = { "+": 1.3, "=": 1.3, "-": 1 / 1.3 };
    if (keys[event.key]) { zoom(keys[event.key]); return; }
    if (event.key === "0") { fit(); return; }
    if (!node) return;
    if (event.key === "Enter" || event.key === " ") {
      event.preventDefault();
      choose(+node.dataset.task);
      return;
    }
    const move = moves[event.key];
    if (!move) return;
    event.preventDefault();
    const task = tasks[+node.dataset.task];
    const next = move === "up" ? firstOf(task.upstream)
      : move === "down" ? firstOf(task.downstream) : beside(node, move);
    if (next) {
      current(next);
      next.focus({ preventScroll: true });
      reveal(next);
    }
  });
  begin();
  window.addEventListener("resize", look);

  // --- the timeline

  const chart = byId("chart");
  const bySlot = [...chart.querySelectorAll(".lane")];
  let byTask = null;
  const lanesByTask = () => {
    const lanes = new Map();
    for (const lane of bySlot) {
      for (const mark of lane.firstElementChild.children) {
        const item = mark.dataset.item ? `[${mark.dataset.item}]` : "";
        const key = mark.dataset.task + item;
        if (!lanes.has(key)) {
          const name = line(tasks[+mark.dataset.task].name) + item;
          lanes.set(key, make("div", { class: "lane", "data-name": name },
            make("div", { class: "track" })));
        }
        lanes.get(key).firstElementChild.append(mark.cloneNode(true));
      }
    }
    const begin = (lane) => {
      let least = Infinity;
      for (const mark of lane.firstElementChild.children)
        least = Math.min(least, parseFloat(mark.style.left));
      return least;
    };
    return [...lanes.values()].map((lane) => [begin(lane), lane])
      .sort((a, b) => a[0] - b[0]).map((pair) => pair[1]);
  };
  const showLanes = (kind) => {
    if (kind === "task" && !byTask) byTask = lanesByTask();
    for (const lane of chart.querySelectorAll(".lane")) lane.remove();
    const lanes = kind === "task" ? byTask : bySlot;
    chart.append(...lanes);
    chart.classList.toggle("long", lanes.length > 100);
    chart.classList.toggle("by-task", kind === "task");
    byId("by-slot").setAttribute("aria-pressed", String(kind === "slot"));
    byId("by-task").setAttribute("aria-pressed", String(kind === "task"));
  };
  byId("by-slot").addEventListener("click", () => showLanes("slot"));
  byId("by-task").addEventListener("click", () => showLanes("task"));
  byId("stretch").addEventListener("input", (event) => {
    chart.style.width = 100 * Math.pow(2, +event.target.value) + "%";
  });

  // --- the table

  const body = document.querySelector("#tasks tbody");
  const all = [...rowOf.entries()].map(([id, row]) => {
    const entry = report.task_statistics[tasks[id].entry] || {};
    const text = line(`${tasks[id].name} ${entry.error_message || ""} ${entry.reason || ""}`);
    return { id, row, entry, text: text.toLowerCase(), name: line(tasks[id].name) };
  });
  const none = make("tr", { class: "none" }, make("td", { colspan: "8" }, "No task matches."));
  const compare = new Intl.Collator(undefined, { numeric: true }).compare;
  const keys = {
    name: (item) => item.name,
    stage: (item) => tasks[item.id].stage,
    status: (item) => item.entry.status || "",
    attempts: (item) => item.entry.attempt_count || 0,
    start: (item) => item.entry.start_time === undefined ? Infinity : item.entry.start_time,
    wait: (item) => item.entry.wait_duration || 0,
    duration: (item) => item.entry.duration || 0,
    error: (item) => item.entry.error_message || item.entry.reason || "",
  };
  let sorting = null;
  let limit = 0;
  const showRows = (most) => {
    limit = typeof most === "number" ? most : 200;
    const wanted = byId("filter").value.trim().toLowerCase();
    const status = byId("status").value;
    let shown = all.filter((item) => (wanted === "" || item.text.includes(wanted)) &&
      (status === "" || item.entry.status === status ||
        (status === "critical" && tasks[item.id].critical)));
    if (sorting) {
      const key = keys[sorting.key];
      shown = shown.map((item) => [key(item), item]);
      shown.sort((a, b) => sorting.sign * (typeof a[0] === "string"
        ? compare(a[0], b[0]) : a[0] < b[0] ? -1 : a[0] > b[0] ? 1 : 0) || a[1].id - b[1].id);
      shown = shown.map((pair) => pair[1]);
    }
    const some = shown.slice(0, limit).map((item) => item.row);
    body.replaceChildren(...(some.length > 0 ? some : [none]));
    const rest = shown.length - some.length;
    byId("more").hidden = rest === 0;
    byId("more").textContent = `Show ${Math.min(rest, 500)} more of ${rest.toLocaleString("en")}`;
    byId("shown").textContent =
      `${shown.length.toLocaleString("en")} of ${all.length.toLocaleString("en")} tasks`;
  };
  let timer = 0;
  byId("filter").addEventListener("input", () => {
    clearTimeout(timer);
    timer = setTimeout(showRows, all.length > 500 ? 120 : 0);
  });
  byId("status").addEventListener("change", showRows);
  byId("more").addEventListener("click", () => showRows(limit + 500));
  for (const button of document.querySelectorAll("#tasks th button")) {
    button.addEventListener("click", () => {
      const head = button.parentElement;
      const down = head.getAttribute("aria-sort") === "ascending";
      for (const other of document.querySelectorAll("#tasks th"))
        other.removeAttribute("aria-sort");
      head.setAttribute("aria-sort", down ? "descending" : "ascending");
      sorting = { key: button.dataset.key, sign: down ? -1 : 1 };
      showRows();
    });
  }
  showRows();
})();
]==]
