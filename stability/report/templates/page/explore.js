// The error curves, the failing regions under them, and what steers both.

const plots = {};

function startPlots() {
  const doc = Bokeh.documents[0];
  for (const name of ["curve", "bars", "range", "ticks", "curves", "dots", "regions", "said", "marker"]) {
    plots[name] = doc.get_model_by_name(name);
  }
  for (const end of ["start", "end"]) plots.range.properties[end].change.connect(() => scheduled());
}

let waiting = false;

function scheduled() {
  if (waiting) return;
  waiting = true;
  requestAnimationFrame(() => { waiting = false; redrawn(); });
}

function axisOf() {
  const f = DATA.formats[view.dtype], axis = AXES[view.axis];
  return {
    f,
    position: (z, base = view.base) => axis.position(z, base, f),
    value: (x, base = view.base) => axis.value(x, base, f),
  };
}

// The ends of what is shown, as values.
function shownEnds() {
  const axis = axisOf(), [low, high] = wholeLine(view);
  return [Math.max(axis.value(plots.range.start), low), Math.min(axis.value(plots.range.end), high)];
}

// Shows the line from low to high, values, with a margin on both sides as a part of it.
function showLine(low, high, part = 0.3) {
  const f = DATA.formats[view.dtype], axis = axisOf(), [first, last] = wholeLine(view);
  const whole = low <= first && high >= last;
  view.base = whole ? 0 : nearestFloat(Number.isFinite(low / 2 + high / 2) ? low / 2 + high / 2 : 0, f);
  let [start, end] = [axis.position(Math.max(low, first)), axis.position(Math.min(high, last))];
  const margin = Math.max((end - start) * (whole ? 0.02 : part), part === 0 ? 0 : view.axis === "floats" ? 4 : 1e-300);
  let least = 0;
  if (view.axis === "z") least = 8 * Math.abs(axis.position(neighbour(view.base, f, 1)));
  const extra = Math.max(margin, (least - (end - start)) / 2);
  plots.range.setv({ start: start - extra, end: end + extra });
  scheduled();
}

// A base near the middle keeps neighbouring floats apart in a narrow view.
function rebased() {
  const { start, end } = plots.range, middle = (start + end) / 2, axis = axisOf();
  if (Math.abs(middle) < 1e3 * (end - start)) return;
  const base = nearestFloat(axis.value(middle), axis.f), shift = axis.position(base);
  if (base === view.base || !Number.isFinite(base)) return;
  view.base = base;
  plots.range.setv({ start: start - shift, end: end - shift });
}

// What is drawn is one and a half to three views wide, and drawn anew where a view leaves it or is twice as wide, or half.
function windowOf() {
  const { start, end } = plots.range, level = Math.floor(Math.log2(end - start)), half = 0.75 * 2 ** (level + 1);
  const key = [level, view.serial, view.base, view.axis, plots.curve.inner_width].join();
  const old = plots.window;
  if (old && old.key === key && old.start <= start && end <= old.end) return old;
  const middle = (start + end) / 2;
  return { key, start: middle - half, end: middle + half, views: (2 * half) / (end - start) };
}

async function redrawn() {
  rebased();
  const fresh = windowOf(), asked = view.serial;
  if (fresh !== plots.window) {
    const rows = rowsAt(view), axis = axisOf();
    const curves = await Promise.all(rows.map((row) => (view.forms.has(row.form) ? curveOf(row, view) : null)));
    const regions = await Promise.all(rows.map(regionsOf));
    if (asked !== view.serial) return scheduled();
    plots.window = fresh;
    curvesDrawn(rows, curves, axis, fresh);
    barsDrawn(rows, regions, axis, fresh);
    ticksDrawn(axis, fresh);
  }
  const marked = view.z === null ? [] : [axisOf().position(view.z)];
  if (plots.marker.data.x[0] !== marked[0]) plots.marker.data = { x: marked };
  clearTimeout(resting);
  resting = setTimeout(rested, 120);
}

let resting = 0;

// Words and address follow a movement when it has ended: a browser takes longer over an address than over the curves.
function rested() {
  clearTimeout(resting);
  said(...shownEnds());
  if (view.ready) stateWritten();
}

// The ends of a part of the axis, as values on the line.
function endsOf({ start, end }, axis) {
  const [low, high] = wholeLine(view);
  return [Math.max(axis.value(start), low), Math.min(axis.value(end), high)];
}

function pixels() {
  return Math.max(plots.curve.inner_width || 800, 100);
}

function curvesDrawn(rows, curves, axis, part) {
  const columns = Math.floor((part.views * pixels()) / 4);
  const drawn = new Map(rows.flatMap((row, i) => (curves[i] ? [[row.form, columnsOf(curves[i], part, columns, axis)]] : [])));
  const shown = [...drawn.keys()], greatest = Math.max(2 ** axis.f.precision, ...curves.map((curve) => curve?.worst ?? 0));
  plots.curve.y_range.end = 4 * greatest;
  plots.curves.data = {
    xs: shown.map((form) => drawn.get(form).x), ys: shown.map((form) => drawn.get(form).y), form: shown,
    colour: shown.map((form) => DATA.styles[form][0]), dash: shown.map((form) => DATA.styles[form][1]),
  };
  dotsDrawn(drawn, part);
}

// The worst error in each column of pixels; the points themselves where they are fewer.
function columnsOf(curve, part, columns, axis) {
  const [low, high] = endsOf(part, axis);
  const first = Math.max(indexNear(curve.z, low) - 1, 0), last = Math.min(indexNear(curve.z, high) + 1, curve.z.length - 1);
  const x = [], y = [], { start, end } = part;
  if (last - first < columns) {
    for (let i = first; i <= last; i++) { x.push(axis.position(curve.z[i])); y.push(drawable(curve.ulps[i])); }
    return { x, y };
  }
  const at = once(`places ${view.axis} ${view.base} ${curve.key ??= ++curveKeys}`, () => curve.z.map((z) => axis.position(z)));
  const worst = new Float64Array(columns).fill(-1), seen = new Uint8Array(columns), scale = columns / (end - start);
  for (let i = first; i <= last; i++) {
    const column = Math.floor((at[i] - start) * scale);
    if (column < 0 || column >= columns) continue;
    seen[column] = 1;
    if (curve.ulps[i] > worst[column]) worst[column] = curve.ulps[i];
  }
  for (let c = 0; c < columns; c++) {
    if (!seen[c]) continue;
    x.push(start + (c + 0.5) / scale);
    y.push(worst[c] < 0 ? NaN : drawable(worst[c]));
  }
  return { x, y };
}

let curveKeys = 0;

// The single floats of the curves, where they lie far enough apart to be told from each other.
function dotsDrawn(drawn, part) {
  const dots = { x: [], y: [], colour: [] };
  for (const [form, { x, y }] of drawn) {
    if (x.length > 60 * part.views) continue;
    dots.x.push(...x);
    dots.y.push(...y);
    dots.colour.push(...x.map(() => DATA.styles[form][0]));
  }
  if (dots.x.length || plots.dots.data.x.length) plots.dots.data = dots;
}

function drawable(ulps) {
  return Math.max(ulps, 2 ** -6);
}

function barsDrawn(rows, regions, axis, part) {
  const data = { left: [], right: [], form: [], colour: [] }, kinds = [], [low, high] = endsOf(part, axis);
  const pixel = (part.end - part.start) / part.views / pixels();
  rows.forEach((row, i) => {
    let last = null;
    for (const r of regions[i]) {
      if (r.stop < low || r.start > high) continue;
      const left = axis.position(Math.max(r.start, low)), right = axis.position(Math.min(r.stop, high));
      if (last && last.kind === r.kind && left - data.right[last.at] < pixel) {
        data.right[last.at] = Math.max(right, data.right[last.at]);
        continue;
      }
      last = { kind: r.kind, at: data.left.length };
      data.left.push(left);
      data.right.push(Math.max(right, left + pixel));
      data.form.push(row.form);
      data.colour.push(DATA.colours[r.kind]);
      kinds.push(r.kind);
    }
  });
  plots.regions.data = data;
  barsSaid(data, kinds, pixel);
}

// What each bar says, where it is wide enough.
function barsSaid(data, kinds, pixel) {
  const said = { x: [], form: [], text: [], colour: [] };
  kinds.forEach((kind, i) => {
    const text = DATA.in_a_bar[kind] ?? "";
    if (data.right[i] - data.left[i] < 8 * (text.length + 1) * pixel) return;
    said.x.push((data.left[i] + data.right[i]) / 2);
    said.form.push(data.form[i]);
    said.text.push(text);
    said.colour.push(["nan", "pole"].includes(kind) ? "white" : "black");
  });
  plots.said.data = said;
}

let tickTexts = new Map();

function ticksDrawn(axis, part) {
  const [low, high] = endsOf(part, axis), most = Math.max(Math.floor((part.views * pixels()) / 120), 3);
  const floats = Number(toOrdinal(high, axis.f)) - Number(toOrdinal(low, axis.f));
  let values = tickValues(low, high, most, axis.f, axis.position);
  if (floats <= most) values = Array.from({ length: floats + 1 }, (_, i) => neighbour(low, axis.f, i));
  tickTexts = new Map(values.map((z) => [axis.position(z), floats <= most ? decimalOf(z, axis.f) : tickText(z, (high - low) / part.views)]));
  plots.ticks.ticks = [...tickTexts.keys()];
}

function tickLabel(x) {
  return tickTexts.get(x) ?? "";
}

function said(low, high) {
  const f = DATA.formats[view.dtype];
  [low, high] = [nearestFloat(low, f), nearestFloat(high, f)];
  const many = Number(toOrdinal(high, f)) - Number(toOrdinal(low, f)) + 1;
  byId("shown").textContent =
    `${DATA.study.swept} from ${decimalOf(low, f)} to ${decimalOf(high, f)}: ` +
    `${many < 2 ** 53 ? Math.max(many, 1).toLocaleString("en") : "about " + many.toExponential(1)} floats of ${view.dtype}, ` +
    `${view.mode}${view.label === null ? "" : `, ${labelTold()}`}`;
}

function labelTold() {
  return DATA.study.label === "label" ? `label ${view.label}` : `${DATA.study.label} = ${view.label}`;
}

function cursorAt(x) {
  const f = DATA.formats[view.dtype], z = nearestFloat(axisOf().value(x), f);
  byId("cursor").textContent = Number.isNaN(z) ? "" : `${DATA.study.swept} = ${decimalOf(z, f)} = ${hexOf(z)}`;
}

function tapped(x) {
  chosen(nearestFloat(axisOf().value(x), DATA.formats[view.dtype]));
}

async function barTapped(x, y) {
  const row = rowOf(DATA.forms[DATA.forms.length - 1 - Math.floor(y)], view);
  if (!row) return;
  const axis = axisOf(), slack = (3 * (plots.range.end - plots.range.start)) / pixels();
  const hit = (await regionsOf(row)).find((r) => axis.position(r.start) - slack <= x && x <= axis.position(r.stop) + slack);
  if (hit) await regionTold(row, hit);
}

// A region in words, in the panel under the bars; it is shown whole, and its end nearest to 0 looked up.
async function regionTold(row, region) {
  const f = DATA.formats[view.dtype], end = (z) => `${decimalOf(z, f)} = ${hexOf(z)}`;
  const alternate = region.count < region.width ? ` among the ${region.width.toLocaleString("en")} there: kinds alternate` : "";
  const culprit = DATA.blame.find((b) => b.form === row.form && b.dtype === row.dtype && b.mode === row.mode && b.kind === region.kind);
  byId("region").innerHTML = "";
  byId("region").append(
    element("p", {}, `${row.form}, ${row.dtype}, ${row.mode}: `, element("strong", {}, DATA.words[region.kind])),
    element("p", {}, `from ${end(region.start)} to ${end(region.stop)}, ${region.count.toLocaleString("en")} floats${alternate}`),
    ...(culprit ? [element("p", {}, `it begins at ${culprit.primitive}: ${culprit.cause} (${culprit.source})`)] : []),
  );
  const nearest = Math.abs(region.start) < Math.abs(region.stop) ? region.start : region.stop;
  chosen(nearest, false);
  showLine(region.start, region.stop);
}
