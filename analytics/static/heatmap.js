/** Sensors by time: a canvas of cells beside a list of names, both usable with the keyboard. */

import { element, instant, tick, withUnit } from "windrow/format";

const ROW_PX = 20;
// Viridis (CC0), from cold to hot: even steps of lightness, so it reads the same in grey and for the colour-blind.
const STOPS = ["#440154", "#472d7b", "#3b528b", "#2c728e", "#21918c", "#28ae80", "#5ec962", "#addc30", "#fde725"].map(
  (hex) => [1, 3, 5].map((at) => parseInt(hex.slice(at, at + 2), 16)),
);

/** The colour of a value between `low` and `high` as [red, green, blue]. */
export function shadeOf(value, low, high) {
  const part = high > low ? Math.min(1, Math.max(0, (value - low) / (high - low))) : 0.5;
  const at = part * (STOPS.length - 1);
  const first = Math.min(STOPS.length - 2, Math.floor(at));
  return STOPS[first].map((from, which) => Math.round(from + (STOPS[first + 1][which] - from) * (at - first)));
}

export class Heatmap {
  constructor({ names, canvas, hours, cursor, cell, scale, onSensor, onTime }) {
    Object.assign(this, { names, canvas, hours, cursor, cell, scale, onSensor, onTime });
    this.at = { row: 0, column: 0 };
    this.page = null;
    canvas.addEventListener("pointermove", (event) => this.#point(event));
    for (const left of ["pointerleave", "blur"]) canvas.addEventListener(left, () => this.onTime(null));
    canvas.addEventListener("click", (event) => {
      this.#point(event);
      this.#open();
    });
    canvas.addEventListener("keydown", (event) => this.#key(event));
    new ResizeObserver(() => this.draw()).observe(canvas.parentElement);
  }

  /** Draw a page of sensors over the span of time `axis`. */
  show(page, selected, axis) {
    this.page = page;
    this.axis = axis;
    const values = page.mean.flat().filter((value) => value !== null);
    this.low = values.reduce((a, b) => Math.min(a, b), Infinity);
    this.high = values.reduce((a, b) => Math.max(a, b), -Infinity);
    // Columns are placed by time, so a window without rows leaves a gap.
    this.firstMs = Math.floor(axis.fromMs / page.step_ms) * page.step_ms;
    this.columns = page.t.length ? Math.ceil((axis.toMs - this.firstMs) / page.step_ms) : 0;
    this.placeOf = new Map(page.t.map((at, place) => [Math.round((at - this.firstMs) / page.step_ms), place]));
    this.at = { row: Math.min(this.at.row, Math.max(0, page.sensors.length - 1)), column: Math.min(this.at.column, Math.max(0, this.columns - 1)) };
    this.names.replaceChildren(
      ...page.sensors.map((sensor, row) => {
        const button = element("button", { type: "button", title: `${sensor}, last ${withUnit(page.last[row])}`, onclick: () => this.onSensor(sensor) }, element("bdi", {}, sensor));
        if (sensor === selected) button.setAttribute("aria-current", "true");
        return element("li", {}, button);
      }),
    );
    this.canvas.setAttribute("aria-label", `Means of ${page.sensors.length} sensors over time, ${values.length ? `${withUnit(this.low)} to ${withUnit(this.high)}` : "none"}; move with the arrow keys`);
    const [low, bar, high] = this.scale.children;
    low.textContent = values.length ? withUnit(this.low, 1) : "";
    high.textContent = values.length ? withUnit(this.high, 1) : "";
    bar.style.background = `linear-gradient(to right, ${STOPS.map((rgb) => `rgb(${rgb})`).join(", ")})`;
    this.draw();
  }

  draw() {
    if (!this.page) return;
    const { page, canvas, columns } = this;
    const width = canvas.parentElement.clientWidth;
    const height = Math.max(1, page.sensors.length) * ROW_PX;
    const ratio = devicePixelRatio || 1;
    canvas.width = Math.round(width * ratio);
    canvas.height = Math.round(height * ratio);
    canvas.style.height = `${height}px`;
    const pen = canvas.getContext("2d");
    pen.scale(ratio, ratio);
    const edge = (column) => Math.round(this.leftOf(this.firstMs + column * page.step_ms) * ratio) / ratio; // on whole dots: no seam
    page.mean.forEach((row, at) => {
      for (const [column, place] of this.placeOf) {
        if (row[place] === null) continue;
        pen.fillStyle = `rgb(${shadeOf(row[place], this.low, this.high)})`;
        pen.fillRect(edge(column), at * ROW_PX, edge(column + 1) - edge(column), ROW_PX - 1);
      }
    });
    if (document.activeElement === canvas && columns) {
      const { row, column } = this.at;
      pen.strokeStyle = "#fff";
      pen.lineWidth = 2;
      pen.strokeRect(edge(column), row * ROW_PX, edge(column + 1) - edge(column), ROW_PX - 1);
    }
    this.#drawHours(width);
  }

  /** How far from the left an instant is, in CSS pixels; a cell that reaches beyond the axis is cut. */
  leftOf(ms) {
    const { fromMs, toMs } = this.axis;
    const part = (ms - fromMs) / Math.max(1, toMs - fromMs);
    return Math.min(1, Math.max(0, part)) * this.canvas.parentElement.clientWidth;
  }

  /** Mark an instant, or none: the cursor that all panels share. */
  mark(ms) {
    const isShown = ms !== null && this.axis && ms >= this.axis.fromMs && ms <= this.axis.toMs;
    this.cursor.hidden = !isShown;
    if (isShown) this.cursor.style.left = `${this.leftOf(ms)}px`;
  }

  #drawHours(width) {
    const wide = (this.page.step_ms / Math.max(1, this.axis.toMs - this.axis.fromMs)) * width;
    const every = Math.max(1, Math.ceil(90 / wide));
    const spans = [];
    for (let column = 0; column < this.columns; column += every) {
      const at = this.firstMs + column * this.page.step_ms;
      const left = this.leftOf(at);
      if (left < 20 || left > width - 20) continue;
      const span = element("span", {}, tick(at));
      span.style.left = `${left}px`;
      spans.push(span);
    }
    this.hours.replaceChildren(...spans);
  }

  /** The cell at a position: {sensor, at, value}; value is null if there is no row. */
  cellAt(row, column) {
    const place = this.placeOf.get(column);
    return {
      sensor: this.page.sensors[row],
      at: this.firstMs + column * this.page.step_ms,
      value: place === undefined ? null : this.page.mean[row]?.[place] ?? null,
    };
  }

  #point(event) {
    if (!this.page || !this.columns) return;
    const box = this.canvas.getBoundingClientRect();
    const ms = this.axis.fromMs + ((event.clientX - box.left) / box.width) * (this.axis.toMs - this.axis.fromMs);
    this.at = {
      row: Math.min(this.page.sensors.length - 1, Math.max(0, Math.floor((event.clientY - box.top) / ROW_PX))),
      column: Math.min(this.columns - 1, Math.max(0, Math.floor((ms - this.firstMs) / this.page.step_ms))),
    };
    this.onTime(ms);
    this.#say();
  }

  #key(event) {
    const [down, right] = { ArrowUp: [-1, 0], ArrowDown: [1, 0], ArrowLeft: [0, -1], ArrowRight: [0, 1] }[event.key] ?? [0, 0];
    if (event.key === "Enter") return this.#open();
    if (!down && !right) return;
    if (!this.page || !this.columns) return;
    event.preventDefault();
    this.at.row = Math.min(this.page.sensors.length - 1, Math.max(0, this.at.row + down));
    this.at.column = Math.min(this.columns - 1, Math.max(0, this.at.column + right));
    this.draw();
    this.#say();
    this.onTime(this.firstMs + (this.at.column + 0.5) * this.page.step_ms);
  }

  #say() {
    const { sensor, at, value } = this.cellAt(this.at.row, this.at.column);
    this.cell.textContent = sensor ? `${sensor}, ${instant(at)}: ${value === null ? "no row" : withUnit(value)}` : "";
  }

  #open() {
    const sensor = this.page?.sensors[this.at.row];
    if (sensor) this.onSensor(sensor);
  }
}
