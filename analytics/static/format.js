/** Formatting of numbers and times; times are in UTC unless the local zone is chosen. */

const MONTHS = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];
const two = (number) => String(number).padStart(2, "0");

/** The unit that the page shows, and what is measured: temperatures unless the page says otherwise. */
export let unit = document.documentElement.dataset.unit ?? "°C";
export let quantity = document.documentElement.dataset.quantity ?? "";

/** Show another quantity: the one of the numbers that are drawn next. */
export function useQuantity({ name, unit: symbol }) {
  const isTemperature = name === "temperature" && symbol === "C";
  unit = isTemperature ? "°C" : symbol;
  quantity = isTemperature ? "" : name;
}

/** 21.437 as "21.44 °C"; nothing as a dash. */
export function withUnit(value, digits = 2) {
  return value == null ? "–" : `${value.toFixed(digits)} ${unit}`;
}

/** 12345 as "12,345"; large numbers short. */
export function count(value) {
  if (value == null) return "–";
  return value >= 1e7 ? `${(value / 1e6).toFixed(1)} M` : value.toLocaleString("en");
}

let isLocal = false;

/** Show all times in the zone of this machine, or in UTC. */
export function useLocalTime(chosen) {
  isLocal = chosen;
}

/** The zone that times are shown in: "UTC", or the name of the local one such as "Europe/Berlin". */
export function zone() {
  return isLocal ? Intl.DateTimeFormat().resolvedOptions().timeZone : "UTC";
}

/** An instant in seconds as a Date whose plain getters (getHours, ...) tell the time in the chosen zone. */
export function dateOf(seconds) {
  const at = new Date(seconds * 1000);
  return isLocal ? at : uPlot.tzDate(at, "Etc/UTC");
}

function clock(ms) {
  const at = dateOf(ms / 1000);
  return { day: `${at.getDate()} ${MONTHS[at.getMonth()]}`, time: `${two(at.getHours())}:${two(at.getMinutes())}` };
}

/** An instant in ms as "20 Nov 10:05". */
export function instant(ms) {
  const { day, time } = clock(ms);
  return `${day} ${time}`;
}

/** An instant in ms to the second, as "20 Nov 10:05:07". */
export function moment(ms) {
  return `${instant(ms)}:${two(dateOf(ms / 1000).getSeconds())}`;
}

/** The time of day, and the day where it begins: for the axis of a chart. */
export function tick(ms) {
  const { day, time } = clock(ms);
  return time === "00:00" ? day : time;
}

/** A length of time in ms, in its two largest units: "5 min", "1 h 5 min", "3 d 2 h". */
export function span(ms) {
  const minutes = Math.max(0, Math.floor(ms / 60_000));
  const [days, hours] = [Math.floor(minutes / 1440), Math.floor((minutes % 1440) / 60)];
  const parts = days ? [[days, "d"], [hours, "h"]] : [[hours, "h"], [minutes % 60, "min"]];
  return parts.filter(([number], place) => number || (place && !days && !hours)).map((part) => part.join(" ")).join(" ");
}

/** An instant in ms as RFC 3339, to the second. */
export function rfc3339(ms) {
  return `${new Date(ms).toISOString().slice(0, 19)}Z`;
}

/** The current value of a colour of the page's style sheet. */
export function colour(name) {
  const probe = document.createElement("span");
  probe.style.color = `var(--${name})`;
  document.body.append(probe);
  const value = getComputedStyle(probe).color;
  probe.remove();
  return value;
}

/** An element with attributes and children; text is never parsed as markup. */
export function element(name, attributes = {}, ...children) {
  const made = document.createElement(name);
  for (const [key, value] of Object.entries(attributes)) {
    if (key.startsWith("on")) made.addEventListener(key.slice(2), value);
    else made.setAttribute(key, value);
  }
  made.append(...children);
  return made;
}
