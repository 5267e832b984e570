// The error of one form over the swept float and the second argument.

let mapTexts = new Map();

function mapTick(x) {
  return mapTexts.get(x) ?? "";
}

function cellTold(code) {
  const { beyond, severity, least, steps, palette } = DATA.map;
  if (code >= beyond) {
    const kind = severity[code - beyond];
    return { colour: DATA.colours[kind], what: DATA.words[kind] };
  }
  const ulps = 2 ** (code / steps + least), shown = (palette.find(([bound]) => ulps <= bound * 1.09) ?? palette.at(-1))[2];
  return { colour: shown, what: code === 0 ? "right, below 0.001 ulps" : `${ulpsText(ulps)} ulps` };
}

async function mapDrawn() {
  const form = byId("map-form").value, dtype = byId("map-dtype").value, f = DATA.formats[dtype];
  const found = DATA.maps.find((m) => m.form === form && m.dtype === dtype);
  const codes = await unpacked(found.cells), z = found.z.map(parseFloatText), labels = found.labels.map(parseFloatText);
  const data = Object.fromEntries(["left", "right", "bottom", "top", "colour", "z", "label", "what"].map((name) => [name, []]));
  const texts = z.map((x) => decimalOf(x, f)), half = (labels[1] - labels[0]) / 2, told = new Map();
  codes.forEach((code, i) => {
    const column = i % z.length, label = labels[Math.floor(i / z.length)];
    if (!told.has(code)) told.set(code, cellTold(code));
    data.left.push(column);
    data.right.push(column + 1);
    data.bottom.push(label - half);
    data.top.push(label + half);
    data.colour.push(told.get(code).colour);
    data.z.push(texts[column]);
    data.label.push(String(label));
    data.what.push(told.get(code).what);
  });
  const model = (name) => mapDocument.get_model_by_name(name);
  model("map cells").data = data;
  const line = found.zero.map((y, i) => [i + 0.5, y]).filter(([, y]) => y !== null);
  model("map zero").data = { x: line.map(([x]) => x), y: line.map(([, y]) => y) };
  model("map across").setv({ start: 0, end: z.length });
  model("map up").setv({ start: labels[0] - half, end: labels.at(-1) + half });
  const wanted = DATA.study.reach[dtype] > 300 ? [1, 10, 100] : [1, 3, 10, 30, 100];
  const ends = [...wanted.map((t) => -t).reverse(), 0, ...wanted].filter((t) => t >= z[0] && t <= z.at(-1));
  mapTexts = new Map(ends.map((t) => [z.findIndex((x) => x >= t), tickText(t, 2 * Math.abs(t))]));
  model("map ticks").ticks = [...mapTexts.keys()];
  byId("map").setAttribute("aria-label", `Error of ${form} in ${dtype} over ${DATA.study.swept} and ${DATA.study.label}: ` + mapInWords(codes));
}

function mapInWords(codes) {
  const { beyond, severity } = DATA.map, counts = new Map();
  for (const code of codes) {
    const name = code >= beyond ? DATA.words[severity[code - beyond]] : "a number";
    counts.set(name, (counts.get(name) ?? 0) + 1);
  }
  return [...counts].map(([name, n]) => `${name} in ${Math.round((100 * n) / codes.length)} % of the cells`).join(", ");
}

let mapDocument = null;

async function mapStarted() {
  if (!byId("map")) return;
  await Bokeh.embed.embed_item(JSON.parse(byId("map-figure").textContent), "map");
  mapDocument = Bokeh.documents.at(-1);
  for (const id of ["map-form", "map-dtype"]) byId(id).addEventListener("change", mapDrawn);
  await mapDrawn();
}
