/** Formatting of numbers and times; all times are in UTC. */

const MONTHS = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];
const two = (number) => String(number).padStart(2, "0");

/** 21.437 as "21.44 °C"; nothing as a dash. */
export function celsius(value, digits = 2) {
  return value == null ? "–" : `${value.toFixed(digits)} °C`;
}

/** 12345 as "12,345"; large numbers short. */
export function count(value) {
  if (value == null) return "–";
  return value >= 1e7 ? `${(value / 1e6).toFixed(1)} M` : value.toLocaleString("en");
}

/** An instant in ms as "20 Nov 10:05". */
export function instant(ms) {
  const at = new Date(ms);
  return `${at.getUTCDate()} ${MONTHS[at.getUTCMonth()]} ${two(at.getUTCHours())}:${two(at.getUTCMinutes())}`;
}

/** The time of day, and the day where it begins: for the axis of a chart. */
export function tick(ms) {
  const at = new Date(ms);
  const isMidnight = at.getUTCHours() === 0 && at.getUTCMinutes() === 0;
  return isMidnight ? `${at.getUTCDate()} ${MONTHS[at.getUTCMonth()]}` : `${two(at.getUTCHours())}:${two(at.getUTCMinutes())}`;
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
