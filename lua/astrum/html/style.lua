-- The style of the HTML report.
return [==[
:root { color-scheme: light dark;
  --ink: #1f2328; --faint: #59636e; --rule: #d5dbe1; --paper: #ffffff; --card: #f6f8fa;
  --hover: #eef2f6; --hot: #0969da; --ok: #1a7f37; --bad: #cf222e; --late: #b54708;
  --off: #7a45d0; --none: #7d8792; --now: #0969da; --bad-paper: #ffefed; --wait: #aeb8c2; }
@media (prefers-color-scheme: dark) { :root {
  --ink: #e6edf3; --faint: #9aa4af; --rule: #30363d; --paper: #0d1117; --card: #151b23;
  --hover: #1d2530; --hot: #4ea1ff; --ok: #3fb950; --bad: #ff6a60; --late: #f0883e;
  --off: #b98cff; --none: #8b949e; --now: #4ea1ff; --bad-paper: #2a1416; --wait: #57616c; } }
*, *::before { box-sizing: border-box; }
html { scroll-padding-top: 12px; }
body { margin: 0 auto; max-width: 1480px; padding: 28px 32px 48px; background: var(--paper);
  color: var(--ink); font: 15px/1.5 system-ui, -apple-system, "Segoe UI", Roboto, "DejaVu Sans",
  sans-serif; }
code, pre, .mono { font-family: ui-monospace, SFMono-Regular, Menlo, Consolas,
  "DejaVu Sans Mono", monospace; font-size: 13px; }
h1, h2, h3, p { margin: 0; }
h1 { font-size: 26px; line-height: 1.25; letter-spacing: -0.01em; display: flex; gap: 14px;
  align-items: center; flex-wrap: wrap; overflow-wrap: anywhere; }
h2 { font-size: 17px; margin-bottom: 10px; }
section { margin-top: 34px; }
button, input, select { font: inherit; color: inherit; }
:focus-visible { outline: 2px solid var(--hot); outline-offset: 2px; border-radius: 4px; }
.brand, .sub, .hint, .count { color: var(--faint); font-size: 13px; }
.brand { margin-bottom: 2px; }
.sub { margin-top: 6px; }
.skip { position: absolute; left: -9999px; }
.skip:focus { left: 12px; top: 12px; background: var(--paper); padding: 8px 12px; z-index: 5; }
html:not(.js) .only-script { display: none; }

.badge { display: inline-flex; gap: 6px; align-items: center; font-size: 14px; font-weight: 600;
  letter-spacing: 0; border: 1.5px solid currentColor; border-radius: 99px; padding: 2px 12px; }
.completed { --own: var(--ok); } .failed { --own: var(--bad); } .timed_out { --own: var(--late); }
.cancelled { --own: var(--off); } .skipped { --own: var(--none); }
.pending, .running { --own: var(--now); }
.badge, .status { color: var(--own); }
.status { white-space: nowrap; }

.bar { display: flex; gap: 2px; height: 8px; margin: 20px 0 14px; border-radius: 4px;
  overflow: hidden; }
.bar span { background: var(--own); min-width: 3px; }
.tiles { display: grid; grid-template-columns: repeat(10, 1fr); gap: 10px; margin: 0; }
.tiles div { background: var(--card); border: 1px solid var(--rule); border-radius: 8px;
  padding: 9px 13px; }
.tiles dt { color: var(--faint); font-size: 12.5px; }
.tiles dd { margin: 0; font-size: 20px; font-weight: 600; font-variant-numeric: tabular-nums;
  color: var(--own, var(--ink)); }
.tiles .zero dd { color: var(--faint); font-weight: 400; }

.verdict { border-left: 4px solid var(--bad); background: var(--bad-paper); padding: 10px 14px;
  border-radius: 0 8px 8px 0; margin-top: 18px; white-space: pre-wrap; overflow-wrap: anywhere; }
details { border: 1px solid var(--rule); border-radius: 8px; margin-top: 8px;
  background: var(--card); }
summary { padding: 9px 14px; cursor: pointer; overflow-wrap: anywhere; }
summary b { margin-right: 6px; }
details > div { padding: 0 14px 12px; }
details .hint { margin-top: 8px; }
pre { margin: 6px 0 0; padding: 10px 12px; overflow: auto; max-height: 340px; tab-size: 4;
  background: var(--paper); border: 1px solid var(--rule); border-radius: 6px;
  white-space: pre-wrap; overflow-wrap: anywhere; }
.path { display: flex; flex-wrap: wrap; gap: 6px; align-items: center; list-style: none;
  margin: 0; padding: 0; }
.path li { display: flex; align-items: center; gap: 6px; max-width: 100%; }
.path li + li::before { content: "→"; color: var(--hot); }
.chip { border: 1.5px solid var(--hot); border-radius: 6px; background: var(--paper);
  padding: 2px 9px; overflow-wrap: anywhere; text-align: left; }
.chip small { color: var(--faint); margin-left: 6px; white-space: nowrap; }
.js .chip { cursor: pointer; }
.js .chip:hover { background: var(--hover); }

.heavy { content-visibility: auto; contain-intrinsic-size: auto 700px; padding: 4px;
  margin: 30px -4px 0; }
.split { display: flex; gap: 18px; align-items: flex-start; }
.split > .main { flex: 1; min-width: 0; }
.tools { display: flex; flex-wrap: wrap; gap: 8px; align-items: center; margin-bottom: 8px; }
.tools button, .tools select, .tools input { border: 1px solid var(--rule); border-radius: 6px;
  background: var(--card); padding: 4px 10px; min-height: 32px; }
.tools button { cursor: pointer; min-width: 34px; }
.tools button:hover { background: var(--hover); }
.tools button[aria-pressed="true"] { border-color: var(--hot); color: var(--hot);
  font-weight: 600; }
.tools input[type="search"] { min-width: 220px; flex: 0 1 320px; }
.tools label { display: inline-flex; align-items: center; gap: 8px; font-size: 14px;
  color: var(--faint); }
.tools input[type="range"] { width: 140px; padding: 0; }
.frame { border: 1px solid var(--rule); border-radius: 10px; overflow: auto; max-height: 640px;
  background: var(--paper); }
.js .frame.dag { overflow: hidden; cursor: grab; touch-action: pan-y; }
.js .frame.dag.dragging { cursor: grabbing; }
.js .frame.dag svg { width: 100%; height: 100%; display: block; user-select: none; }
.js .frame.dag .node { cursor: pointer; }
html:not(.js) .frame.dag svg { display: block; margin: 0 auto; }
.frame.dag .node:focus { outline: none; }
.frame.dag .node:focus-visible .box { stroke-width: 4; }
.frame.dag .node:hover .box { filter: brightness(0.96); }
.frame.dag .node.chosen .box { stroke: var(--hot); stroke-width: 3.5; }
.frame.dag .edge.near { stroke: var(--hot); stroke-width: 2.6; }
.far .note, .far .outcome, .far .label { display: none; }

.timeline { max-height: 460px; position: relative; }
.chart { position: relative; min-width: 100%; }
.axis { position: sticky; top: 0; height: 26px; background: var(--card); z-index: 2;
  border-bottom: 1px solid var(--rule); font-size: 11.5px; color: var(--faint); }
.axis span { position: absolute; top: 4px; padding-left: 4px; white-space: nowrap; }
.grid { position: absolute; inset: 26px 0 0 0; pointer-events: none; }
.grid i { position: absolute; top: 0; bottom: 0; border-left: 1px solid var(--rule); }
.axis, .grid { margin-left: 74px; margin-right: 12px; }
.lane { display: flex; height: 25px; }
.chart.long .lane { content-visibility: auto; contain-intrinsic-height: 25px; }
.lane::before { content: attr(data-name); flex: none; width: 74px; padding-right: 6px;
  text-align: right; font-size: 11.5px; color: var(--faint); line-height: 24px;
  white-space: nowrap; overflow: hidden; text-overflow: ellipsis; }
.track { position: relative; flex: 1; margin-right: 12px; }
.chart.by-task .axis, .chart.by-task .grid { margin-left: 208px; }
.chart.by-task .lane::before { width: 208px; padding-left: 8px; }
.lane b { position: absolute; top: 2px; height: 18px; min-width: 2px; border-radius: 3px;
  background: var(--own); color: var(--paper); font: 500 11px/18px system-ui, sans-serif;
  overflow: hidden; white-space: nowrap; padding: 0; text-indent: 5px; }
.lane b.failed, .lane b.timed_out { background: repeating-linear-gradient(135deg, var(--own),
  var(--own) 7px, color-mix(in srgb, var(--own) 72%, var(--paper)) 7px,
  color-mix(in srgb, var(--own) 72%, var(--paper)) 11px); }
.lane b.hot { box-shadow: inset 0 -4px 0 var(--hot); }
.lane b.chosen { outline: 2px solid var(--ink); outline-offset: 1px; z-index: 1; }
.js .lane b { cursor: pointer; }
.lane i { position: absolute; bottom: 1px; height: 3px; background: var(--wait);
  border-radius: 2px; min-width: 1px; }
.lane i.retry { background: repeating-linear-gradient(90deg, var(--late), var(--late) 3px,
  transparent 3px, transparent 6px); }
.legend { display: flex; flex-wrap: wrap; gap: 16px; margin-top: 8px; font-size: 12.5px;
  color: var(--faint); }
.legend span::before { content: ""; display: inline-block; width: 18px; height: 10px;
  margin-right: 6px; border-radius: 2px; background: var(--own, var(--wait)); }
.legend .failed::before, .legend .timed_out::before { background: repeating-linear-gradient(135deg,
  var(--own), var(--own) 5px, color-mix(in srgb, var(--own) 72%, var(--paper)) 5px,
  color-mix(in srgb, var(--own) 72%, var(--paper)) 8px); }
.legend .wait::before { height: 3px; vertical-align: 3px; }
.legend .retry::before { height: 3px; vertical-align: 3px; background:
  repeating-linear-gradient(90deg, var(--late), var(--late) 3px, transparent 3px,
  transparent 6px); }
.legend .hot::before { background: linear-gradient(var(--ok) 60%, var(--hot) 60%); }

.table { overflow-x: auto; border: 1px solid var(--rule); border-radius: 10px; }
table { border-collapse: collapse; width: 100%; table-layout: fixed; min-width: 960px;
  font-size: 14px; }
th { text-align: left; background: var(--card); border-bottom: 1px solid var(--rule);
  font-weight: 600; font-size: 13px; padding: 0; }
th button, th > span { display: block; width: 100%; text-align: inherit; background: none;
  border: 0; padding: 8px 12px; font-weight: 600; }
.js th button { cursor: pointer; }
.js th button:hover { background: var(--hover); }
th[aria-sort="ascending"] button::after { content: " ▲"; font-size: 10px; }
th[aria-sort="descending"] button::after { content: " ▼"; font-size: 10px; }
td { padding: 6px 12px; border-bottom: 1px solid var(--rule); overflow: hidden;
  text-overflow: ellipsis; white-space: nowrap; }
tr:last-child td { border-bottom: 0; }
tbody tr:hover { background: var(--hover); }
tr.chosen { background: var(--hover); box-shadow: inset 3px 0 0 var(--hot); }
.right { text-align: right; font-variant-numeric: tabular-nums; }
td button { background: none; border: 0; padding: 0; max-width: 100%; overflow: hidden;
  text-overflow: ellipsis; text-align: left; display: block; }
.js td button { cursor: pointer; }
.js td button:hover { color: var(--hot); text-decoration: underline; }
tr.hot td:first-child button::before { content: "◆ "; color: var(--hot); }
.more-rows { margin-top: 8px; }
.more-rows button { border: 1px solid var(--rule); border-radius: 6px; background: var(--card);
  padding: 4px 12px; min-height: 32px; cursor: pointer; }
.none td { color: var(--faint); text-align: center; }

#details { width: 400px; flex: none; position: sticky; top: 12px; max-height: calc(100vh - 24px);
  overflow: auto; border: 1px solid var(--rule); border-radius: 10px; background: var(--card);
  padding: 14px 18px 18px; }
#details[hidden] { display: none; }
#details h2 { font-size: 16px; overflow-wrap: anywhere; padding-right: 34px; margin-bottom: 4px; }
#details h2:focus { outline: none; }
#details h3 { font-size: 13px; margin-top: 16px; color: var(--faint); font-weight: 600; }
#details ul { margin: 4px 0 0; padding-left: 18px; font-size: 13px; overflow-wrap: anywhere; }
#details .close { position: absolute; top: 10px; right: 10px; width: 32px; height: 32px;
  border: 0; background: none; cursor: pointer; font-size: 18px; border-radius: 6px; }
#details .close:hover { background: var(--hover); }
#details button.link { background: none; border: 0; padding: 0; color: var(--hot);
  cursor: pointer; text-align: left; overflow-wrap: anywhere; }
#details table { min-width: 0; font-size: 13px; margin-top: 4px; }
#details td, #details th { padding: 4px 8px 4px 0; background: none; }
footer { margin-top: 40px; color: var(--faint); font-size: 13px; }

@media (max-width: 1320px) { .tiles { grid-template-columns: repeat(5, 1fr); } }
@media (max-width: 640px) { .tiles { grid-template-columns: repeat(2, 1fr); } }
@media (max-width: 1000px) {
  body { padding: 18px 16px 32px; }
  #details { position: fixed; inset: auto 8px 8px 8px; top: auto; width: auto; max-height: 62vh;
    z-index: 4; box-shadow: 0 8px 30px rgb(0 0 0 / 35%); }
  .tools input[type="search"] { min-width: 0; flex: 1 1 160px; }
}
@media print { #details, .tools { display: none; } .frame, .table { max-height: none; }
  .heavy, .chart.long .lane { content-visibility: visible; } }
@media (prefers-reduced-motion: no-preference) { .js .frame.dag .box { transition: stroke 120ms; } }
]==]
