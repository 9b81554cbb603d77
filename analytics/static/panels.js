/** The key figures, movers, silent sensors, and the completeness from the lineages. */

import { drawCounts } from "windrow/charts";
import { celsius, count, element, instant } from "windrow/format";

const byId = (id) => document.getElementById(id);
const sum = (values) => values.reduce((total, value) => total + value, 0);

export function showFacts({ fleet, completeness, silent }) {
  const readings = sum(fleet.readings);
  const mean = readings ? sum(fleet.mean.map((value, place) => value * fleet.readings[place])) / readings : null;
  const facts = [
    ["sensors, newest window", count(fleet.sensors.at(-1) ?? 0)],
    ["readings", count(readings)],
    ["mean", celsius(mean)],
    ["lowest", celsius(fleet.min.length ? Math.min(...fleet.min) : null)],
    ["highest", celsius(fleet.max.length ? Math.max(...fleet.max) : null)],
    ["windows corrected", count(completeness.revision.filter((revision) => revision > 1).length)],
    ["silent sensors", count(silent.count), silent.count > 0],
    ["newest window", completeness.t.length ? instant(completeness.t.at(-1)) : "–"],
  ];
  byId("facts").replaceChildren(
    ...facts.map(([name, value, isBad]) =>
      element("div", isBad ? { class: "bad" } : {}, element("dl", {}, element("dt", {}, name), element("dd", {}, value)))),
  );
}

export function showCompleteness({ completeness: found, window_ms: stepMs }, onRange) {
  const open = found.is_final.filter((isFinal) => !isFinal).length;
  const empty = found.readings.filter((readings) => readings === 0).length;
  const expected = found.expected.at(-1);
  const newest = expected ? ` The newest has ${Math.round((100 * found.sensors.at(-1)) / expected)} % of those heard in the hour before it.` : "";
  byId("completeness-text").textContent =
    `Sensors heard per window.${newest} ${count(found.t.length)} windows, ${count(empty)} of them empty, ` +
    `${count(found.missing.length)} not rolled; ${count(open)} may still change.`;
  const corrected = found.revision.filter((revision) => revision > 1).length;
  byId("late-text").textContent =
    `${count(sum(found.late))} late readings; ${count(corrected)} windows were rolled again with other rows. ` +
    `${count(sum(found.duplicates))} duplicates removed, ${count(sum(found.conflicts))} conflicts, ${count(sum(found.quarantined))} quarantined.`;
  return {
    completeness: drawCounts(byId("completeness"), found.t, stepMs, [{ label: "sensors", values: found.sensors, colour: "accent" }], onRange),
    late: drawCounts(byId("late"), found.t, stepMs, [
      { label: "late readings", values: found.late.map((late, place) => (found.revision[place] > 1 ? null : late)), colour: "accent" },
      { label: "in corrected windows", values: found.late.map((late, place) => (found.revision[place] > 1 ? late : null)), colour: "warm" },
    ], onRange),
  };
}

function table(caption, headings, rows) {
  const cells = (name, values) => element("tr", {}, ...values.map((value) => element(name, name === "th" ? { scope: "col" } : {}, value)));
  if (!rows.length) return element("p", { class: "muted" }, `${caption}: none`);
  return element(
    "table", {}, element("caption", {}, caption),
    element("thead", {}, cells("th", headings)), element("tbody", {}, ...rows.map((row) => cells("td", row))),
  );
}

const link = (sensor, onSensor) => element("button", { type: "button", title: sensor, onclick: () => onSensor(sensor) }, element("bdi", {}, sensor));

export function showMovers({ movers }, onSensor) {
  const rows = (list, className) =>
    list.map((one) => [
      link(one.sensor, onSensor), one.first.toFixed(2), one.last.toFixed(2),
      element("span", { class: className }, `${one.change > 0 ? "+" : "−"}${Math.abs(one.change).toFixed(2)}`),
    ]);
  const headings = ["sensor", "first, °C", "last", "change"];
  byId("movers").replaceChildren(
    table("Rising ▲", headings, rows(movers.rising, "up")), table("Falling ▼", headings, rows(movers.falling, "down")),
  );
}

export function showSilent({ silent }, onSensor) {
  const more = silent.count > silent.sensors.length ? `; the first ${silent.sensors.length} are listed` : "";
  byId("silent-text").textContent = silent.count
    ? `${count(silent.count)} heard in the range, but not in its last two windows${more}.`
    : "Every sensor of the range was heard in its last two windows.";
  const rows = silent.sensors.map((one) => [link(one.sensor, onSensor), instant(one.heard)]);
  byId("silent").replaceChildren(...(rows.length ? [table("", ["sensor", "last window"], rows)] : []));
}
