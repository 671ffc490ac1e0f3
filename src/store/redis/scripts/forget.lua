-- forget: a waiter gives up.
--
-- ARGV: 1 name, 2 ticket
-- Returns: [now, waited (1|0)]
-- Atomic, because what was kept for it must go to the next one at once.
local name, ticket = ARGV[1], ARGV[2]
load_meta()
guard_stall()
local waited = 0
for _, text in ipairs(name ~= 'leader' and call('ZRANGE', queue_key(name), 0, -1) or {}) do
  if string.match(text, '^(%S+) ') == ticket then
    waited = call('ZREM', queue_key(name), text)
  end
end
local record = waited == 1 and read_record(name) or nil
if record and record.holder == '' and record.handing_to == ticket then
  offer(record)
end
return { int(now), waited }
