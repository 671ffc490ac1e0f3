-- forget: a waiter gives up.
--
-- ARGV: 1 name, 2 ticket
-- Returns: [now, waited (1|0)]
-- Atomic, because what was kept for it, or its watch over a holder's presence, must go to the next one at once.
local name, ticket = ARGV[1], ARGV[2]
make_way()
load_meta()
guard_stall()
local waited, first = 0, false
for at, text in ipairs(name ~= 'leader' and call('ZRANGE', queue_key(name), 0, -1) or {}) do
  if string.match(text, '^(%S+) ') == ticket then
    waited, first = call('ZREM', queue_key(name), text), first or at == 1
  end
end
local record = waited == 1 and read_record(name) or nil
if record and record.holder == '' and record.handing_to == ticket then
  offer(record)
elseif record and first and record.presence ~= '' then
  local next_one = first_waiter(name)
  if next_one then
    call_waiter(next_one)
  end
end
return { int(now), waited }
