// Where a float lies on the axis, relative to a base, so that neighbouring floats stay apart however far one zooms.

const AXES = {
  // arcsinh(2 z): logarithmic on both sides of a linear stretch around 0.
  z: {
    position(z, base) {
      const off = z - base;
      if (Math.abs(off) < 1e-6 * (Math.abs(base) + 0.5)) return off / Math.sqrt(base * base + 0.25);
      return Math.asinh(2 * z) - Math.asinh(2 * base);
    },
    value(x, base) {
      return Math.abs(x) < 1e-6 ? base + x * Math.sqrt(base * base + 0.25) : Math.sinh(x + Math.asinh(2 * base)) / 2;
    },
  },
  // The ordinal: every float is equally wide.
  floats: {
    position(z, base, f) {
      return Number(toOrdinal(z, f) - toOrdinal(base, f));
    },
    value(x, base, f) {
      const n = toOrdinal(base, f), top = infinityOrdinal(f);
      if (f.bits === 64) {
        const moved = n + BigInt(Math.round(Number.isFinite(x) ? x : 0)), limit = BigInt(top);
        return fromOrdinal(moved > limit ? limit : moved < -limit - 1n ? -limit - 1n : moved, f);
      }
      return fromOrdinal(Math.max(Math.min(n + Math.round(x), top), -top - 1), f);
    },
  },
};

// The part of the line that a view can show, as values.
function wholeLine(view) {
  const f = DATA.formats[view.dtype], [low, high] = DATA.study.domain.map(parseFloatText);
  const reach = view.axis === "z" ? DATA.study.reach[view.dtype] : Infinity;
  return [nearestFloat(Math.max(low, -reach), f), nearestFloat(Math.min(high, reach), f)];
}

function niceStep(width) {
  const power = 10 ** Math.floor(Math.log10(width));
  return [1, 2, 5, 10].map((m) => m * power).find((step) => step >= width);
}

// About `most` values to write under an axis that runs from low to high.
function tickValues(low, high, most, f, position) {
  const size = Math.max(Math.abs(low), Math.abs(high)), span = high - low;
  if (!(span > 0)) return [low];
  let all = [];
  if (Number.isFinite(span) && (low > 0) === (high > 0) && span < 0.9 * size) {
    const step = niceStep(span / most);
    for (let k = Math.ceil(low / step); k * step <= high && all.length < 3 * most; k++) all.push(nearestFloat(k * step, f));
    return [...new Set(all)];
  }
  const top = Number.isFinite(size) ? Math.floor(Math.log10(size)) : Math.floor(Math.log10(2) * f.emax);
  const bottom = Math.max(Math.ceil((f.emin - f.precision) * Math.log10(2)), top - 400);
  const powers = [];
  for (let e = top; e >= bottom; e--) powers.push(e);
  const candidates = [0, ...powers.flatMap((e) => [10 ** e, -(10 ** e)]), ...powers.flatMap((e) => [3 * 10 ** e, -3 * 10 ** e])];
  const least = (position(high) - position(low)) / most;
  for (const z of candidates) {
    if (z < low || z > high) continue;
    const x = position(z);
    if (all.every(([, other]) => Math.abs(other - x) >= least)) all.push([z, x]);
  }
  return all.map(([z]) => z).sort((a, b) => a - b);
}

function tickText(z, span) {
  if (z === 0) return "0";
  const digits = span > 0 ? Math.ceil(Math.log10(Math.abs(z) / span)) + 3 : 17;
  const text = tidy(z.toPrecision(Math.min(Math.max(digits, 3), 17)));
  return text.replace("-", "−");
}
