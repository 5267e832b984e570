// One float under the microscope: every form's result there, and the derivation line by line.

function element(name, attributes, ...children) {
  const made = document.createElement(name);
  for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
  made.append(...children);
  return made;
}

function valueCell(x, f) {
  if (Number.isNaN(x)) return element("td", { class: "number" }, "NaN");
  return element("td", { class: "number" }, decimalOf(x, f), element("small", {}, hexOf(x)));
}

// The float that the numbers of a row belong to, and whether it is the one that was asked for.
function floatCell(z, asked, f) {
  const cell = valueCell(z, f), off = Number(toOrdinal(z, f) - toOrdinal(asked, f)), many = Math.abs(off);
  const away = `${many < 2 ** 53 ? many.toLocaleString("en") : "about " + many.toExponential(1)} float${many === 1 ? "" : "s"}`;
  cell.append(off ? element("strong", {}, `${away} ${off > 0 ? "above" : "below"}`) : "exactly");
  return cell;
}

const STATES = ["", "pole", "undefined", "undecided"];

function trueCell(known, i, f) {
  const state = STATES[known.state[i]];
  if (state && Number.isNaN(known.rounded[i])) return element("td", { class: "number" }, state);
  return valueCell(known.rounded[i], f);
}

// Looks a float up, and shows it where `move` is asked for and it is out of sight.
async function chosen(z, move = false) {
  view.z = z;
  if (move) {
    const [low, high] = shownEnds();
    if (z < low || z > high) showLine(...wholeLine(view));
  }
  await lookedUp();
  scheduled();
}

async function lookedUp() {
  const f = DATA.formats[view.dtype], z = view.z, asked = view.serial;
  byId("float").value = z === null ? "" : decimalOf(z, f);
  if (z === null) return;
  const known = await knownAt(view), rows = rowsAt(view);
  if (!known) return byId("found").replaceChildren(element("p", {}, "This sweep kept no single floats."));
  const singles = await Promise.all(rows.map((row) => singlesOf(row, view)));
  if (asked !== view.serial) return;
  const body = element("tbody", {}), there = singles.map((s) => s && Object.is(s.z[indexNear(s.z, z)], z));
  const elsewhere = there.some((exact, k) => singles[k] && !exact);
  rows.forEach((row, k) => {
    if (!singles[k]) return;
    const i = indexNear(singles[k].z, z), at = singles[k].at[i], kind = DATA.kinds[singles[k].kinds[i]];
    body.append(element("tr", { "data-form": row.form, "data-z": hexOf(singles[k].z[i]) },
      element("th", { scope: "row" }, row.form), ...(elsewhere ? [floatCell(singles[k].z[i], z, f)] : []), valueCell(singles[k].results[i], f), trueCell(known, at, f),
      element("td", { class: "number" }, ulpsText(singles[k].ulps[i])),
      element("td", {}, element("span", { class: `kind ${kind}` }, DATA.words[kind])),
    ));
  });
  const head = ["form", ...(elsewhere ? [`at ${DATA.study.swept} =`] : []), "result", "true value", "error [ulps]", "kind"].map((t) => element("th", { scope: "col" }, t));
  const said = elsewhere
    ? `${there.some(Boolean) ? "Not every form has its result kept" : "No form has its result kept"} at ${DATA.study.swept} = ` +
      `${decimalOf(z, f)} = ${hexOf(z)}: the numbers of each are of the float in its line, the nearest that was kept`
    : `Every form exactly at ${DATA.study.swept} = ${decimalOf(z, f)} = ${hexOf(z)}`;
  byId("found").replaceChildren(
    element("p", { id: "where" }, `${said} (${view.dtype}, ${view.mode}${view.label === null ? "" : `, ${labelTold()}`}).`),
    element("div", { class: "scroll", tabindex: "0", role: "region", "aria-label": "results at this float" },
      element("table", {}, element("thead", {}, element("tr", {}, ...head)), body)),
  );
  await derived();
}

function stepsOf(name, view) {
  const step = DATA.steps.steps.find((s) =>
    s.quantity === name && s.dtype === view.dtype && (s.label === null || s.label === view.label));
  if (!step) return null;
  return once(`step ${name} ${step.dtype} ${step.label}`, async () => {
    const f = DATA.formats[step.dtype];
    const [z, computed, rounded] = await Promise.all([
      unpackedFloats(DATA.steps.floats[step.dtype], f), unpackedFloats(step.computed, f), unpackedFloats(step.rounded, f),
    ]);
    return { z, computed, rounded };
  });
}

// The lines of one form at the float looked up, with the first wrong digit marked.
async function derived() {
  const box = byId("derivation");
  if (!box || view.z === null) return;
  const f = DATA.formats[view.dtype], form = byId("line").value, asked = view.serial;
  const names = DATA.study.lines[form] ?? [], steps = await Promise.all(names.map((name) => stepsOf(name, view)));
  if (asked !== view.serial) return;
  if (!steps.length || steps.some((s) => !s)) return box.replaceChildren();
  const at = indexNear(steps[0].z, view.z), z = steps[0].z[at];
  const body = element("tbody", {});
  names.forEach((name, k) => body.append(stepRow(DATA.study.quantities[name], steps[k].computed[at], steps[k].rounded[at], f)));
  const eager = DATA.rows.find((r) => r.form === form && r.dtype === view.dtype && r.label === view.label && r.mode === "eager");
  const there = { ...view, mode: "eager" };
  if (eager) {
    const [singles, known] = await Promise.all([singlesOf(eager, there), knownAt(there)]);
    const i = singles ? indexNear(singles.z, z) : -1;
    if (i >= 0 && Object.is(singles.z[i], z)) {
      body.append(stepRow(`the result: ${DATA.study.formulas[form] ?? form}`, singles.results[i], known.rounded[singles.at[i]], f));
    }
  }
  const head = ["line", "computed", "in real numbers"].map((t) => element("th", { scope: "col" }, t));
  box.replaceChildren(
    element("p", {}, `At ${DATA.study.swept} = ${decimalOf(z, f)} = ${hexOf(z)}` +
      `${Object.is(z, view.z) ? "" : ", the nearest float whose lines were kept"}, op by op in ${view.dtype}:`),
    element("div", { class: "scroll", tabindex: "0", role: "region", "aria-label": "the derivation at this float" },
      element("table", {}, element("thead", {}, element("tr", {}, ...head)), body)),
  );
}

function stepRow(formula, computed, rounded, f) {
  const digits = Math.ceil(f.precision * Math.log10(2)) + 1;
  const text = (x) => Number.isFinite(x) && x !== 0 ? x.toExponential(digits - 1) : decimalOf(x, f);
  const [mine, right] = [text(computed), text(rounded)];
  const cell = element("td", { class: "number" });
  const where = Object.is(computed, rounded) || computed === rounded ? -1 : firstDifference(mine, right);
  if (where < 0) cell.append(mine);
  else {
    const [good, bad] = [mine.slice(0, where), mine.slice(where)];
    cell.append(good, element("mark", {}, bad));
    cell.append(element("span", { class: "visually-hidden" }, where ? ` wrong from digit ${digitsIn(good) + 1} on` : " wrong"));
  }
  return element("tr", {}, element("th", { scope: "row" }, formula), cell, element("td", { class: "number" }, right));
}

function digitsIn(text) {
  return text.replace(/[^0-9]/g, "").length;
}

// Where two numbers in scientific notation part: 0 where sign or exponent differ.
function firstDifference(a, b) {
  const [, exponentA] = a.split("e"), [, exponentB] = b.split("e");
  if (exponentA !== exponentB || exponentA === undefined || (a[0] === "-") !== (b[0] === "-")) return 0;
  let i = 0;
  while (i < a.length && a[i] === b[i]) i++;
  return i;
}
