// How figures are written for people. Null is a dash: not known is not zero.

const NONE = "–";
const whole = new Intl.NumberFormat("en");
const compact = new Intl.NumberFormat("en", { notation: "compact", maximumFractionDigits: 1 });

export function count(value) {
  return value === null || value === undefined ? NONE : whole.format(value);
}

export function short(value) {
  return value === null || value === undefined ? NONE : value < 10_000 ? whole.format(value) : compact.format(value);
}

export function rate(value) {
  if (value === null || value === undefined) return NONE;
  const percent = value * 100;
  if (percent === 0) return "0 %";
  return percent < 0.1 ? "< 0.1 %" : `${percent.toFixed(percent < 10 ? 1 : 0)} %`;
}

/** Durations keep three figures: 0.52 ms, 14.1 ms, 830 ms, 2.4 s, 64 s, 3 min. */
export function duration(ms) {
  if (ms === null || ms === undefined) return NONE;
  if (ms < 1) return `${ms.toFixed(2)} ms`;
  if (ms < 100) return `${ms.toFixed(1)} ms`;
  if (ms < 1_000) return `${Math.round(ms)} ms`;
  if (ms < 60_000) return `${(ms / 1_000).toFixed(1)} s`;
  if (ms < 180_000) return `${Math.round(ms / 1_000)} s`;
  return span(ms / 1_000);
}

/** The same without figures that say nothing: of a limit, or on an axis. */
export function exact(ms) {
  return ms === 0 ? "0" : duration(ms).replace(/\.0+(?= )/, "");
}

/** From one duration to another, the unit once: 5.7–8 ms. */
export function range(fromMs, toMs) {
  const [from, to] = [exact(fromMs), exact(toMs)];
  const unit = to.slice(to.indexOf(" "));
  return `${from.endsWith(unit) ? from.slice(0, -unit.length) : from}–${to}`;
}

/** A stretch of time in its largest unit. */
export function span(seconds) {
  if (seconds < 60) return `${Math.max(0, Math.round(seconds))} s`;
  if (seconds < 3_600) return `${Math.round(seconds / 60)} min`;
  if (seconds < 172_800) return `${Math.round(seconds / 3_600)} h`;
  return `${Math.round(seconds / 86_400)} days`;
}

export function usd(value) {
  if (value === null || value === undefined) return NONE;
  const digits = value !== 0 && Math.abs(value) < 0.1 ? 4 : 2;
  return `$${value.toLocaleString("en", { minimumFractionDigits: digits, maximumFractionDigits: digits })}`;
}

/** An amount on an axis. */
export function price(value) {
  return `$${Number(value.toFixed(4))}`;
}

/** A value of a limit, in its own unit. */
export function amount(value, unit) {
  if (value === null || value === undefined) return NONE;
  if (unit === "ms") return exact(value);
  if (unit === "ratio") return rate(value);
  if (unit === "USD" || unit === "usd") return usd(Number(value));
  if (unit === "s") return span(value);
  return unit === "tokens" || unit === "errors" || !unit ? short(value) : `${short(value)} ${unit}`;
}

export function clock(time) {
  return new Date(time).toLocaleTimeString([], { hour: "2-digit", minute: "2-digit", second: "2-digit", hour12: false });
}

export function moment(time) {
  const date = new Date(time);
  const isToday = date.toDateString() === new Date().toDateString();
  const at = clock(time);
  return isToday ? at : `${date.toLocaleDateString("en-GB", { day: "numeric", month: "short" })} ${at.slice(0, 5)}`;
}

/** A mark on an axis of time: the day where one begins, else the hour. */
export function hour(seconds) {
  const date = new Date(seconds * 1_000);
  if (date.getHours() || date.getMinutes()) return clock(date).slice(0, 5);
  return date.toLocaleDateString("en-GB", { day: "numeric", month: "short" });
}

export function ago(time) {
  if (!time) return NONE;
  const seconds = (Date.now() - new Date(time).getTime()) / 1_000;
  return seconds < 5 ? "just now" : `${span(seconds)} ago`;
}

export function plural(number, one, many = `${one}s`) {
  return `${count(number)} ${number === 1 ? one : many}`;
}
