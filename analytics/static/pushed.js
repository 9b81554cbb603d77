/**
 * Live values as a stage pushes them: a WebSocket that is opened anew when it ends, and what came on it.
 * A page can send its token in no header but that of the subprotocols. See analytics/push/.
 */

const SUBPROTOCOL = "windrow-v1";
const AGAIN_MS_MIN = 1_000;
const AGAIN_MS_MAX = 60_000;
const TOLD_EVERY_MS = 250; // a batch is several messages
const SERIES_MAX = 50_000; // so many newest values are kept; who was not heard for longest goes first
const NUMBERS = ["sensors", "readings", "mean", "min", "max", "beyond"];

/** What the stage pushes to this page, from now on; null for a page without it. `onNews` is called after something came. */
export function pushedTo(document, session, onNews) {
  const { socket } = document.documentElement.dataset;
  return socket && session ? new Pushed(socket, session, onNews) : null;
}

const keyOf = ({ name, unit }) => JSON.stringify([name, unit]);

class Pushed {
  #newest = new Map(); // by quantity and sensor
  #tallies = new Map(); // by quantity, then by site
  #lastMs = new Map(); // by quantity
  #rows = new Map(); // by quantity and window
  #againMs = AGAIN_MS_MIN;
  #telling = null;

  constructor(url, session, onNews) {
    Object.assign(this, { url, session, onNews, isOpen: false, opened: 0 });
    this.#connect();
  }

  async #connect() {
    const socket = new WebSocket(this.url, [SUBPROTOCOL, await this.session.token()]);
    socket.addEventListener("open", () => this.#begin());
    socket.addEventListener("message", ({ data }) => this.#hear(JSON.parse(data)));
    socket.addEventListener("close", () => {
      this.isOpen = false;
      setTimeout(() => this.#connect(), this.#againMs * (0.5 + Math.random() / 2)); // not all pages at once
      this.#againMs = Math.min(2 * this.#againMs, AGAIN_MS_MAX);
    });
  }

  /** What was told before is older than what the page asks for now. */
  #begin() {
    Object.assign(this, { isOpen: true, opened: this.opened + 1 });
    for (const kept of [this.#tallies, this.#lastMs, this.#rows]) kept.clear();
    this.#tell();
  }

  #hear({ values = [], tally = [] }) {
    this.#againMs = AGAIN_MS_MIN;
    for (const one of values) {
      const quantity = keyOf({ name: one.quantity, unit: one.unit });
      const [key, ms] = [`${quantity}${one.sensor_id}`, one.event_time_ms];
      if (ms < (this.#newest.get(key)?.ms ?? -Infinity)) continue;
      this.#newest.delete(key); // so that it is the last again
      this.#newest.set(key, { sensor: one.sensor_id, ms, value: one.value_milli / 1000 });
      this.#lastMs.set(quantity, Math.max(ms, this.#lastMs.get(quantity) ?? ms));
    }
    for (const key of this.#newest.keys()) {
      if (this.#newest.size <= SERIES_MAX) break;
      this.#newest.delete(key);
    }
    for (const one of tally) {
      const quantity = keyOf({ name: one.quantity, unit: one.unit });
      if (!this.#tallies.has(quantity)) this.#tallies.set(quantity, new Map());
      this.#tallies.get(quantity).set(one.site, one);
    }
    this.#tell();
  }

  #tell() {
    this.#telling ??= setTimeout(() => {
      this.#telling = null;
      this.onNews();
    }, TOLD_EVERY_MS);
  }

  /** The newer one of `known`, if any, and of what was pushed of a sensor. */
  newestOf(sensor, quantity, known) {
    const found = this.#newest.get(`${keyOf(quantity)}${sensor}`) ?? null;
    return found && (!known || found.ms >= known.ms) ? found : known;
  }

  /** The tally of sites with what was pushed since, in the order and with the bound of the answer of the API. */
  sitesOver(sites, quantity) {
    const rows = new Map(sites.site.map((site, place) => [site, Object.fromEntries(NUMBERS.map((name) => [name, sites[name][place]]))]));
    let more = sites.total - rows.size;
    for (const [site, one] of this.#tallies.get(keyOf(quantity)) ?? []) {
      if (one.more_than) continue; // too many to be told
      if (!rows.has(site) && more > 0) more -= 1; // one of those that were not listed
      if (one.sensors) rows.set(site, one);
      else rows.delete(site);
    }
    const order = [...rows].sort(([a, one], [b, other]) => other.beyond - one.beyond || (a < b ? -1 : 1));
    const columns = NUMBERS.map((name) => [name, order.map(([, one]) => one[name])]);
    return { total: order.length + more, site: order.map(([site]) => site), ...Object.fromEntries(columns) };
  }

  /** The open windows with the newest values of all sites in place of that which the last value is of. */
  windowsOver(windows, sites, quantity, windowMs) {
    const key = keyOf(quantity);
    const rows = new Map(windows.map((one) => [one.t, one]));
    const known = this.#rows.get(key) ?? this.#rows.set(key, new Map()).get(key);
    if (this.#lastMs.has(key) && sites.site.length && sites.total === sites.site.length) {
      const t = Math.floor(this.#lastMs.get(key) / windowMs) * windowMs;
      known.set(t, { t, isPushed: true, ...together(sites) });
      for (const old of known.keys()) if (old < t - 3 * windowMs) known.delete(old);
    }
    for (const [t, row] of known) rows.set(t, row);
    return [...rows.values()].sort((a, b) => a.t - b.t);
  }
}

/** All sites together. */
function together(sites) {
  const sum = (numbers) => numbers.reduce((all, one) => all + one, 0);
  const readings = sum(sites.readings);
  return {
    sensors: sum(sites.sensors), readings, mean: sum(sites.mean.map((mean, place) => mean * sites.readings[place])) / readings,
    min: Math.min(...sites.min), max: Math.max(...sites.max),
  };
}
