/** The key figures, movers, silent sensors, and the completeness from the lineages. */

import { drawCounts } from "windrow/charts";
import { count, element, instant, moment, span, unit, withUnit } from "windrow/format";

const byId = (id) => document.getElementById(id);
const sum = (values) => values.reduce((total, value) => total + value, 0);

/** A window is closed two minutes after its end, and shown at the next tick: later than this, ticks are missing. */
const BEHIND_MS_MAX = 15 * 60_000;

export function showFacts({ fleet, completeness, silent, made_ms: madeMs, window_ms: windowMs, range }) {
  const readings = sum(fleet.readings);
  const mean = readings ? sum(fleet.mean.map((value, place) => value * fleet.readings[place])) / readings : null;
  const newestMs = completeness.t.at(-1);
  const isLive = range.to_ms >= madeMs;
  const behindMs = isLive && newestMs !== undefined ? madeMs - newestMs - windowMs : 0;
  const ago = behindMs > BEHIND_MS_MAX ? `, ${span(behindMs)} ago` : "";
  const facts = [
    ["silent sensors", silent.at === null ? "unknown" : count(silent.count), silent.count > 0],
    ["sensors, newest window", count(completeness.sensors.at(-1) ?? 0), completeness.sensors.at(-1) === 0],
    ["newest window", newestMs === undefined ? "–" : `${instant(newestMs)}${ago}`, Boolean(ago)],
    ["readings", count(readings)],
    ["mean", withUnit(mean)],
    ["lowest", withUnit(fleet.min.length ? Math.min(...fleet.min) : null)],
    ["highest", withUnit(fleet.max.length ? Math.max(...fleet.max) : null)],
    ["windows corrected", count(completeness.revision.filter((revision) => revision > 1).length)],
  ];
  byId("facts").replaceChildren(
    ...facts.map(([name, value, isBad]) =>
      element("div", isBad ? { class: "bad" } : {}, element("dl", {}, element("dt", {}, name), element("dd", {}, value)))),
  );
}

export function showCompleteness({ completeness: found, window_ms: stepMs }, view) {
  const open = found.is_final.filter((isFinal) => !isFinal).length;
  const empty = found.readings.filter((readings) => readings === 0).length;
  const expected = found.expected.at(-1);
  const newest = expected ? ` The newest has ${Math.round((100 * found.series.at(-1)) / expected)} % of those heard in the hour before it.` : "";
  const isOneQuantity = found.series.every((series, place) => series === found.sensors[place]);
  const heard = isOneQuantity ? "Sensors heard per window." : "Series heard per window: each quantity of a sensor is one.";
  byId("completeness-text").textContent =
    `${heard}${newest} ${count(found.t.length)} windows, ${count(empty)} of them empty, ` +
    `${count(found.missing.length)} not rolled; ${count(open)} may still change.`;
  const corrected = found.revision.filter((revision) => revision > 1).length;
  byId("late-text").textContent =
    `${count(sum(found.late))} late readings; ${count(corrected)} windows were rolled again with other rows. ` +
    `${count(sum(found.duplicates))} duplicates removed, ${count(sum(found.conflicts))} conflicts, ${count(sum(found.quarantined))} quarantined.`;
  return {
    completeness: drawCounts(byId("completeness"), found.t, stepMs, [{ label: isOneQuantity ? "sensors" : "series", values: found.series, colour: "accent" }], view),
    late: drawCounts(byId("late"), found.t, stepMs, [
      { label: "late readings", values: found.late.map((late, place) => (found.revision[place] > 1 ? null : late)), colour: "accent" },
      { label: "in corrected windows", values: found.late.map((late, place) => (found.revision[place] > 1 ? late : null)), colour: "warm" },
    ], view),
  };
}

export function table(caption, headings, rows) {
  const cells = (name, values) => element("tr", {}, ...values.map((value) => element(name, name === "th" ? { scope: "col" } : {}, value)));
  if (!rows.length) return element("p", { class: "muted" }, `${caption}: none`);
  return element(
    "table", {}, element("caption", {}, caption),
    element("thead", {}, cells("th", headings)), element("tbody", {}, ...rows.map((row) => cells("td", row))),
  );
}

export const link = (sensor, onSensor) => element("button", { type: "button", title: sensor, onclick: () => onSensor(sensor) }, element("bdi", {}, sensor));

export function showMovers({ movers }, onSensor) {
  const rows = (list, className) =>
    list.map((one) => [
      link(one.sensor, onSensor), one.first.toFixed(2), one.last.toFixed(2),
      element("span", { class: className }, `${one.change > 0 ? "+" : "−"}${Math.abs(one.change).toFixed(2)}`),
    ]);
  const headings = ["sensor", `first, ${unit}`, "last", "change"];
  byId("movers").replaceChildren(
    table("Rising ▲", headings, rows(movers.rising, "up")), table("Falling ▼", headings, rows(movers.falling, "down")),
  );
}

/** The tally of the windows that are not rolled yet: a row for each site, and who is beyond a limit if there are any. */
export function showSites(sites) {
  byId("sites").hidden = !sites;
  if (!sites) return byId("sites").replaceChildren();
  const judged = sites.limits > 0;
  const rows = sites.site.map((site, place) => [
    element("bdi", {}, site || "(no site)"), count(sites.sensors[place]),
    ...(judged ? [element("span", sites.beyond[place] ? { class: "beyond" } : {}, count(sites.beyond[place]))] : []),
    ...["mean", "min", "max"].map((name) => sites[name][place].toFixed(2)),
  ]);
  const listed = sites.total > rows.length ? `, ${count(rows.length)} of ${count(sites.total)}` : "";
  const headings = ["site", "sensors", ...(judged ? ["beyond limits"] : []), `mean, ${unit}`, "lowest", "highest"];
  byId("sites").replaceChildren(table(`Sites in these windows${listed}`, headings, rows));
}

/** The newest reading of the sensor whose history is shown, if it is of a window that is not rolled yet. */
export function showNewest(newest, sensor) {
  const isIt = newest !== null && newest.sensor === sensor;
  byId("newest").hidden = !isIt;
  byId("newest").textContent = isIt ? `Newest reading: ${withUnit(newest.value)} at ${moment(newest.ms)}, provisional.` : "";
}

const STATES = { began: "fell silent", lasts: "silent", gone: "given up", missing: "missing" };

/** What the panel of silent sensors says above its list. */
export function aboutSilence({ at, is_outage: isOutage, heard, expected, count: total, silent, gone, sensors }) {
  if (at === null) return "Who is silent was not worked out for the windows of this range.";
  const when = `in the window of ${instant(at)}`;
  const listed = total > sensors.length ? ` ${count(sensors.length)} of ${count(total)} are listed.` : "";
  if (isOutage) {
    return `Most sensors are missing: ${count(heard)} of ${count(expected)} were heard ${when}. That is one fault, so silences name nobody.${listed}`;
  }
  const given = gone ? ` ${count(gone)} were given up after fourteen windows without a reading.` : "";
  return silent ? `${count(silent)} ${silent === 1 ? "is" : "are"} silent ${when}.${given}${listed}` : `Nobody fell silent ${when}.${given}${listed}`;
}

export function showSilent({ silent, made_ms: madeMs, window_ms: windowMs }, onSensor) {
  byId("silent-text").textContent = aboutSilence(silent);
  byId("silent-panel").classList.toggle("bad", silent.count > 0);
  const rows = silent.sensors.map((one) => [
    link(one.sensor, onSensor), instant(one.heard), span(madeMs - one.heard - windowMs), STATES[one.state],
  ]);
  const headings = ["sensor", "last window", "silent for", "state"];
  byId("silent").replaceChildren(...(rows.length ? [table("", headings, rows)] : []));
}
