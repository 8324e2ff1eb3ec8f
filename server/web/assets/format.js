// Numbers and times for people.

const KILO = ["", "k", "M", "G", "T", "P", "E"];

export function scaled(value, unit, base = 1000) {
  let power = 0;
  while (Math.abs(value) >= base && power < KILO.length - 1) {
    value /= base;
    power += 1;
  }
  const digits = power === 0 && Number.isInteger(value) ? String(value) : value.toPrecision(3);
  return `${digits} ${KILO[power]}${unit}`.trim();
}

export const bytes = (value) => scaled(value, "B");
export const flops = (value) => scaled(value, "FLOP");

export function number(value, digits = 4) {
  if (!Number.isFinite(value)) return String(value);
  const small = value !== 0 && Math.abs(value) < 1e-3;
  return small ? value.toExponential(Math.max(0, digits - 2)) : String(Number(value.toPrecision(digits)));
}

// 7.3e-4: for numbers of any size, as learning rates are written.
export function scientific(value, digits = 3) {
  if (!Number.isFinite(value) || value === 0) return String(value);
  return value.toExponential(digits - 1).replace(/\.?0+e/, "e");
}

// With as many decimals whatever the number, so that a number that changes does not jump.
export function fixed(value, decimals) {
  return Number.isFinite(value) ? value.toFixed(decimals) : String(value);
}

export const count = (value) => Math.round(value).toLocaleString("en").replaceAll(",", "\u2009");
export const percent = (ratio) => `${fixed(100 * ratio, 1)} %`;

export function duration(seconds) {
  const s = Math.max(0, Math.round(seconds));
  if (s < 60) return `${s} s`;
  if (s < 3600) return `${Math.floor(s / 60)} min ${s % 60} s`;
  if (s < 86400) return `${Math.floor(s / 3600)} h ${Math.floor((s % 3600) / 60)} min`;
  return `${Math.floor(s / 86400)} d ${Math.floor((s % 86400) / 3600)} h`;
}

// "3.5s" of a google.protobuf.Duration.
export const secondsOf = (text) => parseFloat(text);
export const secondsSince = (timestamp) => (Date.now() - Date.parse(timestamp)) / 1000;

export function ago(timestamp) {
  const seconds = secondsSince(timestamp);
  return seconds < 3 ? "just now" : `${duration(seconds).replace(/ \d+ s$/, "")} ago`;
}

export function clock(timestamp) {
  const time = new Date(timestamp);
  const today = time.toDateString() === new Date().toDateString();
  const text = time.toLocaleTimeString("en-GB");
  return today ? text : `${time.toISOString().slice(0, 10)} ${text}`;
}

export const stateName = (state) => state.charAt(0) + state.slice(1).toLowerCase();
