// A conversation goes on with its history on the gateway that takes over the account, and ends on both when its user starts it anew.

import assert from "node:assert/strict";

import { eventually } from "./harness/wait.mjs";
import { a, b, both, check, OWNED, provider, settled, telegram } from "./harness/world.mjs";

let last = 9_000;

/** Sends the bot a message, and waits for its reply. */
async function hears(text) {
  const replies = () => telegram.sent.filter(({ token, method }) => token === OWNED && method === "sendMessage").length;
  const replied = replies();
  telegram.push(OWNED, { text, messageId: ++last });
  await eventually(`a reply to "${text}"`, () => replies() > replied, 120_000);
}

/** The texts of the conversation that the model reads in the turn that answers this message; not what OpenClaw says about it. */
async function says(text) {
  const asked = provider.requests.length;
  await hears(text);
  const turns = provider.requests.slice(asked).map(({ messages }) => messages.filter(({ role, content }) => role !== "system" && typeof content === "string").map(({ content }) => content));
  return turns.findLast((turn) => turn.some((content) => content.includes(text))) ?? assert.fail(`no turn with "${text}"`);
}

const count = (texts, part) => texts.filter((text) => text.includes(part)).length;

const poller = () => eventually("one gateway polls", () => {
  const names = [...new Set(telegram.pollers(OWNED))];
  return names.length === 1 && both.find(({ name }) => name === names[0]);
}, 120_000);

/** Moves the account to the other gateway. */
async function move() {
  const holder = await poller();
  const other = holder === a ? b : a;
  await holder.call("distributed.drain", { enabled: true });
  await eventually(`${other.name} polls`, () => telegram.pollers(OWNED).includes(other.name), 120_000);
  await holder.call("distributed.drain", { enabled: false });
  await settled();
}

check("the gateway that takes over an account goes on with the history of its conversation, and back", async () => {
  await settled();
  provider.reply = ({ messages }) => (JSON.stringify(messages.at(-2)).includes("Minka") ? "A fine name, says the first gateway." : "Understood.");
  try {
    await hears("/new");
    await says("My cat is called Minka.");
    await move();
    const there = await says("What is my cat called?");
    assert.deepEqual([count(there, "My cat is called Minka"), count(there, "A fine name, says the first gateway")], [1, 1]);
    await move();
    const back = await says("And now?");
    assert.deepEqual([count(back, "My cat is called Minka"), count(back, "What is my cat called")], [1, 1]);
    await hears("/new");
    await move();
    assert.equal(count(await says("Do you know my cat?"), "Minka"), 0);
  } finally {
    provider.reply = () => "Understood.";
  }
});
