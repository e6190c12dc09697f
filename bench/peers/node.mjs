// Node contenders over the graphs of ../graphs.lua, one in each process.
//
// usage: node node.mjs probe
//          prints the names of the contenders that are installed
//        node node.mjs run CONTENDER SHAPE TASKS
//          prints: ns a task to build, ns to run, checksum, peak bytes a task
//        node node.mjs barrier CONTENDER JSON
//          JSON: branches, each a chain of sleeps in ms; prints the makespan in ms
import { readFileSync } from "node:fs";
import { performance } from "node:perf_hooks";

const MASK = 1048575;
const SLEEP = 10;
const sleep = (ms) => new Promise((resolve) => setTimeout(resolve, ms));

// --- graphs

const shapes = {
  chain: (n) => list(n, (i) => (i > 0 ? [i - 1] : [])),
  wide: (n) =>
    list(n, (i) => {
      if (i === 0) return [];
      return i < n - 1 ? [0] : list(n - 2, (j) => j + 1);
    }),
  layered(n) {
    const width = n < 1000 ? 10 : 100;
    let x = 12345;
    return list(Math.floor(n / width) * width, (i) => {
      const deps = [];
      for (let draw = 0; i >= width && draw < 3; draw++) {
        x = (Math.imul(x, 1103515245) + 12345) & 0x7fffffff;
        const before = (Math.floor(i / width) - 1) * width + ((x >> 8) % width);
        if (!deps.includes(before)) deps.push(before);
      }
      return deps;
    });
  },
  tree: (n) =>
    list(n, (i) => {
      const child = 2 * (n - 1 - i) + 1;
      return [child, child + 1].filter((c) => c < n).map((c) => n - 1 - c);
    }),
  wave(n) {
    const side = Math.floor(Math.sqrt(n));
    return list(side * side, (i) => {
      const deps = i % side > 0 ? [i - 1] : [];
      if (i >= side) deps.push(i - side);
      return deps;
    });
  },
  sleepers: (n) => list(n, () => []),
};

function list(count, make) {
  const values = new Array(count);
  for (let i = 0; i < count; i++) values[i] = make(i);
  return values;
}

// --- contenders: build(deps, body) returns a function that runs the graph.
// body(i, value) computes task i, where value(j) is the result of task j.

const contenders = {
  "node promises": {
    build: (deps, body) => {
      return async () => {
        const results = [];
        const promises = [];
        for (let i = 0; i < deps.length; i++) {
          promises[i] = Promise.all(deps[i].map((d) => promises[d])).then(async () => {
            results[i] = await body(i, (j) => results[j]);
          });
        }
        await Promise.all(promises);
        return results;
      };
    },
  },
  "async auto": {
    package: "async",
    build: (deps, body, { default: async }) => {
      const tasks = {};
      for (let i = 0; i < deps.length; i++) {
        const run = async (results) => body(i, (j) => results["t" + j]);
        tasks["t" + i] = deps[i].length ? [...deps[i].map((d) => "t" + d), run] : async () => run();
      }
      return async () => {
        const results = await async.auto(tasks);
        return deps.map((_, i) => results["t" + i]);
      };
    },
  },
  "p-graph": {
    package: "p-graph",
    build: (deps, body, library) => {
      const { PGraph } = library;
      const results = [];
      const nodes = new Map();
      const edges = [];
      for (let i = 0; i < deps.length; i++) {
        nodes.set("t" + i, {
          run: async () => {
            results[i] = await body(i, (j) => results[j]);
          },
        });
        for (const d of deps[i]) edges.push(["t" + d, "t" + i]);
      }
      const graph = new PGraph(nodes, edges);
      return async () => {
        await graph.run();
        return results;
      };
    },
  },
  langgraph: {
    package: "@langchain/langgraph",
    build: (deps, body, { StateGraph, Annotation, START, END }) => {
      const State = Annotation.Root({
        values: Annotation({
          reducer: (a, b) => Object.assign(a, b),
          default: () => ({}),
        }),
      });
      const graph = new StateGraph(State);
      const ends = new Set(deps.keys());
      for (let i = 0; i < deps.length; i++) {
        graph.addNode("t" + i, async ({ values }) => {
          return { values: { [i]: await body(i, (j) => values[j]) } };
        });
        for (const d of deps[i]) ends.delete(d);
        if (deps[i].length === 0) graph.addEdge(START, "t" + i);
        else if (deps[i].length === 1) graph.addEdge("t" + deps[i][0], "t" + i);
        else
          graph.addEdge(
            deps[i].map((d) => "t" + d),
            "t" + i,
          );
      }
      for (const i of ends) graph.addEdge("t" + i, END);
      const app = graph.compile();
      return async () => {
        const { values } = await app.invoke({}, { recursionLimit: deps.length + 10 });
        return deps.map((_, i) => values[i]);
      };
    },
  },
};

async function load(contender) {
  return contender.package ? await import(contender.package) : {};
}

// Bytes of memory that the process had at most, or has.
function memory(name) {
  try {
    const text = readFileSync("/proc/self/status", "utf8");
    return Number(text.match(new RegExp(name + ":\\s*(\\d+)"))[1]) * 1024;
  } catch {
    return 0;
  }
}

async function run(name, shape, tasks) {
  const library = await load(contenders[name]);
  const deps = shapes[shape](tasks);
  const n = deps.length;
  const body =
    shape === "sleepers"
      ? async () => {
          await sleep(SLEEP);
          return { v: 1 };
        }
      : (i, value) => {
          let sum = 1;
          for (const d of deps[i]) sum += value(d).v;
          return { v: sum & MASK };
        };
  const before = memory("VmRSS");
  const began = performance.now();
  const start = contenders[name].build(deps, body, library);
  const built = performance.now();
  const results = await start();
  const ran = performance.now();
  const peak = memory("VmHWM") - before;
  const checksum = results.reduce((sum, result) => sum + result.v, 0);
  const ns = (ms) => ((ms * 1e6) / n).toFixed(2);
  console.log([ns(built - began), ns(ran - built), checksum, Math.round(peak / n)].join("\t"));
}

async function barrier(name, branches) {
  const library = await load(contenders[name]);
  const deps = [];
  const times = [];
  for (const branch of branches) {
    branch.forEach((ms, k) => {
      deps.push(k > 0 ? [deps.length - 1] : []);
      times.push(ms);
    });
  }
  const body = async (i) => {
    await sleep(times[i]);
    return { v: 1 };
  };
  const start = contenders[name].build(deps, body, library);
  const began = performance.now();
  await start();
  console.log((performance.now() - began).toFixed(2));
}

const [what, name, ...rest] = process.argv.slice(2);
if (what === "probe") {
  for (const [key, contender] of Object.entries(contenders)) {
    try {
      await load(contender);
      console.log(key);
    } catch {
      // It is not installed.
    }
  }
} else if (what === "run") {
  await run(name, rest[0], Number(rest[1]));
} else {
  await barrier(name, JSON.parse(rest[0]));
}
