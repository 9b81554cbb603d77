/** Excursions beyond the limits of rules: a list of them, and when they were, for the charts. */

import { count, element, instant, span, unit, withUnit } from "windrow/format";
import { link, table } from "windrow/panels";

/** So many are listed and drawn, the newest; the server gives as many a page. */
export const LISTED_MAX = 200;
const LAST_PAGE = 1_000_000;
const byId = (id) => document.getElementById(id);

/** The newest excursions of a quantity in its unit, those that last first; `ask` asks for a page of them. */
export async function newestOf(ask, { name, unit: symbol }) {
  const last = await ask({ quantity: name, page: LAST_PAGE, per_page: LISTED_MAX });
  const isShort = last.page > 0 && last.excursions.length < LISTED_MAX;
  const before = isShort ? (await ask({ quantity: name, page: last.page - 1, per_page: LISTED_MAX })).excursions : [];
  const newest = [...before, ...last.excursions].slice(-LISTED_MAX).reverse();
  const listed = newest.filter((one) => one.unit === symbol);
  return { total: last.total, listed: [...listed.filter(lasts), ...listed.filter((one) => !lasts(one))] };
}

const lasts = (one) => one.ended === null;

/** When excursions were, those of one sensor if it is named: [from, to] in ms; what lasts goes on to `untilMs`. */
export function spansOf({ listed }, untilMs, sensor = null) {
  return listed.filter((one) => sensor === null || one.sensor_id === sensor).map((one) => [one.began, one.ended ?? untilMs]);
}

/** What the panel says above its list. */
export function aboutExcursions({ total, listed }) {
  const lasting = listed.filter(lasts).length;
  const now = lasting ? `${count(lasting)} ${lasting === 1 ? "lasts" : "last"}.` : "None lasts.";
  const left = total > listed.length ? ` The newest ${count(listed.length)} of ${count(total)} are listed and drawn.` : "";
  return `${now} In the chart of a sensor they are shaded, under that of the fleet they are marked.${left}`;
}

export function showExcursions(found, madeMs, onSensor) {
  const { listed } = found;
  byId("excursions-panel").hidden = !listed.length;
  byId("excursions-panel").classList.toggle("bad", listed.some(lasts));
  byId("excursions-text").textContent = aboutExcursions(found);
  const countsMinutes = listed.some((one) => one.held_minutes !== null);
  const rows = listed.map((one) => [
    link(one.sensor_id, onSensor),
    element("span", { class: "wrap" }, `${one.rule}, ${one.severity}${one.revision > 1 ? ", corrected" : ""}`),
    instant(one.began),
    `${STATES[one.state] ?? one.state} ${span((one.ended ?? madeMs) - one.began)}`,
    withUnit(one.extreme),
    ...(countsMinutes ? [one.held_minutes?.toFixed(1) ?? ""] : []),
    one.beyond_unit_minutes.toFixed(1),
  ]);
  const held = countsMinutes ? ["held, min"] : [];
  const headings = ["sensor", "rule", "since", "for", "farthest", ...held, `beyond, ${unit}·min`];
  byId("excursions").replaceChildren(...(rows.length ? [table("", headings, rows)] : []));
}

const STATES = { lasts: "lasts,", cleared: "", lost: "lost after" };
