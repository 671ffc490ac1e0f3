-- schedule_read: reads schedules. Changes nothing.
--
-- ARGV: id or '', only due ones (1|0), how many, with payloads (1|0)
-- Returns: [now, first slot of all or 0, how many there are, [id, definition, payload or '', version, next or 0, paused (1|0), last slot or 0,
--   last task or '', runs, ...]]
-- Atomic, because the parts of a schedule must belong to one moment. It stops at 2 MiB of payloads.
local found, bytes = {}, 0
local first = (try('ZRANGE', SCHEDULES, 0, 0, 'WITHSCORES') or {})[2]
local ids
if ARGV.id ~= '' then
  ids = { ARGV.id }
elseif ARGV.due == '1' then
  ids = try('ZRANGEBYSCORE', SCHEDULES, '-inf', int(now), 'LIMIT', 0, ARGV.limit) or {}
else
  ids = try('ZRANGE', SCHEDULES, 0, ARGV.limit - 1) or {}
end
for _, id in ipairs(ids) do
  local v = redis.pcall('HMGET', SCHEDULE .. id, 'definition', 'version', 'next', 'paused', 'last', 'task', 'runs', 'payload')
  if v[1] and v[2] then
    local payload = ARGV.payloads == '1' and v[8] or ''
    bytes = bytes + #payload
    for _, value in ipairs({ id, v[1], payload, v[2], v[3] or '0', v[4] or '0', v[5] or '0', v[6] or '', v[7] or '0' }) do
      found[#found + 1] = value
    end
    if bytes > 2097152 then
      break
    end
  end
end
return { int(now), first and tonumber(first) < tonumber(NEVER) and int(tonumber(first)) or 0, number(try('ZCARD', SCHEDULES), 0), found }
