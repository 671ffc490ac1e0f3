-- Shared by leases/forget.lua and leases/withdraw.lua, before each of them.

-- Removes a waiter; its reservation, or its watch over the holder's presence, passes to the next one. Returns whether it waited.
local function give_up(name, ticket)
  local waited, first = false, false
  for at, text in ipairs(name ~= 'leader' and call('ZRANGE', queue_key(name), 0, -1) or {}) do
    if string.match(text, '^(%S+) ') == ticket then
      call('ZREM', queue_key(name), text)
      waited, first = true, first or at == 1
    end
  end
  local record = waited and read_record(name) or nil
  if record and record.holder == '' and record.handing_to == ticket then
    offer(record)
  elseif record and first and record.presence ~= '' then
    local next_one = first_waiter(name)
    if next_one then
      call_waiter(next_one)
    end
  end
  return waited
end
