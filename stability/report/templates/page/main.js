// The state of the page, which is also its address, and what the controls do to it.

const view = { dtype: "", label: null, mode: "", axis: "z", forms: new Set(), base: 0, z: null, serial: 0, ready: false };

function byId(id) {
  return document.getElementById(id);
}

function stateWritten() {
  const f = DATA.formats[view.dtype], [low, high] = shownEnds(), [first, last] = wholeLine(view);
  const state = new URLSearchParams({ dtype: view.dtype, mode: view.mode, axis: view.axis, forms: [...view.forms].join(",") });
  if (view.label !== null) state.set("label", view.label);
  if (low > first || high < last) state.set("from", `${hexOf(nearestFloat(low, f))},${hexOf(nearestFloat(high, f))}`);
  if (view.z !== null) state.set("z", hexOf(view.z));
  if (byId("line")) state.set("line", byId("line").value);
  history.replaceState(null, "", "#" + state.toString().replaceAll("%2C", ",").replaceAll("%2B", "+"));
}

// What the address says, where it says something that this page has; the page's own choice elsewhere.
function stateRead() {
  const said = new URLSearchParams(location.hash.slice(1).replaceAll("+", "%2B"));
  const among = (name, allowed, otherwise) => (allowed.includes(said.get(name)) ? said.get(name) : otherwise);
  view.dtype = among("dtype", DATA.dtypes, DATA.shown.dtype);
  view.mode = among("mode", DATA.modes, DATA.shown.mode);
  view.axis = among("axis", Object.keys(AXES), DATA.shown.axis);
  const label = said.get("label");
  view.label = DATA.labels.find((y) => label !== null && y === Number(label)) ?? DATA.shown.label;
  const forms = (said.get("forms") ?? "").split(",").filter((form) => DATA.forms.includes(form));
  view.forms = new Set(said.has("forms") ? forms : DATA.shown.forms);
  const z = parseFloatText(said.get("z") ?? "");
  view.z = z === null ? null : nearestFloat(z, DATA.formats[view.dtype]);
  if (byId("line")) byId("line").value = among("line", Object.keys(DATA.study.lines), byId("line").value);
  const ends = (said.get("from") ?? "").split(",").map(parseFloatText);
  return ends.length === 2 && ends.every((x) => x !== null) ? ends : wholeLine(view);
}

function controlsShown() {
  byId("dtype").value = view.dtype;
  byId("mode").value = view.mode;
  byId("axis").value = view.axis;
  if (byId("label")) byId("label").selectedIndex = DATA.labels.indexOf(view.label);
  for (const box of document.querySelectorAll("input[name=form]")) box.checked = view.forms.has(box.value);
}

// Takes on a changed choice; the part of the line stays in sight where it can.
async function set(name, value) {
  const ends = shownEnds(), [first, last] = wholeLine(view), whole = ends[0] <= first && ends[1] >= last;
  view[name] = value;
  view.serial++;
  const f = DATA.formats[view.dtype];
  if (view.z !== null) view.z = nearestFloat(view.z, f);
  const kept = ends.map((x) => nearestFloat(x, f));
  showLine(...(whole || !(kept[0] < kept[1]) ? wholeLine(view) : kept));
  byId("region").replaceChildren(byId("region").dataset.empty);
  await lookedUp();
}

function zoomed(factor) {
  const { start, end } = plots.range, middle = view.z === null ? (start + end) / 2 : axisOf().position(view.z);
  const centre = middle > start && middle < end ? middle : (start + end) / 2, half = ((end - start) * factor) / 2;
  plots.range.setv({ start: centre - half, end: centre + half });
  scheduled();
}

function moved(part) {
  const { start, end } = plots.range, by = (end - start) * part;
  plots.range.setv({ start: start + by, end: end + by });
  scheduled();
}

function offered(name, content, type) {
  const link = element("a", { href: URL.createObjectURL(new Blob([content], { type })), download: name });
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 1000);
}

// What is shown, a line a form and float: those that the curves are drawn from.
async function asCsv() {
  const f = DATA.formats[view.dtype], [low, high] = shownEnds(), lines = ["form,dtype,label,mode,z,z_hex,result,result_hex,ulps,kind"];
  for (const row of rowsAt(view).filter((r) => view.forms.has(r.form))) {
    const singles = await singlesOf(row, view);
    if (!singles) continue;
    for (let i = 0; i < singles.z.length; i++) {
      const z = singles.z[i], result = singles.results[i];
      if (z < low || z > high) continue;
      lines.push([row.form, row.dtype, row.label ?? "", row.mode, decimalOf(z, f), hexOf(z), decimalOf(result, f),
        hexOf(result), Number.isNaN(singles.ulps[i]) ? "" : singles.ulps[i].toPrecision(5), DATA.kinds[singles.kinds[i]]].join(","));
    }
  }
  return lines.join("\n") + "\n";
}

function asPicture() {
  const shown = Bokeh.index.roots.find((root) => root.model.type === "Column");
  shown.export("png").canvas.toBlob((blob) => offered("stability.png", blob, "image/png"));
}

async function started() {
  const text = new TextDecoder().decode(await inflated(byId("data").textContent.trim()));
  Object.assign(window, { DATA: JSON.parse(text) });
  DATA.rows.forEach((row, index) => { row.index = index; });
  Bokeh.set_log_level("error");
  await Bokeh.embed.embed_item(JSON.parse(byId("figures").textContent), "plots");
  startPlots();
  const ends = stateRead();
  controlsShown();
  for (const name of ["dtype", "mode", "axis"]) byId(name).addEventListener("change", (e) => set(name, e.target.value));
  byId("label")?.addEventListener("change", (e) => set("label", DATA.labels[e.target.selectedIndex]));
  for (const box of document.querySelectorAll("input[name=form]")) {
    box.addEventListener("change", () => {
      if (box.checked) view.forms.add(box.value); else view.forms.delete(box.value);
      view.serial++;
      scheduled();
    });
  }
  byId("line")?.addEventListener("change", () => derived().then(stateWritten));
  byId("lookup").addEventListener("submit", (event) => {
    event.preventDefault();
    const x = parseFloatText(byId("float").value);
    byId("refused").textContent = x === null ? "not a number: write a decimal or a hex float, such as 16.64 or 0x1.0a2p+4" : "";
    if (x !== null) chosen(nearestFloat(x, DATA.formats[view.dtype]), true);
  });
  const step = (n) => view.z !== null && chosen(neighbour(view.z, DATA.formats[view.dtype], n), true);
  const acts = {
    whole: () => showLine(...wholeLine(view)), in: () => zoomed(0.5), out: () => zoomed(2),
    left: () => moved(-0.25), right: () => moved(0.25), previous: () => step(-1), next: () => step(1),
    here: () => view.z !== null && showLine(neighbour(view.z, DATA.formats[view.dtype], -8), neighbour(view.z, DATA.formats[view.dtype], 8)),
    csv: async () => offered("stability.csv", await asCsv(), "text/csv"), png: asPicture,
    all: () => formsSet(DATA.forms), none: () => formsSet([]),
  };
  for (const button of document.querySelectorAll("button[data-do]")) button.addEventListener("click", acts[button.dataset.do]);
  for (const button of document.querySelectorAll("a[data-view]")) {
    button.addEventListener("click", (event) => { event.preventDefault(); history.replaceState(null, "", button.getAttribute("href")); arrived(); byId("explore").scrollIntoView(); });
  }
  window.addEventListener("hashchange", arrived);
  showLine(...ends, 0);
  await lookedUp();
  await redrawn();
  rested();
  view.ready = true;
  document.documentElement.dataset.ready = "yes";
  performance.mark("ready");
  await mapStarted();
}

function formsSet(forms) {
  view.forms = new Set(forms);
  view.serial++;
  controlsShown();
  scheduled();
}

async function arrived() {
  if (!location.hash.includes("dtype=")) return;
  view.ready = false;
  const ends = stateRead();
  view.serial++;
  controlsShown();
  showLine(...ends, 0);
  await lookedUp();
  view.ready = true;
  scheduled();
}

started();
