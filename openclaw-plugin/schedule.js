// Which slot of its schedule a job runs for, the same on every gateway, however late its run starts there.

const MINUTE = 60_000;
const DAYS_BACK = 400;
const NAMES = "jan feb mar apr may jun jul aug sep oct nov dec sun mon tue wed thu fri sat".split(" ");

/** A text that is equal for equal slots; undefined: the schedule has none. `at` is when the run started. */
export function slotOf(schedule, at) {
  const time = timeOf(schedule, at);
  if (time === undefined) return undefined;
  // Anchors differ between gateways, so the slot is the interval since 1970 in which this gateway's own time for the run lies.
  if (schedule.kind === "every") return `every ${schedule.everyMs} ${Math.floor(time / schedule.everyMs)}`;
  return `${schedule.kind} ${time}`;
}

/** When the slot that a run at `at` is for began on this gateway, in milliseconds; undefined: the schedule has none. */
export function timeOf(schedule, at) {
  if (schedule?.kind === "at") {
    const time = Date.parse(schedule.at);
    return Number.isFinite(time) ? time : undefined;
  }
  if (schedule?.kind === "every" && schedule.everyMs > 0) {
    const { everyMs: every, anchorMs: anchor = 0 } = schedule;
    return anchor + Math.floor((at - anchor) / every) * every;
  }
  if (schedule?.kind === "cron") return lastMatch(schedule.expr, schedule.tz, at);
  return undefined;
}

/** The last minute (or second, with six fields) at or before `at` that a cron expression names, in milliseconds. */
export function lastMatch(expr, tz, at) {
  const words = expr.trim().toLowerCase().split(/\s+/);
  const seconds = words.length > 5 ? parse(words.shift(), 0, 59) : undefined;
  const [minute, hour, day, month, weekday] = words;
  const fields = [parse(minute, 0, 59), parse(hour, 0, 23), parse(day, 1, 31), parse(month, 1, 12, -1), parse(weekday, 0, 7, 12)];
  if (fields.some((field) => !field)) return Math.floor(at / MINUTE) * MINUTE; // More than this reads: the minute is the best guess.
  const [minutes, hours, days, months, weekdays] = fields;
  if (weekdays.has(7)) weekdays.add(0);
  const both = !day.startsWith("*") && !weekday.startsWith("*") && day !== "?" && weekday !== "?";
  const clock = new Intl.DateTimeFormat("en-US", { timeZone: tz || undefined, hourCycle: "h23", year: "numeric", month: "numeric", day: "numeric", weekday: "short", hour: "numeric", minute: "numeric" });
  for (let time = Math.floor(at / MINUTE) * MINUTE, end = time - DAYS_BACK * 1440 * MINUTE; time > end;) {
    const part = Object.fromEntries(clock.formatToParts(time).map(({ type, value }) => [type, value]));
    const onDay = days.has(Number(part.day));
    const onWeekday = weekdays.has(NAMES.indexOf(part.weekday.toLowerCase()) - 12);
    const dated = months.has(Number(part.month)) && (both ? onDay || onWeekday : onDay && onWeekday);
    if (!dated && Number(part.hour) > 2) {
      time -= (Number(part.hour) - 2) * 60 * MINUTE; // Near the begin of the day; clocks may have been set in between.
      continue;
    }
    if (!dated || !hours.has(Number(part.hour))) {
      time -= (Number(part.minute) + 1) * MINUTE; // The last minute of the hour before.
      continue;
    }
    if (minutes.has(Number(part.minute))) {
      const fits = seconds && [...seconds].map((second) => time + second * 1000).filter((moment) => moment <= at);
      if (!fits) return time;
      if (fits.length > 0) return Math.max(...fits);
    }
    time -= MINUTE;
  }
  return Math.floor(at / MINUTE) * MINUTE;
}

/** The numbers of a field: `*`, `5`, `1-5`, `*\/15`, `mon-fri`, and lists of these; undefined: something else. */
function parse(text = "*", least, most, names = 99) {
  const numbers = new Set();
  for (const item of text.split(",")) {
    const [, from, to, step] = /^(\*|\?|\w+)(?:-(\w+))?(?:\/(\d+))?$/.exec(item) ?? [];
    const number = (word) => (NAMES.includes(word) ? NAMES.indexOf(word) - names : /^\d+$/.test(word) ? Number(word) : NaN);
    const wild = from === "*" || from === "?";
    const first = wild ? least : number(from);
    const last = to !== undefined ? number(to) : wild || step ? most : first;
    if (!(first >= least && last <= most && first <= last) || step === "0") return undefined;
    for (let at = first; at <= last; at += Number(step ?? 1)) numbers.add(at);
  }
  return numbers;
}
