/** The page. What it shows is kept in the address, so a reload or a bookmark shows it again. */

import { drawFleet, drawHistory } from "windrow/charts";
import { count, instant, rfc3339 } from "windrow/format";
import { Heatmap, shadeOf } from "windrow/heatmap";
import { showCompleteness, showFacts, showMovers, showSilent } from "windrow/panels";
import { sourceOf } from "windrow/source";

const REFRESH_MS = 30_000;
const PER_PAGE = 25;
const THEMES = ["system", "light", "dark"];
const byId = (id) => document.getElementById(id);

const source = sourceOf(document);
const address = new URLSearchParams(location.hash.slice(1));
const state = {
  from: address.get("from") ?? "-24h",
  to: address.get("to") ?? "now",
  search: address.get("search") ?? "",
  sort: address.get("sort") ?? "name",
  page: Number(address.get("page") ?? 0),
  sensor: address.get("sensor") ?? "",
};
const shown = { charts: {}, overview: null, heatmap: null, refreshes: 0 };
let running = null;

const heatmap = new Heatmap({
  names: byId("names"), canvas: byId("cells"), hours: byId("hours"), cell: byId("cell"), scale: byId("scale"), onSensor: openSensor,
});
// For tests and debugging: what is drawn, as numbers.
window.windrow = { state, shown, heatmap, shadeOf };

const range = () => ({ from: state.from, to: state.to });

function remember() {
  const kept = Object.entries(state).filter(([, value]) => value);
  history.replaceState(null, "", `#${new URLSearchParams(kept)}`);
  for (const button of document.querySelectorAll("#ranges [data-from]")) {
    button.setAttribute("aria-pressed", String(button.dataset.from === state.from && state.to === "now"));
  }
}

function complain(error) {
  if (error.name === "AbortError") return;
  byId("banner").hidden = false;
  byId("banner").textContent = error.message;
  byId("status").textContent = "";
}

/** Ask for everything and draw it; a newer call replaces one that is still running. */
async function refresh() {
  running?.abort();
  const mine = (running = new AbortController());
  byId("status").textContent = "loading …";
  const watch = source.isLive ? setInterval(showProgress, 700) : null;
  try {
    shown.overview = await source.overview(range(), mine.signal);
    byId("banner").hidden = true;
    drawOverview();
    await Promise.all([refreshHeatmap(mine.signal), refreshHistory(mine.signal)]);
    shown.refreshes += 1;
    byId("status").textContent = statusLine();
  } catch (error) {
    complain(error);
  } finally {
    clearInterval(watch);
  }
}

async function showProgress() {
  const { loaded, windows } = await source.progress().catch(() => ({}));
  if (windows && byId("status").textContent.startsWith("loading")) byId("status").textContent = `loading … ${loaded} of ${windows} windows`;
}

function statusLine() {
  const { range: bounds, made_ms: madeMs, engine } = shown.overview;
  const spelled = `${instant(bounds.from_ms)} to ${instant(bounds.to_ms)} UTC`;
  return source.isLive ? `${spelled}, updated ${instant(madeMs).slice(-5)}` : `${spelled}, exported ${instant(madeMs)} from ${engine}`;
}

function drawOverview() {
  const { overview } = shown;
  byId("stage").textContent = `stage ${overview.stage}`;
  document.title = `windrow ${overview.stage}`;
  showFacts(overview);
  const onRange = source.isLive ? lookCloser : null;
  shown.charts.fleet = drawFleet(byId("fleet"), overview.fleet, onRange);
  Object.assign(shown.charts, showCompleteness(overview, onRange));
  showMovers(overview, openSensor);
  showSilent(overview, openSensor);
  if (!overview.fleet.t.length) {
    const newest = overview.newest_ms ? `the newest are of ${instant(overview.newest_ms)} UTC` : "nothing was ever rolled: run windrow tick";
    complain(new Error(`no rows in this range; ${newest}`));
  }
}

async function refreshHeatmap(signal) {
  const wanted = { search: state.search, sort: state.sort, page: state.page, per_page: PER_PAGE };
  shown.heatmap = await source.heatmap(range(), wanted, signal);
  state.page = shown.heatmap.page;
  heatmap.show(shown.heatmap, state.sensor);
  const { total, page, sensors } = shown.heatmap;
  const first = page * PER_PAGE;
  byId("page").textContent = total ? `${count(first + 1)}–${count(first + sensors.length)} of ${count(total)}` : "none found";
  byId("previous").disabled = page === 0;
  byId("next").disabled = first + sensors.length >= total;
}

async function refreshHistory(signal) {
  byId("history-panel").hidden = !state.sensor;
  if (!state.sensor) return;
  byId("history-title").textContent = state.sensor;
  const found = await source.history(range(), state.sensor, signal);
  shown.charts.history = drawHistory(byId("history"), found, source.isLive ? lookCloser : null);
}

async function redo(part) {
  remember();
  await part(running?.signal).catch(complain);
}

async function openSensor(sensor) {
  state.sensor = sensor;
  heatmap.show(shown.heatmap, sensor);
  await redo(refreshHistory);
  byId("history-panel").scrollIntoView({ block: "nearest" });
}

function closeSensor() {
  state.sensor = "";
  heatmap.show(shown.heatmap, "");
  redo(refreshHistory);
}

function look(from, to = "now") {
  Object.assign(state, { from, to, page: 0 });
  byId("custom").open = false;
  remember();
  refresh();
}

/** The range that was dragged, out to whole windows. */
function lookCloser(fromMs, toMs) {
  const windowMs = shown.overview.window_ms;
  look(rfc3339(Math.floor(fromMs / windowMs) * windowMs), rfc3339(Math.ceil(toMs / windowMs) * windowMs));
}

function turn(pages) {
  state.page = Math.max(0, state.page + pages);
  redo(refreshHeatmap);
}

function useTheme(theme) {
  document.documentElement.dataset.theme = theme;
  byId("theme").setAttribute("aria-label", `Colours: ${theme === "system" ? "as the system has them" : theme}`);
  try {
    localStorage.setItem("windrow-theme", theme);
  } catch {
    // A file that was opened from disk may have no storage; then the choice lasts as long as the page.
  }
  if (!shown.overview) return;
  drawOverview();
  if (state.sensor) redo(refreshHistory);
}

function nextTheme() {
  const now = document.documentElement.dataset.theme ?? THEMES[0];
  useTheme(THEMES[(THEMES.indexOf(now) + 1) % THEMES.length]);
}

function savedTheme() {
  try {
    return localStorage.getItem("windrow-theme") ?? THEMES[0];
  } catch {
    return THEMES[0];
  }
}

const KEYS = {
  1: () => look("-2h"), 2: () => look("-6h"), 3: () => look("-24h"), 4: () => look("-7d"),
  "/": () => byId("search").focus(), "[": () => turn(-1), "]": () => turn(1), r: refresh, t: nextTheme,
  "?": () => byId("keys").showModal(), Escape: closeSensor,
};

function listen() {
  byId("ranges").addEventListener("click", (event) => event.target.dataset.from && look(event.target.dataset.from));
  byId("ranges").addEventListener("submit", (event) => {
    event.preventDefault();
    look(byId("from").value.trim() || "-24h", byId("to").value.trim() || "now");
  });
  let typing = null;
  byId("search").addEventListener("input", () => {
    clearTimeout(typing);
    typing = setTimeout(() => {
      Object.assign(state, { search: byId("search").value, page: 0 });
      redo(refreshHeatmap);
    }, 150);
  });
  byId("sort").addEventListener("change", () => {
    Object.assign(state, { sort: byId("sort").value, page: 0 });
    redo(refreshHeatmap);
  });
  byId("previous").addEventListener("click", () => turn(-1));
  byId("next").addEventListener("click", () => turn(1));
  byId("close").addEventListener("click", closeSensor);
  byId("theme").addEventListener("click", nextTheme);
  byId("help").addEventListener("click", () => byId("keys").showModal());
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => useTheme(savedTheme()));
  document.addEventListener("keydown", (event) => {
    const isTyping = event.target.matches("input, select") || byId("keys").open;
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    if (isTyping) return event.key === "Escape" && event.target.blur();
    if (!source.isLive && "1234r".includes(event.key)) return;
    if (KEYS[event.key]) {
      event.preventDefault();
      KEYS[event.key]();
    }
  });
  setInterval(() => {
    const isMoving = source.isLive && state.to === "now";
    if (isMoving && byId("auto").checked && !document.hidden) refresh();
  }, REFRESH_MS);
}

useTheme(savedTheme());
byId("search").value = state.search;
byId("sort").value = state.sort;
if (!source.isLive) {
  byId("ranges").hidden = true;
  byId("auto").parentElement.hidden = true;
}
listen();
remember();
refresh();
