/** Lines and bands over time, drawn by uPlot. Columns come as analytics/panels.py makes them: `t` in ms, then numbers or null. */

import { colour, count, dateOf, instant, tick, unit, withUnit, zone } from "windrow/format";

const SYNC = "time";

/** Adds a row of nulls for each missing step, so that gaps are shown as gaps; times in s. */
export function withGaps(t, stepMs, columns) {
  const x = [];
  const filled = columns.map(() => []);
  t.forEach((at, place) => {
    if (place > 0 && at - t[place - 1] > stepMs * 1.5) {
      x.push((t[place - 1] + stepMs) / 1000);
      filled.forEach((column) => column.push(null));
    }
    x.push(at / 1000);
    filled.forEach((column, which) => column.push(columns[which][place] ?? null));
  });
  return [x, ...filled];
}

function axes(of) {
  const style = { stroke: colour("muted"), grid: { stroke: colour("line"), width: 1 }, ticks: { stroke: colour("line") }, font: "12px system-ui, sans-serif" };
  return [
    { ...style, space: 70, values: (_, splits) => splits.map((at) => tick(at * 1000)) },
    { ...style, size: (_, labels) => 20 + 7 * Math.max(7, ...(labels ?? []).map((label) => label.length)), values: (_, splits) => splits.map((value) => (of === unit ? `${+value.toFixed(2)} ${unit}` : count(value))) },
  ];
}

/**
 * What all charts share. `view` is {axis, onRange, onTime, marks}: the span of time, what to call for a range or an
 * instant, and, if there are any, what gives the spans of time to mark, as [from, to] in ms.
 */
function base(host, of, { axis, onRange, onTime, marks }, markHeight) {
  return {
    width: Math.max(200, host.clientWidth),
    height: host.classList.contains("short") ? 180 : 260,
    tzDate: dateOf,
    scales: { x: { time: true, range: () => [axis.fromMs / 1000, axis.toMs / 1000] } },
    cursor: { sync: { key: SYNC }, drag: { x: Boolean(onRange), y: false, setScale: false } },
    axes: axes(of),
    hooks: {
      drawClear: marks ? [(chart) => paintMarks(chart, marks(), markHeight)] : [],
      ready: [showNewest],
      setCursor: [(chart) => {
        const { idx, left } = chart.cursor;
        if (idx == null || left < 0) showNewest(chart);
        onTime?.(left >= 0 ? chart.posToVal(left, "x") * 1000 : null);
      }],
      setSelect: [(chart) => {
        if (!onRange || chart.select.width < 5) return;
        const at = (left) => chart.posToVal(left, "x") * 1000;
        onRange(at(chart.select.left), at(chart.select.left + chart.select.width));
        chart.setSelect({ left: 0, top: 0, width: 0, height: 0 }, false);
      }],
    },
  };
}

/** Paint spans of time under the lines: over the whole height of the plot, or `height` pixels above its bottom. */
function paintMarks(chart, spans, height = Infinity) {
  const { ctx, bbox } = chart, tall = Math.min(bbox.height, height * devicePixelRatio);
  const at = (ms) => Math.min(bbox.left + bbox.width, Math.max(bbox.left, chart.valToPos(ms / 1000, "x", true)));
  ctx.save();
  ctx.fillStyle = resolved(`color-mix(in srgb, ${colour("bad")} ${tall < bbox.height ? 70 : 16}%, transparent)`);
  for (const [fromMs, toMs] of spans) {
    const [left, right] = [at(fromMs), at(toMs)];
    if (right > left) ctx.fillRect(left, bbox.top + bbox.height - tall, right - left, tall);
  }
  ctx.restore();
}

/** Without a cursor, the legend shows the newest values. */
function showNewest(chart) {
  if (chart.data[0].length) chart.setLegend({ idx: chart.data[0].length - 1 }, false);
}

const time = () => ({ label: zone(), value: (_, at) => (at == null ? "–" : instant(at * 1000)) });
const shown = (_, value) => withUnit(value);
const number = (_, value) => count(value);

/** A chart that is as wide as its host and can be read with the arrow keys. A cursor stays at its time when it is drawn anew. */
function draw(host, options, data) {
  const before = host.windrow?.chart;
  const at = before?.data[0][before.cursor.idx ?? -1];
  host.windrow?.destroy();
  host.replaceChildren();
  const setCursor = (drawn, place) =>
    drawn.setCursor({ left: drawn.valToPos(data[0][place], "x"), top: drawn.bbox.height / 2 / devicePixelRatio }, true, true);
  if (data[0].includes(at)) options.hooks.ready.push((drawn) => setCursor(drawn, data[0].indexOf(at)));
  const chart = new uPlot(options, data, host);
  const resized = new ResizeObserver(() => chart.setSize({ width: Math.max(200, host.clientWidth), height: options.height }));
  resized.observe(host);
  const onKey = (event) => {
    const step = { ArrowLeft: -1, ArrowRight: 1 }[event.key];
    if (!step || !data[0].length) return;
    event.preventDefault();
    const place = Math.min(data[0].length - 1, Math.max(0, (chart.cursor.idx ?? (step > 0 ? -1 : data[0].length)) + step));
    setCursor(chart, place);
  };
  host.addEventListener("keydown", onKey);
  const onLeave = () => chart.setCursor({ left: -10, top: -10 }, true, true);
  host.addEventListener("blur", onLeave);
  host.windrow = {
    chart,
    data,
    destroy() {
      resized.disconnect();
      host.removeEventListener("keydown", onKey);
      host.removeEventListener("blur", onLeave);
      chart.destroy();
    },
  };
  return host.windrow;
}

const line = (label, name, width = 2) => ({ label, stroke: colour(name), width, points: { show: false }, value: shown });
const edge = (label) => ({ label, stroke: "transparent", width: 0, points: { show: false }, value: shown });
const shade = (percent) => `color-mix(in srgb, ${colour("accent")} ${percent}%, transparent)`;

/** uPlot passes colours to a canvas, which may not support color-mix. */
function resolved(value) {
  const probe = document.createElement("span");
  probe.style.color = value;
  document.body.append(probe);
  const found = getComputedStyle(probe).color;
  probe.remove();
  return found;
}

const MARK_HEIGHT = 5;
const dots = { show: true, size: 4 };

/** `open` are windows that are not rolled yet: behind the others, their means on a dashed line. */
export function drawFleet(host, fleet, view, open = []) {
  const joined = (name) => [...fleet[name], ...open.map((one) => one[name])];
  const columns = ["max", "mean", "min", "sensors"].map(joined);
  // The dashed line begins at the last mean that is exact.
  const provisional = open.length ? [joined("mean").map((value, place) => (place >= fleet.t.length - 1 ? value : null))] : [];
  const data = withGaps(joined("t"), fleet.step_ms, [...columns, ...provisional]);
  if (open.length) data[2] = data[2].map((value, place) => (data[0][place] * 1000 < open[0].t ? value : null));
  const options = {
    ...base(host, unit, view, MARK_HEIGHT),
    series: [
      time(), edge("max"), { ...line("mean", "accent"), points: data[0].length < 60 ? dots : { show: false } }, edge("min"),
      { label: "sensors", scale: "sensors", show: true, stroke: "transparent", points: { show: false }, value: number },
      ...provisional.map(() => ({ ...line("provisional", "warm"), dash: [4, 4], points: dots })),
    ],
    bands: [{ series: [1, 3], fill: resolved(shade(22)) }],
  };
  return draw(host, options, data);
}

export function drawHistory(host, history, view) {
  const names = ["max", "p95", "p75", "mean", "p50", "p25", "p05", "min"];
  const data = withGaps(history.t, history.step_ms, [...names.map((name) => history[name]), history.readings]);
  const options = {
    ...base(host, unit, view),
    series: [
      time(), edge("max"), edge("p95"), edge("p75"), line("mean", "accent"), { ...line("median", "warm", 1), dash: [4, 4] },
      edge("p25"), edge("p05"), edge("min"),
      { label: "readings", scale: "readings", stroke: "transparent", points: { show: false }, value: number },
    ],
    bands: [
      { series: [1, 8], fill: resolved(shade(12)) },
      { series: [2, 7], fill: resolved(shade(18)) },
      { series: [3, 6], fill: resolved(shade(26)) },
    ],
  };
  return draw(host, options, data);
}

/** Counts over time as bars; each of `parts` is {label, values, colour}. */
export function drawCounts(host, t, stepMs, parts, view) {
  const data = withGaps(t, stepMs, parts.map((part) => part.values));
  const bars = uPlot.paths.bars({ size: [0.85, 40], align: 1 });
  const options = {
    ...base(host, "", view),
    series: [
      time(),
      ...parts.map((part) => ({
        label: part.label, stroke: colour(part.colour), fill: resolved(`color-mix(in srgb, ${colour(part.colour)} 55%, transparent)`),
        width: 0, paths: bars, points: { show: false }, value: number,
      })),
    ],
  };
  options.scales.y = { range: (_, low, high) => [0, Math.max(1, high * 1.08)] };
  return draw(host, options, data);
}
