-- withdraw: undoes an acquisition that its caller gave up without an answer.
--
-- ARGV: 1 name, 2 ticket, 3 request id or '', 4 node id, 5 incarnation, 6 presence or ''
-- Returns: [now, granted (1|0)]
-- Atomic, because the acquisition may arrive before or after this call: its grant ends, and the mark refuses it from now on. If
-- another attempt of the same request received the grant meanwhile, the grant has that attempt's ticket and stays.
local name, ticket, request, id = ARGV[1], ARGV[2], ARGV[3], ARGV[4]
make_way()
load_meta()
guard_stall()
call('SET', withdrawn_key(ticket), '1', 'PX', WITHDRAWN_FOR)
give_up(name, ticket)
local record, granted = name ~= 'leader' and read_record(name) or nil, 0
if record and record.holder ~= '' and record.ticket == ticket and is_own(record, id, ARGV[5], ARGV[6], ticket) then
  granted = 1
  local request_key = PREFIX .. 'request:' .. id .. ' ' .. name .. ' ' .. request
  if string.match(try('GET', request_key) or '', '^(%d+) ') == record.term then
    call('DEL', request_key)
  end
  vacate_lease(record)
end
return { int(now), granted }
