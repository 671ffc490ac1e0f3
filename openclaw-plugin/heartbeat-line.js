// The cron line for heartbeats: `EXEC: …/heartbeat [options]`, or `EXEC: …clawster [options] heartbeat [options]`. Other jobs of the same
// agent stand beside it, so every line is read in time linear in its length.

const MOST = 2_000; // No real line is longer.
const REMINDER = "A scheduled reminder has been triggered. The reminder content is:\n\n";
const ENDS = ["\n\nHandle this reminder internally", "\n\nPlease relay this reminder"];

/** Whether the line asks for a heartbeat. */
export function isHeartbeatLine(line) {
  if (!line.startsWith("EXEC:") || line.length > MOST) return false;
  const command = line.slice("EXEC:".length).trim();
  const quote = command[0] === '"' || command[0] === "'" ? command[0] : undefined;
  const end = quote ? command.indexOf(quote, 1) : command.search(/\s|$/);
  if (end < 0) return false;
  const program = command.slice(quote ? 1 : 0, end).split("/").at(-1);
  const rest = command.slice(quote ? end + 1 : end);
  if (/[;&|]/.test(rest) || (rest && !/^\s/.test(rest))) return false;
  const words = rest.split(/\s+/).filter(Boolean);
  const onlyOptions = (from) => words.length === from || words[from].startsWith("-");
  if (program === "heartbeat") return onlyOptions(0);
  return program === "clawster" && words.some((word, at) => word === "heartbeat" && onlyOptions(at + 1));
}

/** The lines of the reminder in a turn's text; none if there is no reminder. */
export function reminderLines(body) {
  const start = body.indexOf(REMINDER);
  if (start < 0) return [];
  const text = body.slice(start + REMINDER.length);
  const end = Math.min(...ENDS.map((mark) => text.indexOf(mark)).filter((at) => at >= 0));
  return Number.isFinite(end) ? text.slice(0, end).split("\n").map((line) => line.trim()).filter(Boolean) : [];
}
