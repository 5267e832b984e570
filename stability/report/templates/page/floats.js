// Floats of a format as JavaScript numbers, which hold every float16, bfloat16, float32 and float64 exactly.

const scratch = new DataView(new ArrayBuffer(8));

function infinityOrdinal(f) {
  return (f.emax - f.emin + 2) * 2 ** (f.precision - 1);
}

// From the ordinal (a number; a BigInt for float64) to the value; NaN past infinity.
function fromOrdinal(n, f) {
  if (f.bits === 64) {
    const negative = n < 0n, magnitude = negative ? -(n + 1n) : n;
    if (magnitude > 0x7ff0000000000000n) return NaN;
    scratch.setBigUint64(0, magnitude);
    const x = scratch.getFloat64(0);
    return negative ? -x : x;
  }
  const negative = n < 0, magnitude = negative ? -(n + 1) : n;
  if (magnitude > infinityOrdinal(f)) return NaN;
  if (f.name === "float16") {
    const exponent = magnitude >> 10, significand = magnitude & 1023;
    const x = exponent === 31 ? Infinity
      : exponent ? (1024 + significand) * 2 ** (exponent - 25) : significand * 2 ** -24;
    return negative ? -x : x;
  }
  scratch.setUint32(0, f.bits === 16 ? magnitude << 16 : magnitude);
  const x = scratch.getFloat32(0);
  return negative ? -x : x;
}

// The ordinal of a float of the format: a number, a BigInt for float64.
function toOrdinal(x, f) {
  const negative = x < 0 || Object.is(x, -0), size = Math.abs(x);
  if (f.bits === 64) {
    scratch.setFloat64(0, size);
    const magnitude = scratch.getBigUint64(0);
    return negative ? -magnitude - 1n : magnitude;
  }
  let magnitude;
  if (f.name === "float16") {
    const e = size < 2 ** -14 ? -14 : Math.min(exponentOf(size), 16);
    magnitude = size === Infinity ? 0x7c00 : size < 2 ** -14 ? size * 2 ** 24 : (e + 14) * 1024 + size * 2 ** (10 - e);
  } else {
    scratch.setFloat32(0, size);
    magnitude = f.bits === 16 ? scratch.getUint32(0) >>> 16 : scratch.getUint32(0);
  }
  return negative ? -magnitude - 1 : magnitude;
}

// The exponent e with 2^e <= |x| < 2^(e+1), for x not 0 and finite.
function exponentOf(x) {
  scratch.setFloat64(0, Math.abs(x));
  const e = (scratch.getUint16(0) >> 4) & 0x7ff;
  return e ? e - 1023 : exponentOf(x * 2 ** 64) - 64;
}

function timesPowerOfTwo(x, n) {
  for (; n > 1000; n -= 1000) x *= 2 ** 1000;
  for (; n < -1000; n += 1000) x *= 2 ** -1000;
  return x * 2 ** n;
}

// The float of the format nearest to a number, ties to even.
function nearestFloat(x, f) {
  if (f.bits === 64 || !Number.isFinite(x) || x === 0) return x;
  if (f.name === "float32") return Math.fround(x);
  const e = Math.max(exponentOf(x), f.emin) - f.precision + 1;
  const scaled = timesPowerOfTwo(x, -e), floor = Math.floor(scaled), over = scaled - floor;
  const whole = over > 0.5 || (over === 0.5 && floor % 2) ? floor + 1 : floor;
  const rounded = timesPowerOfTwo(whole, e);
  const most = (2 - 2 ** (1 - f.precision)) * 2 ** f.emax;
  return Math.abs(rounded) > most ? Math.sign(x) * Infinity : rounded === 0 ? 0 * Math.sign(x) : rounded;
}

function neighbour(x, f, steps) {
  const n = toOrdinal(x, f), top = infinityOrdinal(f);
  if (f.bits === 64) {
    const limit = BigInt(top), moved = n + BigInt(steps);
    return fromOrdinal(moved > limit ? limit : moved < -limit - 1n ? -limit - 1n : moved, f);
  }
  return fromOrdinal(Math.max(Math.min(n + steps, top), -top - 1), f);
}

// As Python's float.hex, without the zeros that it pads with.
function hexOf(x) {
  if (Number.isNaN(x)) return "nan";
  const sign = x < 0 || Object.is(x, -0) ? "-" : "", size = Math.abs(x);
  if (size === Infinity) return sign + "inf";
  if (size === 0) return sign + "0x0p+0";
  const e = Math.max(exponentOf(size), -1022), lead = size < 2 ** -1022 ? 0 : 1;
  const rest = BigInt(timesPowerOfTwo(timesPowerOfTwo(size, -e) - lead, 52));
  const digits = rest.toString(16).padStart(13, "0").replace(/0+$/, "");
  return `${sign}0x${lead}${digits ? "." + digits : ""}p${e < 0 ? "-" : "+"}${Math.abs(e)}`;
}

// A decimal or a hex float as a number, null where the text is neither.
function parseFloatText(text) {
  const t = text.trim().toLowerCase().replace(/^[−–]/, "-");
  if (/^[+-]?(inf|infinity)$/.test(t)) return t[0] === "-" ? -Infinity : Infinity;
  if (/^[+-]?(\d+\.?\d*|\.\d+)(e[+-]?\d+)?$/.test(t)) return Number(t);
  const hex = /^([+-]?)0x([0-9a-f]*)\.?([0-9a-f]*)(?:p([+-]?\d+))?$/.exec(t);
  if (!hex || !(hex[2] + hex[3])) return null;
  const digits = BigInt("0x" + hex[2] + hex[3]);
  const size = timesPowerOfTwo(Number(digits), Number(hex[4] || 0) - 4 * hex[3].length);
  return hex[1] === "-" ? -size : size;
}

// Decimal digits that tell the floats of a format apart, and no more than are needed.
function decimalOf(x, f) {
  if (Number.isNaN(x)) return "NaN";
  if (!Number.isFinite(x)) return x < 0 ? "-inf" : "inf";
  if (Object.is(x, -0)) return "-0";
  for (let digits = 1; digits < 17; digits++) {
    const text = x.toPrecision(digits);
    if (nearestFloat(Number(text), f) === x) return String(Number(text)).replace("+", "");
  }
  return String(x);
}

function tidy(text) {
  const [head, exponent] = text.split("e");
  const trimmed = head.includes(".") ? head.replace(/\.?0+$/, "") : head;
  return exponent ? `${trimmed}e${exponent.replace("+", "")}` : trimmed;
}

// How far a result is off, in ulps of the true value: that is `rounded` and `fraction` 254ths of an ulp.
function ulpsOff(result, rounded, fraction, f) {
  if (!Number.isFinite(result) || !Number.isFinite(rounded)) return NaN;
  const e = ulpExponent(rounded, fraction, f);
  return Math.abs(timesPowerOfTwo(result, -e) - timesPowerOfTwo(rounded, -e) - fraction / 254);
}

function ulpExponent(rounded, fraction, f) {
  const least = f.emin - f.precision + 1;
  if (rounded === 0) return least;
  let e = exponentOf(rounded);
  const below = fraction !== 0 && (fraction < 0) === (rounded > 0);
  if (below && Math.abs(rounded) === 2 ** e) e -= 1;
  return Math.max(e - f.precision + 1, least);
}

function ulpsText(u) {
  return Number.isNaN(u) ? "–" : u < 1e5 ? tidy(u.toPrecision(u < 100 ? 3 : 4)) : u.toExponential(1).replace("+", "");
}
