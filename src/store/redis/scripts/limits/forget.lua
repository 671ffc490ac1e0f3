-- slot_forget: gives a request for a slot up.
--
-- ARGV: node id, incarnation, name, ticket, request id
-- Returns: [now]
-- Atomic, because the request may arrive before or after this call: its place and its grant end, and the mark refuses it from now on.
local id, incarnation, name, ticket = ARGV.node_id, ARGV.incarnation, ARGV.name, ARGV.ticket
make_way()
load_meta()
guard_stall()
local key, by, queue, offers = slot_keys(name)
call('SET', withdrawn_key(ticket), '1', 'PX', WITHDRAWN_FOR)
for _, text in ipairs(sure('ZRANGE', queue, 0, -1)) do
  if string.match(text, '^(%S+) ') == ticket then
    call('ZREM', queue, text)
    sure('ZREM', offers, text)
  end
end
local request_key = PREFIX .. 'slot_request:' .. id .. ' ' .. name .. ' ' .. ARGV.request_id
local token = string.match(try('GET', request_key) or '', '^(%d+) ')
local slot = token and own_slot(name, token, id, incarnation)
if slot and slot.ticket == ticket then
  end_slot(name, token)
  call('DEL', request_key)
end
offer_freed(name)
return { int(now) }
