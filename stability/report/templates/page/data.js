// The data of the page: packed columns, decoded when a view first needs them.

async function inflated(base64) {
  const bytes = Uint8Array.from(atob(base64), (c) => c.charCodeAt(0));
  const stream = new Blob([bytes]).stream().pipeThrough(new DecompressionStream("deflate"));
  return new Uint8Array(await new Response(stream).arrayBuffer());
}

// The integers of a packed column: first differences, zigzag, planes of bytes, deflated. BigInts where `wide`.
async function unpacked(text, wide) {
  const [width, data] = text.split(":");
  const planes = await inflated(data), w = Number(width), n = planes.length / w;
  if (wide) {
    const out = new BigInt64Array(n);
    let sum = 0n;
    for (let i = 0; i < n; i++) {
      let z = 0n;
      for (let k = w - 1; k >= 0; k--) z = (z << 8n) | BigInt(planes[k * n + i]);
      sum = BigInt.asIntN(64, sum + ((z >> 1n) ^ -(z & 1n)));
      out[i] = sum;
    }
    return out;
  }
  const out = new Float64Array(n);
  let sum = 0;
  for (let i = 0; i < n; i++) {
    let z = 0;
    for (let k = w - 1; k >= 0; k--) z = z * 256 + planes[k * n + i];
    sum += z % 2 ? -(z + 1) / 2 : z / 2;
    out[i] = sum;
  }
  return out;
}

async function unpackedFloats(text, f) {
  const ordinals = await unpacked(text, f.bits === 64), out = new Float64Array(ordinals.length);
  for (let i = 0; i < out.length; i++) out[i] = fromOrdinal(ordinals[i], f);
  return out;
}

const remembered = new Map();

function once(key, make) {
  if (!remembered.has(key)) remembered.set(key, make());
  return remembered.get(key);
}

function rowsAt(view) {
  return DATA.rows.filter((r) => r.dtype === view.dtype && r.label === view.label && r.mode === view.mode);
}

function rowOf(form, view) {
  return rowsAt(view).find((r) => r.form === form);
}

// True values of a format and label: floats z, ascending, rounded, fraction, state, other.
function knownAt(view) {
  return once(`known ${view.dtype} ${view.label}`, async () => {
    const f = DATA.formats[view.dtype];
    const k = DATA.known.find((k) => k.dtype === view.dtype && k.label === view.label);
    if (!k) return null;
    const [z, rounded, fraction, state, other] = await Promise.all([
      unpackedFloats(k.floats, f), unpackedFloats(k.rounded, f), unpacked(k.fraction), unpacked(k.state),
      unpackedFloats(k.other, f),
    ]);
    return { z, rounded, fraction, state, other };
  });
}

// A row at single floats: z, result, kind (an index), ulps, and the indices of its floats in those of the truth.
function singlesOf(row, view) {
  return once(`row ${row.index}`, async () => {
    const known = await knownAt(view), f = DATA.formats[row.dtype];
    if (!known || !row.results) return null;
    const [at, results, kinds] = await Promise.all([
      unpacked(row.results.floats), unpackedFloats(row.results.results, f), unpacked(row.results.kinds),
    ]);
    const n = at.length, z = new Float64Array(n), ulps = new Float64Array(n);
    for (let i = 0; i < n; i++) {
      z[i] = known.z[at[i]];
      ulps[i] = errorAt(known, at[i], results[i], f);
    }
    return { z, results, kinds, ulps, at };
  });
}

function errorAt(known, i, result, f) {
  const off = ulpsOff(result, known.rounded[i], known.fraction[i], f);
  if (Number.isNaN(known.other[i])) return off;
  const [low, high] = [known.rounded[i], known.other[i]].sort((a, b) => a - b);
  return result >= low && result <= high ? 0 : Math.min(off, ulpsOff(result, known.other[i], 0, f));
}

// The failing regions of a row: start, stop (values), kind (a name), count, width in floats.
function regionsOf(row) {
  return once(`regions ${row.index}`, async () => {
    const f = DATA.formats[row.dtype], r = row.regions;
    const [starts, stops, kinds, counts, widths] = await Promise.all([
      unpackedFloats(r.start, f), unpackedFloats(r.stop, f), unpacked(r.kind), unpacked(r.count, true),
      unpacked(r.width, true),
    ]);
    return Array.from(starts, (start, i) => ({
      start, stop: stops[i], kind: DATA.kinds[kinds[i]], count: counts[i], width: widths[i],
    }));
  });
}

// Where a curve of a row runs: single floats of a row that keeps every float, else the worst of each bin with them.
function curveOf(row, view) {
  return once(`curve ${row.index}`, async () => {
    const singles = await singlesOf(row, view), f = DATA.formats[row.dtype];
    const points = [];
    if (singles) {
      for (let i = 0; i < singles.z.length; i++) points.push([singles.z[i], drawnError(singles, i)]);
    }
    if (row.profile) {
      const [z, logs] = await Promise.all([unpackedFloats(row.profile.z, f), unpacked(row.profile.ulps)]);
      for (let i = 0; i < z.length; i++) points.push([z[i], logs[i] === -32768 ? NaN : 2 ** (logs[i] / 512)]);
      points.sort((a, b) => a[0] - b[0]);
    }
    const worst = points.reduce((most, [, ulps]) => (ulps > most && Number.isFinite(ulps) ? ulps : most), 0);
    return { z: Float64Array.from(points, (p) => p[0]), ulps: Float64Array.from(points, (p) => p[1]), worst };
  });
}

// A curve has a hole where the result is NaN, infinite, or 0.
function drawnError(singles, i) {
  const kind = DATA.kinds[singles.kinds[i]];
  return kind === "ok" || kind === "inaccurate" ? singles.ulps[i] : NaN;
}

// The index of the value nearest to x among ascending ones (-0 before 0).
function indexNear(ascending, x) {
  let low = 0, high = ascending.length - 1;
  const before = (a, b) => a < b || (a === b && Object.is(a, -0) && !Object.is(b, -0));
  while (low < high) {
    const middle = (low + high) >> 1;
    if (before(ascending[middle], x)) low = middle + 1; else high = middle;
  }
  return low > 0 && !Object.is(ascending[low], x) && x - ascending[low - 1] <= ascending[low] - x ? low - 1 : low;
}
