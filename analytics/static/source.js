/**
 * The source of the page's numbers: its server or, in an exported file, the file itself.
 * Both give the same answers in the same shapes; see analytics/panels.py.
 */

import { newestOf } from "windrow/excursions";

export function sourceOf(document, session) {
  const exported = document.getElementById("exported");
  return exported ? fromFile(JSON.parse(exported.textContent)) : fromServer(session);
}

const RETRIES_MAX = 5;

function fromServer(session) {
  /** One request; with the token of the session, if there is one, and a new token if that is refused. */
  const request = async (url, signal, isAgain = false) => {
    const headers = session ? { Authorization: `Bearer ${await session.token()}` } : {};
    const response = await fetch(url, { signal, headers, cache: session ? "default" : "no-store" });
    if (response.status !== 401 || !session || isAgain) return response;
    await session.renew();
    return request(url, signal, true);
  };
  /** The same, again and again while the server says that it goes on reading. */
  const patient = async (url, signal) => {
    for (let retries = 0; ; retries += 1) {
      const response = await request(url, signal);
      const seconds = Number(response.headers.get("Retry-After"));
      if (!seconds || retries === RETRIES_MAX) return response;
      await new Promise((done) => setTimeout(done, 1000 * seconds));
    }
  };
  const ask = async (what, parameters, signal) => {
    const response = await patient(`v1/${what}?${new URLSearchParams(parameters)}`, signal).catch((error) => {
      if (error.name === "AbortError") throw error;
      throw new Error(session ? "the API does not answer" : "windrow dashboard does not answer: is it still running?");
    });
    const answer = await response.json().catch((error) => {
      if (error.name === "AbortError") throw error;
      return { detail: `windrow dashboard failed at ${what}`, hint: "its terminal says why" };
    });
    if (response.ok && !answer.detail) return answer;
    // `isAbout` tells an answer of the server from no answer at all.
    const said = answer.detail ?? answer.message ?? `status ${response.status}`; // a gateway on the way has a message alone
    throw Object.assign(new Error([said, answer.hint].filter(Boolean).join(" — ")), { isAbout: what });
  };
  return {
    isLive: true,
    overview: (range, signal) => ask("overview", range, signal),
    heatmap: (range, wanted, signal) => ask("sensors", { ...range, ...wanted }, signal),
    history: (range, sensor, signal) => ask("sensor", { ...range, sensor }, signal),
    excursions: ({ from, to }, quantity, signal) => newestOf((wanted) => ask("excursions", { from, to, ...wanted }, signal), quantity),
    live: (about, sensor, signal) => ask("live", { ...about, ...(sensor ? { sensor } : {}), per_page: 1 }, signal),
    progress: (range) => ask("progress", {}),
    quantities: async () => (await ask("quantities", {})).quantities,
  };
}

const ORDERS = {
  hottest: (sensors) => (a, b) => sensors.max[b] - sensors.max[a],
  coldest: (sensors) => (a, b) => sensors.min[a] - sensors.min[b],
  rising: (sensors) => (a, b) => sensors.change[b] - sensors.change[a],
  falling: (sensors) => (a, b) => sensors.change[a] - sensors.change[b],
};

/** Searches, sorts and pages as the server does, over the sensors that were exported. */
function fromFile(exported) {
  const { overview, heatmap: all, histories } = exported;
  const silent = new Set(overview.silent.sensors.map((one) => one.sensor));
  const heatmap = async (range, { search, sort, page, per_page }) => {
    const wanted = search.toLowerCase();
    const places = all.sensors.map((_, place) => place).filter((place) => {
      const sensor = all.sensors[place];
      return sensor.toLowerCase().includes(wanted) && (sort !== "silent" || silent.has(sensor));
    });
    if (ORDERS[sort]) places.sort(ORDERS[sort](all));
    const last = Math.max(0, Math.ceil(places.length / per_page) - 1);
    const at = Math.max(0, Math.min(page, last));
    const shown = places.slice(at * per_page, (at + 1) * per_page);
    const pick = (name) => shown.map((place) => all[name][place]);
    return {
      ...all, total: places.length, page: at, per_page, sensors: pick("sensors"), last: pick("last"),
      min: pick("min"), max: pick("max"), change: pick("change"), mean: pick("mean"),
    };
  };
  return {
    isLive: false,
    overview: async () => overview,
    excursions: async (_, quantity) => newestOf(async () => ({ page: 0, ...exported.excursions }), quantity),
    heatmap,
    history: async (_, sensor) => {
      if (!histories[sensor]) throw Object.assign(new Error(`the history of ${sensor} is not in this file`), { isAbout: "history" });
      return histories[sensor];
    },
  };
}
