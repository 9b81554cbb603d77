/** Ranges of time: the axis that all panels share, zooming out, and how a range is written. No page, no clock. */

import { rfc3339 } from "windrow/format";

const MINUTE_MS = 60_000;

/**
 * The time that every panel spans, in ms: the range, and the whole of each step that begins in it.
 * A step of several windows may begin before the range, and the newest window ends after it.
 */
export function axisOf({ range, window_ms: windowMs, fleet, completeness }) {
  const steps = [[fleet.t, fleet.step_ms], [completeness.t, windowMs]].filter(([t]) => t.length);
  return {
    fromMs: Math.min(range.from_ms, ...steps.map(([t]) => t[0])),
    toMs: Math.max(range.to_ms, ...steps.map(([t, stepMs]) => t.at(-1) + stepMs)),
  };
}

/** The range twice as long around its middle, but not into the future, and at most `longestMs`: {from, to} as text. */
export function zoomedOut({ from_ms: fromMs, to_ms: toMs }, nowMs, longestMs) {
  const lengthMs = Math.min(2 * (toMs - fromMs), longestMs);
  const endMs = Math.min(nowMs, (fromMs + toMs + lengthMs) / 2);
  if (nowMs - endMs < MINUTE_MS) return { from: beforeNow(lengthMs), to: "now" };
  return { from: rfc3339(endMs - lengthMs), to: rfc3339(endMs) };
}

/** A length before now: "-48h", or "-90m" if it is no whole number of hours. */
export function beforeNow(lengthMs) {
  const minutes = Math.max(1, Math.round(lengthMs / MINUTE_MS));
  return minutes % 60 ? `-${minutes}m` : `-${minutes / 60}h`;
}
