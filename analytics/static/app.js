/** The page. What it shows is kept in the address, so a reload or a bookmark shows it again. */

import { drawFleet, drawHistory } from "windrow/charts";
import { showExcursions, spansOf } from "windrow/excursions";
import { count, element, instant, quantity, rfc3339, useLocalTime, useQuantity, zone } from "windrow/format";
import { Heatmap, shadeOf } from "windrow/heatmap";
import { showCompleteness, showFacts, showMovers, showNewest, showSilent, showSites } from "windrow/panels";
import { pushedTo } from "windrow/pushed";
import { axisOf, zoomedOut } from "windrow/range";
import { sessionOf } from "windrow/sign_in";
import { sourceOf } from "windrow/source";

const REFRESH_MS = 30_000;
const LIVE_MS = 10_000;
const PER_PAGE = 25;
const THEMES = ["system", "light", "dark"];
const byId = (id) => document.getElementById(id);

const session = await sessionOf(document);
const source = sourceOf(document, session);
const pushed = pushedTo(document, session, hearLive);
const state = {};
const NO_EXCURSIONS = { total: 0, listed: [] };
const shown = { charts: {}, overview: null, open: [], sites: null, newest: null, heatmap: null, excursions: NO_EXCURSIONS, refreshes: 0 };
let running = null;

const heatmap = new Heatmap({
  names: byId("names"), canvas: byId("cells"), hours: byId("hours"), cursor: byId("cursor"), cell: byId("cell"), scale: byId("scale"),
  onSensor: openSensor, onTime: pointAt,
});
// For tests and debugging: what is drawn, as numbers.
window.windrow = { state, shown, heatmap, shadeOf, pushed };

/** What is asked with every question: the range, and the quantity if it is not the one that is served. */
const range = () => ({ from: state.from, to: state.to, ...about() });
const about = () => (state.quantity ? { quantity: state.quantity, unit: state.unit } : {});

/** Take the state from the address. */
function recall() {
  const address = new URLSearchParams(location.hash.slice(1));
  const text = (name, otherwise = "") => address.get(name) ?? otherwise;
  Object.assign(state, {
    from: text("from", "-24h"), to: text("to", "now"), search: text("search"), sort: text("sort", "name"),
    page: Number(text("page", "0")) || 0, sensor: text("sensor"),
    quantity: text("quantity"), unit: text("unit"),
  });
  byId("search").value = state.search;
  byId("sort").value = state.sort;
}

function addressOf(bounds) {
  const kept = Object.entries({ ...state, ...bounds }).filter(([, value]) => value);
  return `#${new URLSearchParams(kept)}`;
}

/** Keep the state in the address; a new range or sensor is a step that Back undoes. */
function remember({ isStep = false } = {}) {
  const hash = addressOf({});
  if (hash !== location.hash) history[isStep ? "pushState" : "replaceState"](null, "", hash);
  for (const button of document.querySelectorAll("#ranges [data-from]")) {
    button.setAttribute("aria-pressed", String(button.dataset.from === state.from && state.to === "now"));
  }
}

/** Links that follow the state: this page with fixed times, and each panel as JSON. */
function link() {
  const { from_ms: fromMs, to_ms: toMs } = shown.overview.range;
  const bounds = { from: rfc3339(fromMs), to: rfc3339(toMs), ...about() };
  byId("permalink").href = addressOf(bounds);
  const { search, sort, page, sensor } = state;
  const also = { sensors: { search, sort, page, per_page: PER_PAGE }, sensor: { sensor } };
  for (const one of document.querySelectorAll("[data-api]")) {
    one.hidden = !source.isLive || Boolean(session); // a link would come without a token
    const asked = new URLSearchParams({ ...bounds, ...also[one.dataset.api] });
    if (one.dataset.api === "excursions") asked.delete("unit");
    one.href = `v1/${one.dataset.api}?${asked}`;
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
  byId("main").classList.add("loading");
  const watch = source.isLive ? setInterval(showProgress, 700) : null;
  try {
    const overview = await source.overview(range(), mine.signal);
    shown.overview = overview;
    await refreshOpen(mine.signal);
    useQuantity(overview.quantity);
    byId("quantity").value = choiceOf(overview.quantity);
    byId("banner").hidden = true;
    drawOverview();
    await Promise.all([refreshHeatmap(mine.signal), refreshHistory(mine.signal), refreshExcursions(mine.signal)]);
    shown.refreshes += 1;
    byId("status").textContent = statusLine();
    byId("main").classList.remove("stale");
  } catch (error) {
    if (error.name !== "AbortError") byId("main").classList.add("stale"); // what is shown is of before
    complain(error);
  } finally {
    clearInterval(watch);
    if (mine === running) byId("main").classList.remove("loading");
  }
}

async function showProgress() {
  const { loaded, windows } = await source.progress(range()).catch(() => ({}));
  if (windows && byId("status").textContent.startsWith("loading")) byId("status").textContent = `loading … ${loaded} of ${windows} windows`;
}

function statusLine() {
  const { range: bounds, made_ms: madeMs, engine } = shown.overview;
  const spelled = `${instant(bounds.from_ms)} to ${instant(bounds.to_ms)} ${zone()}`;
  return source.isLive ? `${spelled}, updated ${instant(madeMs).slice(-5)}` : `${spelled}, exported ${instant(madeMs)} from ${engine}`;
}

function drawOverview() {
  const { overview } = shown;
  byId("stage").textContent = `stage ${overview.stage}${quantity && ` · ${quantity}`}`;
  document.title = `windrow ${overview.stage}`;
  showFacts(overview);
  const view = viewOf();
  showFleet(view);
  showExcursions(shown.excursions, overview.made_ms, openSensor);
  Object.assign(shown.charts, showCompleteness(overview, view));
  showMovers(overview, openSensor);
  showSilent(overview, openSensor);
  link();
  if (!overview.fleet.t.length) {
    const newest = overview.newest_ms ? `the newest are of ${instant(overview.newest_ms)} ${zone()}` : "nothing was ever rolled: run windrow tick";
    complain(new Error(`no rows in this range; ${newest}`));
  }
}

/** The fleet, with the windows behind it that are not rolled yet. */
function showFleet(view = viewOf()) {
  const { overview, open } = shown;
  const marks = () => spansOf(shown.excursions, overview.made_ms);
  shown.charts.fleet = drawFleet(byId("fleet"), overview.fleet, { ...view, marks }, open);
  byId("open").hidden = !open.length;
  const what = (one) => (one.isPushed ? "the newest values" : `${count(one.readings)} readings`);
  const told = open.map((one) => `${instant(one.t).slice(-5)} (${what(one)} of ${count(one.sensors)} sensors)`);
  byId("open").textContent = `Provisional, until they are rolled: the windows of ${told.join(" and ")}.`;
  showSites(open.length ? shown.sites : null);
  showNewest(shown.newest, state.sensor);
}

/** Whether the server reads windows that are not rolled yet; it says so the first time. */
let readsOpen = source.isLive;

const NO_SITES = { total: 0, site: [], sensors: [], readings: [], mean: [], min: [], max: [], beyond: [] };
/** What was last answered of open windows, and what it was about: while values are pushed, it is asked for once. */
let live = { topic: "", windows: [], sites: NO_SITES, limits: 0, newest: null };

const showsOpen = () => readsOpen && state.to === "now" && shown.overview.fleet.step_ms === shown.overview.window_ms;

/** Ask for windows behind the last rolled one, if the range moves and has a step for each. */
async function refreshOpen(signal) {
  shown.open = [];
  shown.newest = null;
  if (!showsOpen()) return;
  const topic = JSON.stringify([about(), state.sensor, pushed?.opened]);
  if (!pushed?.isOpen || topic !== live.topic) {
    try {
      await askLive(topic, signal);
    } catch (error) {
      if (error.name === "AbortError" || !(error.isAbout || pushed?.isOpen)) throw error;
      live = { topic, windows: [], sites: NO_SITES, limits: 0, newest: null };
      readsOpen = Boolean(pushed); // there is more than it reads; the other panels are as good as before
    }
  }
  if (showsOpen()) useLive();
}

async function askLive(topic, signal) {
  const sensor = state.sensor;
  const answer = await source.live(about(), sensor, signal);
  readsOpen = answer.is_live;
  const isHeard = sensor !== "" && answer.sensors[0] === sensor;
  const newest = isHeard ? { sensor, ms: answer.last_time[0], value: answer.last[0] } : null;
  live = { topic, windows: answer.windows, sites: answer.sites, limits: answer.limits, newest };
}

/** Take what was answered, with what was pushed since. */
function useLive() {
  const { fleet, window_ms: windowMs, quantity: one } = shown.overview;
  const sites = pushed?.isOpen ? pushed.sitesOver(live.sites, one) : live.sites;
  const windows = pushed?.isOpen ? pushed.windowsOver(live.windows, sites, one, windowMs) : live.windows;
  shown.open = windows.filter((row) => row.t > (fleet.t.at(-1) ?? 0));
  shown.sites = { ...sites, limits: live.limits };
  shown.newest = pushed?.isOpen ? pushed.newestOf(state.sensor, one, live.newest) : live.newest;
}

/** Whether live values are to be shown as they come. */
const followsLive = () => readsOpen && state.to === "now" && byId("auto").checked && !document.hidden && shown.overview !== null;

/** Show what was pushed; a connection that is new is asked about first. */
function hearLive() {
  if (followsLive()) refreshOpen(running?.signal).then(() => showFleet(), complain);
}

/** The span of time that all panels share, and what they do with a range that is dragged and an instant that is pointed at. */
function viewOf() {
  return { axis: axisOf(shown.overview), onRange: source.isLive ? lookCloser : null, onTime: (ms) => heatmap.mark(ms) };
}

/** Show an instant that the heatmap points at in every chart. */
function pointAt(ms) {
  heatmap.mark(ms);
  for (const { chart } of Object.values(shown.charts)) {
    const left = ms === null ? -10 : chart.valToPos(ms / 1000, "x");
    chart.setCursor({ left, top: left < 0 ? -10 : chart.bbox.height / 2 / devicePixelRatio }, false);
    chart.setLegend({ idx: ms === null ? Math.max(0, chart.data[0].length - 1) : chart.posToIdx(left) }, false);
  }
}

/** How often each part was asked for: an answer that comes after a newer question is dropped. */
const asked = { heatmap: 0, history: 0 };

async function refreshHeatmap(signal) {
  const turn = ++asked.heatmap;
  const wanted = { search: state.search, sort: state.sort, page: state.page, per_page: PER_PAGE };
  const answer = await source.heatmap(range(), wanted, signal);
  if (turn !== asked.heatmap) return;
  shown.heatmap = answer;
  state.page = shown.heatmap.page;
  heatmap.show(shown.heatmap, state.sensor, axisOf(shown.overview));
  const { total, page, sensors } = shown.heatmap;
  const first = page * PER_PAGE;
  byId("page").textContent = total ? `${count(first + 1)}–${count(first + sensors.length)} of ${count(total)}` : "none found";
  byId("previous").disabled = page === 0;
  byId("next").disabled = first + sensors.length >= total;
}

async function refreshHistory(signal) {
  const turn = ++asked.history;
  byId("history-panel").hidden = !state.sensor;
  if (!state.sensor) {
    delete shown.charts.history;
    return;
  }
  byId("history-title").textContent = state.sensor;
  let found = null;
  try {
    found = await source.history(range(), state.sensor, signal);
    if (turn !== asked.history) return;
  } catch (error) {
    if (error.name === "AbortError" || !error.isAbout) throw error;
    if (turn !== asked.history) return;
    byId("history-error").textContent = error.message; // the other panels are as good as before
  }
  byId("history-error").hidden = Boolean(found);
  byId("history").hidden = !found;
  const marks = () => spansOf(shown.excursions, shown.overview.made_ms, found.sensor);
  if (found) shown.charts.history = drawHistory(byId("history"), found, { ...viewOf(), marks });
}

/** For which rows excursions were asked for: they follow from rows, so as long as these stand, so do they. */
let judged = "";

async function refreshExcursions(signal) {
  const { quantity: one, completeness } = shown.overview;
  const rows = JSON.stringify([state.from, state.to, one, completeness.t.at(-1), completeness.revision]);
  if (rows === judged) return;
  try {
    shown.excursions = await source.excursions(range(), one, signal);
    judged = rows;
  } catch (error) {
    if (error.name === "AbortError" || !error.isAbout) throw error;
    shown.excursions = NO_EXCURSIONS; // the other panels are as good as before
    complain(error);
  }
  showExcursions(shown.excursions, shown.overview.made_ms, openSensor);
  for (const { chart } of [shown.charts.fleet, shown.charts.history].filter(Boolean)) chart.redraw(false);
}

async function redo(part, step) {
  remember(step);
  if (shown.overview) link();
  await part(running?.signal).catch(complain);
}

async function openSensor(sensor) {
  state.sensor = sensor;
  showNewest(null, sensor);
  heatmap.show(shown.heatmap, sensor, axisOf(shown.overview));
  await redo(refreshHistory, { isStep: true });
  refreshOpen(running?.signal).then(() => showFleet(), complain);
  byId("history-panel").scrollIntoView({ block: "nearest" });
}

function closeSensor() {
  if (!state.sensor) return;
  state.sensor = "";
  heatmap.show(shown.heatmap, "", axisOf(shown.overview));
  redo(refreshHistory, { isStep: true });
}

function look(from, to = "now") {
  Object.assign(state, { from, to, page: 0 });
  byId("custom").open = false;
  remember({ isStep: true });
  refresh();
}

/** The range that was dragged, out to whole windows. */
function lookCloser(fromMs, toMs) {
  const windowMs = shown.overview.window_ms;
  look(rfc3339(Math.floor(fromMs / windowMs) * windowMs), rfc3339(Math.ceil(toMs / windowMs) * windowMs));
}

function lookFarther() {
  if (!source.isLive || !shown.overview) return;
  const { from, to } = zoomedOut(shown.overview.range, Date.now(), shown.overview.longest_ms);
  look(from, to);
}

function turn(pages) {
  state.page = Math.max(0, state.page + pages);
  redo(refreshHeatmap);
}

const choiceOf = ({ name, unit }) => JSON.stringify([name, unit]);

/** Offer what was measured, if there is a choice; what the address names is offered too. */
async function offerQuantities() {
  const found = await source.quantities().catch(() => []);
  const named = shown.overview ? [shown.overview.quantity] : [];
  const all = new Map([...found.map((one) => ({ name: one.quantity, unit: one.unit })), ...named].map((one) => [choiceOf(one), one]));
  const text = ({ name, unit }) => `${name}, ${name === "temperature" && unit === "C" ? "°C" : unit}`;
  byId("quantity").replaceChildren(...[...all].map(([value, one]) => element("option", { value }, text(one))));
  byId("quantities").hidden = all.size < 2;
  if (shown.overview) byId("quantity").value = choiceOf(shown.overview.quantity);
}

function measure(choice) {
  const [name, unit] = JSON.parse(choice);
  Object.assign(state, { quantity: name, unit, page: 0 });
  remember({ isStep: true });
  refresh();
}

function useTheme(theme) {
  document.documentElement.dataset.theme = theme;
  byId("theme").setAttribute("aria-label", `Colours: ${theme === "system" ? "as the system has them" : theme}`);
  keep("windrow-theme", theme);
  drawAgain();
}

/** Draw what is there once more: with other colours, or in another zone. */
function drawAgain() {
  if (!shown.overview) return;
  drawOverview();
  if (shown.heatmap) heatmap.show(shown.heatmap, state.sensor, axisOf(shown.overview));
  byId("status").textContent = statusLine();
  if (state.sensor) redo(refreshHistory);
}

function useZone(name) {
  useLocalTime(name === "local");
  byId("zone").textContent = name === "local" ? "local" : "UTC";
  byId("zone").setAttribute("aria-label", `Times in ${zone()}; change`);
  byId("zone").title = zone();
  keep("windrow-zone", name);
  drawAgain();
}

function nextZone() {
  useZone(kept("windrow-zone", "UTC") === "UTC" ? "local" : "UTC");
}

const chosen = {};

/** Keep a choice for the next time. */
function keep(name, value) {
  chosen[name] = value;
  try {
    localStorage.setItem(name, value);
  } catch {
    // A file that was opened from disk may have no storage; then the choice lasts as long as the page.
  }
}

function kept(name, otherwise) {
  try {
    return localStorage.getItem(name) ?? otherwise;
  } catch {
    return chosen[name] ?? otherwise;
  }
}

function nextTheme() {
  const now = document.documentElement.dataset.theme ?? THEMES[0];
  useTheme(THEMES[(THEMES.indexOf(now) + 1) % THEMES.length]);
}

const savedTheme = () => kept("windrow-theme", THEMES[0]);

const KEYS = {
  1: () => look("-2h"), 2: () => look("-6h"), 3: () => look("-24h"), 4: () => look("-7d"),
  "/": () => byId("search").focus(), q: () => byId("quantity").focus(), "[": () => turn(-1), "]": () => turn(1), r: refresh, t: nextTheme,
  u: nextZone, "-": lookFarther,
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
  byId("quantity").addEventListener("change", () => measure(byId("quantity").value));
  byId("previous").addEventListener("click", () => turn(-1));
  byId("next").addEventListener("click", () => turn(1));
  byId("close").addEventListener("click", closeSensor);
  byId("theme").addEventListener("click", nextTheme);
  byId("zone").addEventListener("click", nextZone);
  byId("out").addEventListener("click", lookFarther);
  for (const host of document.querySelectorAll(".chart")) host.addEventListener("dblclick", lookFarther);
  window.addEventListener("popstate", () => {
    recall();
    remember();
    refresh();
  });
  byId("sign-out").addEventListener("click", () => session.signOut());
  byId("help").addEventListener("click", () => byId("keys").showModal());
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => useTheme(savedTheme()));
  document.addEventListener("keydown", (event) => {
    const isTyping = event.target.matches("input, select") || byId("keys").open;
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    if (isTyping) return event.key === "Escape" && event.target.blur();
    if (!source.isLive && "1234rq-".includes(event.key)) return;
    if (KEYS[event.key]) {
      event.preventDefault();
      KEYS[event.key]();
    }
  });
  setInterval(() => {
    const isMoving = source.isLive && state.to === "now";
    if (isMoving && byId("auto").checked && !document.hidden) refresh();
  }, REFRESH_MS);
  setInterval(() => {
    if (!pushed?.isOpen) hearLive();
  }, LIVE_MS);
}

recall();
useTheme(savedTheme());
useZone(kept("windrow-zone", "UTC"));
if (!source.isLive) {
  byId("ranges").hidden = true;
  byId("auto").parentElement.hidden = true;
}
byId("sign-out").hidden = !session;
listen();
remember();
const drawn = refresh();
if (source.isLive) drawn.then(offerQuantities);
